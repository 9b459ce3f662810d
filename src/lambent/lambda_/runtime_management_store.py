"""Runtime management configurations, one for each version of a function."""

from __future__ import annotations

from typing import Literal

import msgspec

from lambent.core.operations import Scope
from lambent.storage.database import Transaction
from lambent.storage.migrations import Migration

MIGRATIONS = (
    Migration(
        room="lambda.runtime_management",
        version=1,
        statements=(
            """CREATE TABLE lambda_runtime_management (
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                function_name TEXT NOT NULL,
                version TEXT NOT NULL,
                update_runtime_on TEXT NOT NULL,
                runtime_version_arn TEXT,
                PRIMARY KEY (account, region, function_name, version)
            )""",
        ),
    ),
)

UpdateRuntimeOn = Literal["Auto", "FunctionUpdate", "Manual"]

_WHERE = "WHERE account = ? AND region = ? AND function_name = ?"


class RuntimeManagement(msgspec.Struct, frozen=True, kw_only=True):
    """When a version moves to a newer runtime version; `runtime_version_arn` exists with Manual only."""

    update_runtime_on: UpdateRuntimeOn = "Auto"
    runtime_version_arn: str | None = None


def find_runtime_management(tx: Transaction, scope: Scope, name: str, version: str) -> RuntimeManagement | None:
    row = tx.one(
        f"SELECT update_runtime_on, runtime_version_arn FROM lambda_runtime_management {_WHERE} AND version = ?",
        (scope.account, scope.region, name, version),
    )
    if row is None:
        return None
    return RuntimeManagement(update_runtime_on=row["update_runtime_on"], runtime_version_arn=row["runtime_version_arn"])


def save_runtime_management(
    tx: Transaction, scope: Scope, name: str, version: str, management: RuntimeManagement
) -> None:
    """Store the configuration in place of any earlier one of that version."""
    tx.execute(
        "INSERT INTO lambda_runtime_management (account, region, function_name, version, update_runtime_on, "
        "runtime_version_arn) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, region, function_name, version) "
        "DO UPDATE SET update_runtime_on = excluded.update_runtime_on, "
        "runtime_version_arn = excluded.runtime_version_arn",
        (
            scope.account,
            scope.region,
            name,
            version,
            management.update_runtime_on,
            management.runtime_version_arn,
        ),
    )


def delete_version(tx: Transaction, scope: Scope, name: str, version: str) -> None:
    tx.execute(
        f"DELETE FROM lambda_runtime_management {_WHERE} AND version = ?", (scope.account, scope.region, name, version)
    )


def delete_function(tx: Transaction, scope: Scope, name: str) -> None:
    """Remove the configurations of every version of the function."""
    tx.execute(f"DELETE FROM lambda_runtime_management {_WHERE}", (scope.account, scope.region, name))
