"""Reserved concurrent executions of functions."""

from __future__ import annotations

from collections.abc import Iterator

from lambent.core.operations import Scope
from lambent.storage.database import Transaction
from lambent.storage.migrations import Migration

MIGRATIONS = (
    Migration(
        room="lambda.concurrency",
        version=1,
        statements=(
            """CREATE TABLE lambda_reserved_concurrency (
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                function_name TEXT NOT NULL,
                executions INTEGER NOT NULL,
                PRIMARY KEY (account, region, function_name)
            )""",
        ),
    ),
)

_FUNCTION = "account = ? AND region = ? AND function_name = ?"


def find_reserved(tx: Transaction, scope: Scope, name: str) -> int | None:
    """The function's reserved concurrent executions, None when none are reserved."""
    row = tx.one(
        f"SELECT executions FROM lambda_reserved_concurrency WHERE {_FUNCTION}", (scope.account, scope.region, name)
    )
    return None if row is None else int(row["executions"])


def reserved_by_others(tx: Transaction, scope: Scope, name: str) -> int:
    """What all functions of the scope but this one have reserved."""
    row = tx.one(
        "SELECT COALESCE(SUM(executions), 0) AS total FROM lambda_reserved_concurrency "
        "WHERE account = ? AND region = ? AND function_name <> ?",
        (scope.account, scope.region, name),
    )
    return int(row["total"]) if row is not None else 0


def reserved_in(tx: Transaction, scope: Scope) -> int:
    """What all functions of the scope have reserved."""
    return reserved_by_others(tx, scope, "")


def save_reserved(tx: Transaction, scope: Scope, name: str, executions: int) -> None:
    tx.execute(
        "INSERT INTO lambda_reserved_concurrency (account, region, function_name, executions) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (account, region, function_name) DO UPDATE SET executions = excluded.executions",
        (scope.account, scope.region, name, executions),
    )


def delete_reserved(tx: Transaction, scope: Scope, name: str) -> None:
    tx.execute(f"DELETE FROM lambda_reserved_concurrency WHERE {_FUNCTION}", (scope.account, scope.region, name))


def all_reserved(tx: Transaction) -> Iterator[tuple[Scope, str, int]]:
    """Every reservation of every scope: `(scope, function name, executions)`."""
    for row in tx.all("SELECT account, region, function_name, executions FROM lambda_reserved_concurrency"):
        yield (
            Scope(account=row["account"], region=row["region"]),
            row["function_name"],
            int(row["executions"]),
        )
