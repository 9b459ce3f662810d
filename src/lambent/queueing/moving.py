"""Messages change their queue: dead letters, and letters that go back.

All in one unit of work: a message is in exactly one queue.
"""

from __future__ import annotations

from lambent.queueing import rows, sending
from lambent.queueing.numbers import Numbers
from lambent.queueing.state import QueueState, Tally
from lambent.storage.database import Transaction

_DELETE = "DELETE FROM queueing_messages WHERE shard = ? AND seq = ?"
_IDS = "SELECT message_id, group_id, deduplication_id FROM queueing_bodies WHERE id = ?"


def bury(
    tx: Transaction,
    source: QueueState,
    target: QueueState,
    message: rows.Message,
    numbers: Numbers,
    now_ms: int,
    tally: Tally,
) -> None:
    """Move a message to its dead-letter queue, at once visible there. It keeps its counts and, in standard queues, its
    age; in FIFO queues both retention and deduplication begin anew."""
    _place(
        tx, source, target, message._replace(came_ms=now_ms, source=source.name, visible_ms=now_ms, fresh=0),
        message, numbers, now_ms, tally,
    )  # fmt: skip


def send_back(
    tx: Transaction,
    source: QueueState,
    target: QueueState,
    message: rows.Message,
    numbers: Numbers,
    now_ms: int,
    tally: Tally,
) -> None:
    """Move a message as if it were sent to the target now."""
    new = message._replace(
        came_ms=now_ms, sent_ms=now_ms, receives=0, first_ms=None, source=None, visible_ms=now_ms, fresh=1
    )
    _place(tx, source, target, new, message, numbers, now_ms, tally)


def _place(
    tx: Transaction,
    source: QueueState,
    target: QueueState,
    new: rows.Message,
    old: rows.Message,
    numbers: Numbers,
    now_ms: int,
    tally: Tally,
) -> None:
    """The caller settles the source's lanes."""
    ids = tx.one(_IDS, (old.body,))
    assert ids is not None  # a body lives as long as its message
    message_id, group, deduplication_id = ids
    seq = numbers.take(tx, 2, tally)
    if target.fifo:
        # A letter that goes back was sent there before: that must not make it a duplicate of itself.
        if new.source is not None and sending.seen(tx, target, deduplication_id, group, now_ms) is not None:
            rows.remove(tx, source, [old], tally)
            return
        sending.remember(tx, target, deduplication_id, group, message_id, seq, now_ms)
    tx.execute(_DELETE, (source.shard, old.seq))
    tally.went(source, old.visible_ms, old.fresh)
    lane = 0
    if group is not None:
        lane, _ = rows.join_lane(tx, target, group, new_id=seq + 1, visible_ms=new.visible_ms, fresh=new.fresh)
    rank_ms = 0 if target.fifo else new.visible_ms
    tx.execute(
        rows.INSERT,
        (
            target.shard, seq, lane, rank_ms, new.visible_ms, new.fresh, new.receives, new.came_ms, new.sent_ms,
            new.first_ms, old.body, new.source,
        ),
    )  # fmt: skip
    tally.came(target, new.visible_ms, new.fresh)
