"""The tables of the logs database, and every statement on them, as units of work.

Chunk ids grow in the order of arrival over all groups: followers read on from an id, the quota removes from the lowest.
Time order within a group or stream is by `last_ms`: going down that index, no later chunk holds a later event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from lambent.core.operations import Scope
from lambent.logs.model import CHUNK_SPAN_MS, Chunk, LogRecord, unpack
from lambent.storage.database import Row, Transaction
from lambent.storage.migrations import Migration

# What a chunk takes on disk beside its body: its row and its entries in four indexes.
CHUNK_OVERHEAD_BYTES: Final = 220

MIGRATIONS: Final = (
    Migration(
        room="logs",
        version=1,
        statements=(
            """CREATE TABLE log_groups (
                id INTEGER PRIMARY KEY,
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                name TEXT NOT NULL,
                created_ms INTEGER NOT NULL,
                stored_bytes INTEGER NOT NULL,
                UNIQUE (account, region, name)
            )""",
            """CREATE TABLE log_streams (
                id INTEGER PRIMARY KEY,
                group_id INTEGER NOT NULL,
                name TEXT NOT NULL,
                created_ms INTEGER NOT NULL,
                last_event_ms INTEGER NOT NULL,
                last_ingestion_ms INTEGER NOT NULL,
                next_sequence INTEGER NOT NULL,
                UNIQUE (group_id, name)
            )""",
            """CREATE TABLE log_chunks (
                id INTEGER PRIMARY KEY,
                group_id INTEGER NOT NULL,
                stream_id INTEGER NOT NULL,
                first_sequence INTEGER NOT NULL,
                first_ms INTEGER NOT NULL,
                last_ms INTEGER NOT NULL,
                ingested_ms INTEGER NOT NULL,
                events INTEGER NOT NULL,
                size_bytes INTEGER NOT NULL,
                disk_bytes INTEGER NOT NULL,
                body BLOB NOT NULL
            )""",
            "CREATE INDEX log_chunks_by_group ON log_chunks (group_id, last_ms, id)",
            "CREATE INDEX log_chunks_by_stream ON log_chunks (stream_id, last_ms, id)",
            """CREATE TABLE log_totals (
                id INTEGER PRIMARY KEY,
                next_id INTEGER NOT NULL,
                disk_bytes INTEGER NOT NULL
            )""",
            "INSERT INTO log_totals VALUES (1, 1, 0)",
        ),
    ),
    Migration(
        room="logs",
        version=2,
        statements=(
            "ALTER TABLE log_groups ADD COLUMN retention_days INTEGER",
            "ALTER TABLE log_groups ADD COLUMN tags TEXT NOT NULL DEFAULT '{}'",
            # Made by CreateLogStream: stays when it has become empty.
            "ALTER TABLE log_streams ADD COLUMN kept INTEGER NOT NULL DEFAULT 0",
            "CREATE INDEX log_streams_by_time ON log_streams (group_id, last_event_ms, name)",
            "CREATE INDEX log_chunks_by_group_start ON log_chunks (group_id, first_ms, id)",
            "CREATE INDEX log_chunks_by_stream_start ON log_chunks (stream_id, first_ms, id)",
            # Groups and streams (stream_id not 0) that are deleted, but whose chunks are still there.
            "CREATE TABLE log_removals (id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, stream_id INTEGER NOT NULL)",
        ),
    ),
)


class StoredChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk as read: `records` gives its events."""

    id: int
    stream: str
    stream_id: int
    first_sequence: int
    first_ms: int
    last_ms: int
    ingested_ms: int
    body: bytes

    def records(self) -> list[LogRecord]:
        return [
            LogRecord(
                stream=self.stream,
                stream_id=self.stream_id,
                timestamp_ms=timestamp_ms,
                ingested_ms=self.ingested_ms,
                sequence=sequence,
                message=message,
            )
            for sequence, (timestamp_ms, message) in enumerate(unpack(self.body), self.first_sequence)
        ]


