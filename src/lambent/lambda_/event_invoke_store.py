"""Event invoke configurations, one for each qualifier of a function."""

from __future__ import annotations

import msgspec

from lambent.core.operations import Scope
from lambent.storage.database import Row, Transaction
from lambent.storage.migrations import Migration

MIGRATIONS = (
    Migration(
        room="lambda.event_invoke",
        version=1,
        statements=(
            """CREATE TABLE lambda_event_invoke_configs (
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                function_name TEXT NOT NULL,
                qualifier TEXT NOT NULL,
                last_modified DOUBLE PRECISION NOT NULL,
                maximum_retry_attempts INTEGER,
                maximum_event_age_s INTEGER,
                on_success TEXT,
                on_failure TEXT,
                PRIMARY KEY (account, region, function_name, qualifier)
            )""",
        ),
    ),
)

_WHERE = "WHERE account = ? AND region = ? AND function_name = ?"


class EventInvokeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How asynchronous invokes of one qualifier retry and where their results go (destinations are ARNs)."""

    qualifier: str  # "$LATEST", a version or an alias
    last_modified: float  # epoch seconds
    maximum_retry_attempts: int | None = None
    maximum_event_age_s: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


def find_config(tx: Transaction, scope: Scope, name: str, qualifier: str) -> EventInvokeConfig | None:
    row = tx.one(
        f"SELECT * FROM lambda_event_invoke_configs {_WHERE} AND qualifier = ?",
        (scope.account, scope.region, name, qualifier),
    )
    return None if row is None else _config(row)


def list_configs(tx: Transaction, scope: Scope, name: str, after: str, limit: int) -> list[EventInvokeConfig]:
    """At most `limit` configurations in qualifier order, after the qualifier `after` ("" for the first page)."""
    rows = tx.all(
        f"SELECT * FROM lambda_event_invoke_configs {_WHERE} AND qualifier > ? ORDER BY qualifier LIMIT ?",
        (scope.account, scope.region, name, after, limit),
    )
    return [_config(row) for row in rows]


def save_config(tx: Transaction, scope: Scope, name: str, config: EventInvokeConfig) -> None:
    """Store the configuration in place of any earlier one of its qualifier."""
    delete_config(tx, scope, name, config.qualifier)
    tx.execute(
        "INSERT INTO lambda_event_invoke_configs (account, region, function_name, qualifier, last_modified, "
        "maximum_retry_attempts, maximum_event_age_s, on_success, on_failure) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            scope.account,
            scope.region,
            name,
            config.qualifier,
            config.last_modified,
            config.maximum_retry_attempts,
            config.maximum_event_age_s,
            config.on_success,
            config.on_failure,
        ),
    )


def delete_config(tx: Transaction, scope: Scope, name: str, qualifier: str) -> int:
    """Remove the qualifier's configuration; the number removed (0 or 1)."""
    return tx.execute(
        f"DELETE FROM lambda_event_invoke_configs {_WHERE} AND qualifier = ?",
        (scope.account, scope.region, name, qualifier),
    )


def delete_configs(tx: Transaction, scope: Scope, name: str) -> None:
    """Remove the configurations of every qualifier of the function."""
    tx.execute(f"DELETE FROM lambda_event_invoke_configs {_WHERE}", (scope.account, scope.region, name))


def _config(row: Row) -> EventInvokeConfig:
    return EventInvokeConfig(
        qualifier=row["qualifier"],
        last_modified=row["last_modified"],
        maximum_retry_attempts=row["maximum_retry_attempts"],
        maximum_event_age_s=row["maximum_event_age_s"],
        on_success=row["on_success"],
        on_failure=row["on_failure"],
    )
