"""Resource policies of functions, one document for each qualifier ("" for the unqualified function)."""

from __future__ import annotations

from lambent.core.operations import Scope
from lambent.storage.database import Transaction
from lambent.storage.migrations import Migration

MIGRATIONS = (
    Migration(
        room="lambda.policies",
        version=1,
        statements=(
            """CREATE TABLE lambda_policies (
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                function_name TEXT NOT NULL,
                qualifier TEXT NOT NULL,
                document TEXT NOT NULL,
                PRIMARY KEY (account, region, function_name, qualifier)
            )""",
        ),
    ),
)

_WHERE = "WHERE account = ? AND region = ? AND function_name = ?"


def find_policy(tx: Transaction, scope: Scope, name: str, qualifier: str | None) -> str | None:
    """The policy document as JSON text, None where there is none."""
    row = tx.one(
        f"SELECT document FROM lambda_policies {_WHERE} AND qualifier = ?",
        (scope.account, scope.region, name, qualifier or ""),
    )
    return None if row is None else str(row["document"])


def save_policy(tx: Transaction, scope: Scope, name: str, qualifier: str | None, document: str) -> None:
    """Store the document in place of any earlier one."""
    tx.execute(
        "INSERT INTO lambda_policies (account, region, function_name, qualifier, document) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (account, region, function_name, qualifier) DO UPDATE SET document = excluded.document",
        (scope.account, scope.region, name, qualifier or "", document),
    )


def delete_policy(tx: Transaction, scope: Scope, name: str, qualifier: str | None) -> None:
    tx.execute(
        f"DELETE FROM lambda_policies {_WHERE} AND qualifier = ?", (scope.account, scope.region, name, qualifier or "")
    )


def delete_policies(tx: Transaction, scope: Scope, name: str) -> None:
    """Remove the policies of every qualifier of the function."""
    tx.execute(f"DELETE FROM lambda_policies {_WHERE}", (scope.account, scope.region, name))