def append(tx: Transaction, chunks: Sequence[Chunk], now_ms: int) -> int:
    """Store `chunks` in their order, with groups and streams that are missing; what all logs now take on disk."""
    next_id, disk_bytes = _totals(tx)
    for chunk in chunks:
        group = tx.one(
            "SELECT id FROM log_groups WHERE account = ? AND region = ? AND name = ?",
            (chunk.scope.account, chunk.scope.region, chunk.group),
        )
        if group is None:
            group_id, next_id = next_id, next_id + 1
            tx.execute(
                "INSERT INTO log_groups (id, account, region, name, created_ms, stored_bytes)"
                " VALUES (?, ?, ?, ?, ?, 0)",
                (group_id, chunk.scope.account, chunk.scope.region, chunk.group, now_ms),
            )
        else:
            group_id = group["id"]
        stream = tx.one(
            "SELECT id, next_sequence FROM log_streams WHERE group_id = ? AND name = ?", (group_id, chunk.stream)
        )
        if stream is None:
            stream_id, next_id, sequence = next_id, next_id + 1, 0
            tx.execute(
                "INSERT INTO log_streams"
                " (id, group_id, name, created_ms, last_event_ms, last_ingestion_ms, next_sequence)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (stream_id, group_id, chunk.stream, now_ms, chunk.last_ms, now_ms, chunk.events),
            )
        else:
            stream_id, sequence = stream["id"], stream["next_sequence"]
            tx.execute(
                "UPDATE log_streams SET next_sequence = ?, last_ingestion_ms = ?,"
                " last_event_ms = CASE WHEN last_event_ms < ? THEN ? ELSE last_event_ms END WHERE id = ?",
                (sequence + chunk.events, now_ms, chunk.last_ms, chunk.last_ms, stream_id),
            )
        tx.execute("UPDATE log_groups SET stored_bytes = stored_bytes + ? WHERE id = ?", (chunk.size_bytes, group_id))
        chunk_bytes = len(chunk.body) + CHUNK_OVERHEAD_BYTES
        tx.execute(
            "INSERT INTO log_chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                next_id,
                group_id,
                stream_id,
                sequence,
                chunk.first_ms,
                chunk.last_ms,
                now_ms,
                chunk.events,
                chunk.size_bytes,
                chunk_bytes,
                chunk.body,
            ),
        )
        next_id += 1
        disk_bytes += chunk_bytes
    tx.execute("UPDATE log_totals SET next_id = ?, disk_bytes = ?", (next_id, disk_bytes))
    return disk_bytes


def remove_oldest(tx: Transaction, limit: int) -> int:
    """Remove the `limit` chunks that were stored first, and streams left without any; what remains on disk.

    A stream whose environment still writes comes back with its next line.
    """
    rows = tx.all(f"{_SIZES} ORDER BY id LIMIT ?", (limit,))
    forget(tx, rows)
    return disk_bytes(tx)


def remove_expired(tx: Transaction, group_id: int, before_ms: int, limit: int) -> int:
    """Remove `limit` chunks of a group that ended before `before_ms`, and streams left without any; how many went."""
    rows = tx.all(f"{_SIZES} WHERE group_id = ? AND last_ms < ? ORDER BY last_ms LIMIT ?", (group_id, before_ms, limit))
    forget(tx, rows)
    return len(rows)


def forget(tx: Transaction, rows: Sequence[Row]) -> None:
    """Remove the chunks in `rows` (of `_SIZES`), and streams that nobody made by hand and that are left empty."""
    removed: dict[int, int] = {}
    freed_bytes = 0
    for row in rows:
        tx.execute("DELETE FROM log_chunks WHERE id = ?", (row["id"],))
        removed[row["group_id"]] = removed.get(row["group_id"], 0) + row["size_bytes"]
        freed_bytes += row["disk_bytes"]
    for group_id, size_bytes in removed.items():
        tx.execute("UPDATE log_groups SET stored_bytes = stored_bytes - ? WHERE id = ?", (size_bytes, group_id))
    for stream_id in {row["stream_id"] for row in rows}:
        if tx.one("SELECT id FROM log_chunks WHERE stream_id = ? LIMIT 1", (stream_id,)) is None:
            tx.execute("DELETE FROM log_streams WHERE id = ? AND kept = 0", (stream_id,))
    tx.execute("UPDATE log_totals SET disk_bytes = disk_bytes - ?", (freed_bytes,))


_SIZES: Final = "SELECT id, group_id, stream_id, size_bytes, disk_bytes FROM log_chunks"


def chunks_of(tx: Transaction, group_id: int, stream_id: int, limit: int) -> list[Row]:
    """Some chunks of a group, or with a `stream_id` other than 0 of that stream, for `forget`."""
    if stream_id:
        return tx.all(f"{_SIZES} WHERE stream_id = ? LIMIT ?", (stream_id, limit))
    return tx.all(f"{_SIZES} WHERE group_id = ? LIMIT ?", (group_id, limit))


def take_id(tx: Transaction) -> int:
    """An id that no group, stream or chunk has had before."""
    next_id, _ = _totals(tx)
    tx.execute("UPDATE log_totals SET next_id = ?", (next_id + 1,))
    return next_id


def disk_bytes(tx: Transaction) -> int:
    """What all logs take on disk, about: pages are larger."""
    return _totals(tx)[1]


def newest_id(tx: Transaction) -> int:
    """The id below which every chunk stored so far lies; ids only grow, also when everything was removed."""
    return _totals(tx)[0] - 1


