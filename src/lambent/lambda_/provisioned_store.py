"""Provisioned concurrency of versions and aliases."""

from __future__ import annotations

import msgspec

from lambent.core.operations import Scope
from lambent.storage.database import Row, Transaction
from lambent.storage.migrations import Migration

MIGRATIONS = (
    Migration(
        room="lambda.provisioned",
        version=1,
        statements=(
            # `version` is what an alias pointed at when this was put; a config ends when its alias moves.
            """CREATE TABLE lambda_provisioned_concurrency (
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                function_name TEXT NOT NULL,
                qualifier TEXT NOT NULL,
                version TEXT NOT NULL,
                executions INTEGER NOT NULL,
                last_modified REAL NOT NULL,
                PRIMARY KEY (account, region, function_name, qualifier)
            )""",
        ),
    ),
)

_COLUMNS = "account, region, function_name, qualifier, version, executions, last_modified"
_FUNCTION = "account = ? AND region = ? AND function_name = ?"


class ProvisionedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """So many environments of `version`, asked for on `qualifier`: that version's number, or an alias of it."""

    scope: Scope
    name: str
    qualifier: str
    version: str
    executions: int
    last_modified: float  # epoch seconds


def find_config(tx: Transaction, scope: Scope, name: str, qualifier: str) -> ProvisionedConfig | None:
    row = tx.one(
        f"SELECT {_COLUMNS} FROM lambda_provisioned_concurrency WHERE {_FUNCTION} AND qualifier = ?",
        (scope.account, scope.region, name, qualifier),
    )
    return None if row is None else _config(row)


def save_config(tx: Transaction, config: ProvisionedConfig) -> None:
    """Store the config in place of any earlier one on that qualifier."""
    tx.execute(
        f"INSERT INTO lambda_provisioned_concurrency ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (account, region, function_name, qualifier) DO UPDATE SET version = excluded.version, "
        "executions = excluded.executions, last_modified = excluded.last_modified",
        (
            config.scope.account,
            config.scope.region,
            config.name,
            config.qualifier,
            config.version,
            config.executions,
            config.last_modified,
        ),
    )


def delete_config(tx: Transaction, scope: Scope, name: str, qualifier: str) -> None:
    tx.execute(
        f"DELETE FROM lambda_provisioned_concurrency WHERE {_FUNCTION} AND qualifier = ?",
        (scope.account, scope.region, name, qualifier),
    )


def delete_configs(tx: Transaction, scope: Scope, name: str) -> None:
    """Remove every config of the function."""
    tx.execute(f"DELETE FROM lambda_provisioned_concurrency WHERE {_FUNCTION}", (scope.account, scope.region, name))


def configs_of(tx: Transaction, scope: Scope, name: str) -> list[ProvisionedConfig]:
    """Every config of the function, in the order of qualifiers."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM lambda_provisioned_concurrency WHERE {_FUNCTION} ORDER BY qualifier",
        (scope.account, scope.region, name),
    )
    return [_config(row) for row in rows]


def functions_with_configs(tx: Transaction) -> list[tuple[Scope, str]]:
    """Every function of every scope that has one: `(scope, name)`."""
    rows = tx.all("SELECT DISTINCT account, region, function_name FROM lambda_provisioned_concurrency")
    return [(Scope(account=row["account"], region=row["region"]), row["function_name"]) for row in rows]


def of_function(tx: Transaction, scope: Scope, name: str, *, but: str = "") -> int:
    """What all configs of the function ask for, without the one on the qualifier `but`."""
    row = tx.one(
        "SELECT COALESCE(SUM(executions), 0) AS total FROM lambda_provisioned_concurrency "
        f"WHERE {_FUNCTION} AND qualifier <> ?",
        (scope.account, scope.region, name, but),
    )
    return int(row["total"]) if row is not None else 0


def of_unreserved(tx: Transaction, scope: Scope) -> int:
    """What the configs of all functions without reserved concurrency ask for."""
    row = tx.one(
        "SELECT COALESCE(SUM(p.executions), 0) AS total FROM lambda_provisioned_concurrency p "
        "WHERE p.account = ? AND p.region = ? AND NOT EXISTS (SELECT 1 FROM lambda_reserved_concurrency r "
        "WHERE r.account = p.account AND r.region = p.region AND r.function_name = p.function_name)",
        (scope.account, scope.region),
    )
    return int(row["total"]) if row is not None else 0


def _config(row: Row) -> ProvisionedConfig:
    return ProvisionedConfig(
        scope=Scope(account=row["account"], region=row["region"]),
        name=row["function_name"],
        qualifier=row["qualifier"],
        version=row["version"],
        executions=int(row["executions"]),
        last_modified=float(row["last_modified"]),
    )
