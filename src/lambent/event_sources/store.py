"""Event source mappings on disk."""

from __future__ import annotations

from typing import Final

import msgspec

from lambent.core.operations import Scope
from lambent.event_sources.model import EventSourceMapping, Settings
from lambent.storage.database import Row, Transaction, Value
from lambent.storage.migrations import Migration

MIGRATIONS: Final = (
    Migration(
        room="event_sources",
        version=1,
        statements=(
            """CREATE TABLE event_source_mappings (
                uuid TEXT PRIMARY KEY,
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                function_name TEXT NOT NULL,
                qualifier TEXT,
                function_arn TEXT NOT NULL,
                event_source_arn TEXT NOT NULL,
                settings BLOB NOT NULL,
                enabled INTEGER NOT NULL,
                state TEXT NOT NULL,
                last_modified REAL NOT NULL
            )""",
            # One function reads one queue through one mapping.
            """CREATE UNIQUE INDEX event_source_mappings_by_source
                ON event_source_mappings (event_source_arn, function_arn)""",
            """CREATE INDEX event_source_mappings_by_function
                ON event_source_mappings (account, region, function_name)""",
        ),
    ),
)

_COLUMNS: Final = (
    "uuid, account, region, function_name, qualifier, function_arn, event_source_arn, settings, enabled, state, "
    "last_modified"
)
_SETTINGS: Final = msgspec.json.Decoder(Settings)


def insert(tx: Transaction, mapping: EventSourceMapping) -> None:
    tx.execute(
        f"INSERT INTO event_source_mappings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _row(mapping)
    )


def update(tx: Transaction, mapping: EventSourceMapping) -> None:
    """Store all that can change of the mapping."""
    uuid, _, _, *changing = _row(mapping)
    tx.execute(
        "UPDATE event_source_mappings SET function_name = ?, qualifier = ?, function_arn = ?, event_source_arn = ?, "
        "settings = ?, enabled = ?, state = ?, last_modified = ? WHERE uuid = ?",
        (*changing, uuid),
    )


def delete(tx: Transaction, uuid: str) -> None:
    tx.execute("DELETE FROM event_source_mappings WHERE uuid = ?", (uuid,))


def find(tx: Transaction, scope: Scope, uuid: str) -> EventSourceMapping | None:
    row = tx.one(
        f"SELECT {_COLUMNS} FROM event_source_mappings WHERE uuid = ? AND account = ? AND region = ?",
        (uuid, scope.account, scope.region),
    )
    return None if row is None else _mapping(row)


def find_pair(tx: Transaction, event_source_arn: str, function_arn: str) -> EventSourceMapping | None:
    """The mapping of this queue to this function, version or alias."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM event_source_mappings WHERE event_source_arn = ? AND function_arn = ?",
        (event_source_arn, function_arn),
    )
    return None if row is None else _mapping(row)


def page(
    tx: Transaction, scope: Scope, *, event_source_arn: str | None, function_arn: str | None, after: str, limit: int
) -> list[EventSourceMapping]:
    """At most `limit` mappings of the scope in the order of UUIDs, of one queue or function where one is given."""
    wanted, values = "account = ? AND region = ? AND uuid > ?", [scope.account, scope.region, after]
    for column, value in (("event_source_arn", event_source_arn), ("function_arn", function_arn)):
        if value is not None:
            wanted += f" AND {column} = ?"
            values.append(value)
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM event_source_mappings WHERE {wanted} ORDER BY uuid LIMIT ?", (*values, limit)
    )
    return [_mapping(row) for row in rows]


def related(tx: Transaction, mapping: EventSourceMapping) -> list[EventSourceMapping]:
    """The other mappings of its queue, and those of its function whatever the version or alias."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM event_source_mappings WHERE uuid <> ? AND (event_source_arn = ? "
        "OR (account = ? AND region = ? AND function_name = ?)) ORDER BY uuid",
        (
            mapping.uuid,
            mapping.event_source_arn,
            mapping.scope.account,
            mapping.scope.region,
            mapping.function_name,
        ),
    )
    return [_mapping(row) for row in rows]


def exists(tx: Transaction, scope: Scope, uuid: str) -> bool:
    """Whether the scope has this mapping (to tag it)."""
    return find(tx, scope, uuid) is not None


def everything(tx: Transaction) -> list[EventSourceMapping]:
    """The mappings of every scope, in the order of their UUIDs."""
    return [_mapping(row) for row in tx.all(f"SELECT {_COLUMNS} FROM event_source_mappings ORDER BY uuid")]


def _row(mapping: EventSourceMapping) -> tuple[Value, ...]:
    return (
        mapping.uuid,
        mapping.scope.account,
        mapping.scope.region,
        mapping.function_name,
        mapping.qualifier,
        mapping.function_arn,
        mapping.event_source_arn,
        msgspec.json.encode(mapping.settings),
        int(mapping.enabled),
        mapping.state,
        mapping.last_modified,
    )


def _mapping(row: Row) -> EventSourceMapping:
    return EventSourceMapping(
        uuid=row["uuid"],
        scope=Scope(account=row["account"], region=row["region"]),
        function_name=row["function_name"],
        qualifier=row["qualifier"],
        function_arn=row["function_arn"],
        event_source_arn=row["event_source_arn"],
        settings=_SETTINGS.decode(row["settings"]),
        enabled=bool(row["enabled"]),
        state=row["state"],
        last_modified=float(row["last_modified"]),
    )