def stored_bytes(tx: Transaction, scope: Scope, group: str) -> int | None:
    """A group's size as AWS counts it; None when there is no such group."""
    row = tx.one(
        "SELECT stored_bytes FROM log_groups WHERE account = ? AND region = ? AND name = ?",
        (scope.account, scope.region, group),
    )
    return None if row is None else int(row["stored_bytes"])


def find_group(tx: Transaction, scope: Scope, name: str) -> int | None:
    """The id of a log group."""
    row = tx.one(
        "SELECT id FROM log_groups WHERE account = ? AND region = ? AND name = ?", (scope.account, scope.region, name)
    )
    return None if row is None else int(row["id"])


_CHUNK: Final = (
    "SELECT c.id, s.name AS stream, c.stream_id, c.first_sequence, c.first_ms, c.last_ms, c.ingested_ms, c.body"
    " FROM log_chunks c JOIN log_streams s ON s.id = c.stream_id"
)


def chunks_after(tx: Transaction, group_id: int, after_id: int, limit: int) -> list[StoredChunk]:
    """The chunks of a group that were stored after `after_id`, in the order of arrival."""
    # The unary plus keeps the planner on the primary key: few chunks are newer, whatever their group.
    rows = tx.all(f"{_CHUNK} WHERE +c.group_id = ? AND c.id > ? ORDER BY c.id LIMIT ?", (group_id, after_id, limit))
    return [_stored(row) for row in rows]


def chunks_before(
    tx: Transaction, group_id: int, *, since_ms: int, before: tuple[int, int] | None, limit: int
) -> list[StoredChunk]:
    """The chunks of a group with events at or after `since_ms`, the latest first, below `before` (`last_ms`, `id`)."""
    last_ms, chunk_id = before or (2**62, 0)
    rows = tx.all(
        f"{_CHUNK} WHERE c.group_id = ? AND c.last_ms >= ? AND (c.last_ms, c.id) < (?, ?)"
        " ORDER BY c.last_ms DESC, c.id DESC LIMIT ?",
        (group_id, since_ms, last_ms, chunk_id, limit),
    )
    return [_stored(row) for row in rows]


class Head(NamedTuple):
    """A chunk without its events; `at_ms` is when it begins, reading backwards when it ends."""

    id: int
    stream: str
    at_ms: int


def heads(
    tx: Transaction,
    *,
    group_id: int,
    stream_id: int,
    since_ms: int,
    until_ms: int,
    beyond: tuple[int, int] | None,
    forward: bool,
    limit: int,
) -> list[Head]:
    """The chunks of a group (of one stream, where `stream_id` is not 0) that may hold events of a time span.

    Forward they come in the order in which they begin, backwards in that in which they end, beyond (`at_ms`, `id`).
    """
    of, owner = ("stream_id", stream_id) if stream_id else ("group_id", group_id)
    at, order, sign = ("first_ms", "ASC", ">") if forward else ("last_ms", "DESC", "<")
    # A chunk spans CHUNK_SPAN_MS at most, so those that begin long before the span need not be looked at.
    low, high = max(-1, since_ms - CHUNK_SPAN_MS), min(until_ms + CHUNK_SPAN_MS, 2**62)
    at_ms, chunk_id = beyond or ((low, -1) if forward else (high, 2**62))
    rows = tx.all(
        f"SELECT c.id, s.name, c.{at} FROM log_chunks c CROSS JOIN log_streams s ON s.id = c.stream_id"
        f" WHERE c.{of} = ? AND (c.{at}, c.id) {sign} (?, ?) AND c.{at} BETWEEN ? AND ?"
        " AND +c.first_ms <= ? AND +c.last_ms >= ?"
        f" ORDER BY c.{at} {order}, c.id {order} LIMIT ?",
        (owner, at_ms, chunk_id, low, high, until_ms, since_ms, limit),
    )
    return [Head(row[0], row[1], row[2]) for row in rows]


def read_chunks(tx: Transaction, ids: Sequence[int]) -> list[StoredChunk]:
    """The chunks with these ids (few), in no order."""
    places = ", ".join("?" * len(ids))
    return [_stored(row) for row in tx.all(f"{_CHUNK} WHERE c.id IN ({places})", tuple(ids))]


def _totals(tx: Transaction) -> tuple[int, int]:
    row = tx.one("SELECT next_id, disk_bytes FROM log_totals")
    assert row is not None  # written with the table
    return row["next_id"], row["disk_bytes"]


def _stored(row: Row) -> StoredChunk:
    values: dict[str, Any] = {name: row[name] for name in StoredChunk.__struct_fields__}
    return StoredChunk(**values)
