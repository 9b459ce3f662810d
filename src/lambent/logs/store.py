"""The tables of the logs database, and every statement on them, as units of work.

Chunk ids grow in the order of arrival over all groups: followers read on from an id, the quota removes from the lowest.
Time order within a group or stream is by `last_ms`: going down that index, no later chunk holds a later event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from lambent.core.operations import Scope
from lambent.logs.model import Chunk, LogRecord, unpack
from lambent.storage.database import Row, Transaction
from lambent.storage.migrations import Migration

# What a chunk takes on disk beside its body: its row and its entries in two indexes.
CHUNK_OVERHEAD_BYTES: Final = 160

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
)


class StoredChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk as read: `records` gives its events."""

    id: int
    stream: str
    first_sequence: int
    last_ms: int
    ingested_ms: int
    body: bytes

    def records(self) -> list[LogRecord]:
        return [
            LogRecord(
                stream=self.stream,
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
                "INSERT INTO log_groups VALUES (?, ?, ?, ?, ?, 0)",
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
                "INSERT INTO log_streams VALUES (?, ?, ?, ?, ?, ?, ?)",
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
    rows = tx.all(
        "SELECT id, group_id, stream_id, size_bytes, disk_bytes FROM log_chunks ORDER BY id LIMIT ?", (limit,)
    )
    next_id, disk_bytes = _totals(tx)
    if not rows:
        return disk_bytes
    tx.execute("DELETE FROM log_chunks WHERE id <= ?", (rows[-1]["id"],))
    removed: dict[int, int] = {}
    for row in rows:
        removed[row["group_id"]] = removed.get(row["group_id"], 0) + row["size_bytes"]
        disk_bytes -= row["disk_bytes"]
    for group_id, size_bytes in removed.items():
        tx.execute("UPDATE log_groups SET stored_bytes = stored_bytes - ? WHERE id = ?", (size_bytes, group_id))
    for stream_id in {row["stream_id"] for row in rows}:
        if tx.one("SELECT id FROM log_chunks WHERE stream_id = ? LIMIT 1", (stream_id,)) is None:
            tx.execute("DELETE FROM log_streams WHERE id = ?", (stream_id,))
    tx.execute("UPDATE log_totals SET next_id = ?, disk_bytes = ?", (next_id, disk_bytes))
    return disk_bytes


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
    "SELECT c.id, s.name AS stream, c.first_sequence, c.last_ms, c.ingested_ms, c.body"
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


def _totals(tx: Transaction) -> tuple[int, int]:
    row = tx.one("SELECT next_id, disk_bytes FROM log_totals")
    assert row is not None  # written with the table
    return row["next_id"], row["disk_bytes"]


def _stored(row: Row) -> StoredChunk:
    values: dict[str, Any] = {name: row[name] for name in StoredChunk.__struct_fields__}
    return StoredChunk(**values)
