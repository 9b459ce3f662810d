"""Recursion configurations that differ from the default."""

from __future__ import annotations

from typing import Literal

from lambent.core.operations import Scope
from lambent.storage.database import Transaction
from lambent.storage.migrations import Migration

MIGRATIONS = (
    Migration(
        room="lambda.recursion",
        version=1,
        statements=(
            """CREATE TABLE lambda_recursion (
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                function_name TEXT NOT NULL,
                recursive_loop TEXT NOT NULL,
                PRIMARY KEY (account, region, function_name)
            )""",
        ),
    ),
)

RecursiveLoop = Literal["Allow", "Terminate"]

_FUNCTION = "account = ? AND region = ? AND function_name = ?"


def find_recursive_loop(tx: Transaction, scope: Scope, name: str) -> RecursiveLoop | None:
    """What was put for the function, None when nothing was."""
    row = tx.one(f"SELECT recursive_loop FROM lambda_recursion WHERE {_FUNCTION}", (scope.account, scope.region, name))
    if row is None:
        return None
    return "Allow" if row["recursive_loop"] == "Allow" else "Terminate"


def save_recursive_loop(tx: Transaction, scope: Scope, name: str, recursive_loop: RecursiveLoop) -> None:
    tx.execute(
        "INSERT INTO lambda_recursion (account, region, function_name, recursive_loop) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (account, region, function_name) DO UPDATE SET recursive_loop = excluded.recursive_loop",
        (scope.account, scope.region, name, recursive_loop),
    )


def delete_recursive_loop(tx: Transaction, scope: Scope, name: str) -> None:
    tx.execute(f"DELETE FROM lambda_recursion WHERE {_FUNCTION}", (scope.account, scope.region, name))
