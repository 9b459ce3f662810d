"""Messages as rows: what sending, receiving, settling and moving share. All of it runs inside units of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, cast

from lambent.queueing.state import QueueState, Tally
from lambent.storage.database import Row, Transaction

COLUMNS: Final = "seq, lane, visible_ms, fresh, receives, came_ms, sent_ms, first_ms, body, source"

INSERT: Final = (
    "INSERT INTO queueing_messages (shard, seq, lane, rank_ms, visible_ms, fresh, receives, came_ms, sent_ms, "
    "first_ms, body, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_BODY: Final = (
    "INSERT INTO queueing_bodies (id, message_id, group_id, deduplication_id, head, body, file) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_BODY_COLUMNS: Final = "message_id, group_id, deduplication_id, head, body, file"
# The next messages of a lane that could be received by `rank_ms`, in their order, with their bodies.
NEXT: Final = (
    "SELECT m.seq, m.lane, m.visible_ms, m.fresh, m.receives, m.came_ms, m.sent_ms, m.first_ms, m.body, m.source, "
    "b.message_id, b.group_id, b.deduplication_id, b.head, b.body, b.file "
    "FROM queueing_messages m CROSS JOIN queueing_bodies b ON b.id = m.body "
    "WHERE m.shard = ? AND m.lane = ? AND m.rank_ms <= ? ORDER BY m.rank_ms, m.seq LIMIT ?"
)
FIND: Final = f"SELECT {COLUMNS} FROM queueing_messages WHERE shard = ? AND seq = ?"
BODY: Final = f"SELECT {_BODY_COLUMNS} FROM queueing_bodies WHERE id = ?"
HIDE: Final = (
    "UPDATE queueing_messages SET rank_ms = ?, visible_ms = ?, fresh = 0, receives = ?, first_ms = ? "
    "WHERE shard = ? AND seq = ?"
)
SHOW: Final = "UPDATE queueing_messages SET rank_ms = ?, visible_ms = ? WHERE shard = ? AND seq = ?"
_DELETE: Final = "DELETE FROM queueing_messages WHERE shard = ? AND seq = ?"
_DELETE_BODY: Final = "DELETE FROM queueing_bodies WHERE id = ? RETURNING file"
HEAD: Final = (
    "SELECT visible_ms, fresh, rank_ms FROM queueing_messages WHERE shard = ? AND lane = ? "
    "ORDER BY rank_ms, seq LIMIT 1"
)
_SET_LANE: Final = "UPDATE queueing_lanes SET fresh = ?, open_ms = ? WHERE id = ?"
_DROP_LANE: Final = "DELETE FROM queueing_lanes WHERE id = ?"
FIND_LANE: Final = "SELECT id, fresh, open_ms FROM queueing_lanes WHERE shard = ? AND name = ?"
_INSERT_LANE: Final = "INSERT INTO queueing_lanes (id, shard, name, fresh, open_ms) VALUES (?, ?, ?, ?, ?)"


class Message(NamedTuple):
    """A row of queueing_messages, in the order of `COLUMNS`."""

    seq: int
    lane: int
    visible_ms: int
    fresh: int
    receives: int
    came_ms: int
    sent_ms: int
    first_ms: int | None
    body: int
    source: str | None


def message(row: Row) -> Message:
    return Message(*cast("Iterable[int]", row))  # type: ignore[arg-type]


def messages(rows: Sequence[Row]) -> list[Message]:
    return [message(row) for row in rows]


def find(tx: Transaction, queue: QueueState, seq: int) -> Message | None:
    row = tx.one(FIND, (queue.shard, seq))
    return None if row is None else message(row)


def kept_since_ms(queue: QueueState, message: Message) -> int:
    """Where the message's retention begins."""
    return message.came_ms if queue.fifo else message.sent_ms


def remove(tx: Transaction, queue: QueueState, gone: Sequence[Message], tally: Tally) -> None:
    """Delete messages with their bodies, and let their lanes follow."""
    if not gone:
        return
    for each in gone:
        tally.went(queue, each.visible_ms, each.fresh)
    tx.many(_DELETE, [(queue.shard, each.seq) for each in gone])
    remove_bodies(tx, gone, tally)
    settle_lanes(tx, queue, {each.lane for each in gone}, tally)


def remove_bodies(tx: Transaction, gone: Iterable[Message], tally: Tally) -> None:
    for each in gone:
        deleted = tx.one(_DELETE_BODY, (each.body,))
        if deleted is not None and deleted[0] is not None:
            tally.files.append(deleted[0])


def settle_lanes(tx: Transaction, queue: QueueState, lanes: Iterable[int], tally: Tally) -> None:
    """Bring lanes up to date with their first message; empty ones go."""
    for lane in lanes:
        if not lane:
            continue
        head = tx.one(HEAD, (queue.shard, lane))
        if head is None:
            tx.execute(_DROP_LANE, (lane,))
        elif queue.fifo:
            tx.execute(_SET_LANE, (head[1], head[0], lane))
            tally.touched.add(queue)  # its next may be receivable now
        else:
            tx.execute(_SET_LANE, (0, head[2], lane))


def join_lane(
    tx: Transaction, queue: QueueState, name: str, *, new_id: int, visible_ms: int, fresh: int
) -> tuple[int, bool]:
    """The lane of a group that a message comes to at the end of, and whether it is new, with the id `new_id`."""
    there = tx.one(FIND_LANE, (queue.shard, name))
    if queue.fifo:
        if there is not None:
            return there[0], False  # it stands behind the others
    else:
        queue.grouped = True
        fresh = 0
        if there is not None:
            if visible_ms < there[2]:
                tx.execute(_SET_LANE, (0, visible_ms, there[0]))
            return there[0], False
    tx.execute(_INSERT_LANE, (new_id, queue.shard, name, fresh, visible_ms))
    return new_id, True
