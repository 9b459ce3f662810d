"""Log streams: their rows. Every function here runs inside a unit of work."""

from __future__ import annotations

from typing import Final

import msgspec

from lambent.logs import store
from lambent.logs.errors import ResourceAlreadyExists, no_such_stream
from lambent.logs.groups import LogGroup
from lambent.storage.database import Row, Transaction


class LogStream(msgspec.Struct, frozen=True, kw_only=True):
    """One log stream. The times of events are None while it has none; `next_sequence` counts those it ever had."""

    id: int
    name: str
    created_ms: int
    first_event_ms: int | None
    last_event_ms: int | None
    last_ingestion_ms: int | None
    next_sequence: int


# The index on (stream_id, first_ms) answers the minimum from its first entry.
_STREAM: Final = (
    "SELECT id, name, created_ms, last_event_ms, last_ingestion_ms, next_sequence,"
    " (SELECT MIN(first_ms) FROM log_chunks WHERE stream_id = log_streams.id) AS first_event_ms FROM log_streams"
)


def find(tx: Transaction, group: LogGroup, name: str) -> LogStream | None:
    row = tx.one(f"{_STREAM} WHERE group_id = ? AND name = ?", (group.id, name))
    return None if row is None else _stream(row)


def require(tx: Transaction, group: LogGroup, name: str) -> LogStream:
    """The stream. Raises ResourceNotFound."""
    stream = find(tx, group, name)
    if stream is None:
        raise no_such_stream()
    return stream


def create(tx: Transaction, group: LogGroup, name: str, now_ms: int) -> None:
    """A stream that stays until somebody deletes it. Raises ResourceAlreadyExists."""
    if find(tx, group, name) is not None:
        raise ResourceAlreadyExists("The specified log stream already exists")
    tx.execute(
        "INSERT INTO log_streams"
        " (id, group_id, name, created_ms, last_event_ms, last_ingestion_ms, next_sequence, kept)"
        " VALUES (?, ?, ?, ?, 0, 0, 0, 1)",
        (store.take_id(tx), group.id, name, now_ms),
    )


def delete(tx: Transaction, group: LogGroup, name: str) -> None:
    """The stream is gone at once; its chunks go in slices, later. Raises ResourceNotFound."""
    stream = require(tx, group, name)
    tx.execute("DELETE FROM log_streams WHERE id = ?", (stream.id,))
    tx.execute("INSERT INTO log_removals (group_id, stream_id) VALUES (?, ?)", (group.id, stream.id))


def page_by_name(
    tx: Transaction, group: LogGroup, *, prefix: str, after: str | None, descending: bool, limit: int
) -> list[LogStream]:
    """Streams whose names start with `prefix`, by name, beyond the name `after`."""
    beyond, direction = ("<", "DESC") if descending else (">", "ASC")
    bound = ("\U0010ffff" if descending else "") if after is None else after
    rows = tx.all(
        f"{_STREAM} WHERE group_id = ? AND name >= ? AND name < ? AND name {beyond} ?"
        f" ORDER BY name {direction} LIMIT ?",
        (group.id, prefix, f"{prefix}\U0010ffff", bound, limit),
    )
    return [_stream(row) for row in rows]


def page_by_time(
    tx: Transaction, group: LogGroup, *, after: tuple[int, str] | None, descending: bool, limit: int
) -> list[LogStream]:
    """Streams by the time of their last event (0 without any) and name, beyond `after`."""
    beyond, direction = ("<", "DESC") if descending else (">", "ASC")
    bound = ((2**62, "") if descending else (-1, "")) if after is None else after
    rows = tx.all(
        f"{_STREAM} WHERE group_id = ? AND (last_event_ms, name) {beyond} (?, ?)"
        f" ORDER BY last_event_ms {direction}, name {direction} LIMIT ?",
        (group.id, *bound, limit),
    )
    return [_stream(row) for row in rows]


def _stream(row: Row) -> LogStream:
    written = row["next_sequence"] > 0
    return LogStream(
        id=row["id"],
        name=row["name"],
        created_ms=row["created_ms"],
        first_event_ms=row["first_event_ms"],
        last_event_ms=row["last_event_ms"] if written else None,
        last_ingestion_ms=row["last_ingestion_ms"] if written else None,
        next_sequence=row["next_sequence"],
    )
