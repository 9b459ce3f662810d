"""What consumers do with what they received: delete it, or hold it for longer or shorter."""

from __future__ import annotations

from collections.abc import Sequence

from lambent.queueing import rows
from lambent.queueing.handles import Handle, Handles
from lambent.queueing.model import MAX_HELD_MS, Outcome
from lambent.queueing.receiving import Taken
from lambent.queueing.state import QueueState, Tally
from lambent.storage.database import Transaction


def delete(
    tx: Transaction, queue: QueueState, texts: Sequence[str], handles: Handles, now_ms: int, tally: Tally
) -> list[Outcome]:
    """In standard queues every handle that a message ever had deletes it; in FIFO queues the last, while it is in
    flight."""
    outcomes: list[Outcome] = []
    gone: dict[int, rows.Message] = {}
    for text in texts:
        handle = handles.read(text, queue.number)
        if handle is None:
            outcomes.append(Outcome.INVALID)
            continue
        message = None if handle.seq in gone else rows.find(tx, queue, handle.seq)
        if message is None:
            outcomes.append(Outcome.GONE)
        elif queue.fifo and not _held(message, handle, now_ms):
            outcomes.append(Outcome.EXPIRED)
        else:
            gone[message.seq] = message
            outcomes.append(Outcome.DONE)
            busy_ms = min(now_ms, message.visible_ms) - handle.received_ms
            queue.tenants.released(message.lane, max(0, busy_ms), now_ms)
    rows.remove(tx, queue, list(gone.values()), tally)
    return outcomes


def change_visibility(
    tx: Transaction,
    queue: QueueState,
    changes: Sequence[tuple[str, int]],
    handles: Handles,
    now_ms: int,
    tally: Tally,
) -> list[Outcome]:
    """Each message is visible so many seconds from now, unless another consumer has received it since."""
    return [_change(tx, queue, handles.read(text, queue.number), now_ms + timeout_s * 1000, now_ms, tally)
            for text, timeout_s in changes]  # fmt: skip


def _change(
    tx: Transaction, queue: QueueState, handle: Handle | None, until_ms: int, now_ms: int, tally: Tally
) -> Outcome:
    if handle is None:
        return Outcome.INVALID
    message = rows.find(tx, queue, handle.seq)
    if message is None:
        return Outcome.GONE
    if queue.fifo and not _held(message, handle, now_ms):
        return Outcome.EXPIRED
    if message.receives != handle.receives:
        return Outcome.NOT_IN_FLIGHT
    if until_ms - handle.received_ms > MAX_HELD_MS:
        return Outcome.TOO_LONG
    _show(tx, queue, message, until_ms, now_ms, tally)
    rows.settle_lanes(tx, queue, (message.lane,), tally)
    return Outcome.DONE


def put_back(tx: Transaction, queue: QueueState, taken: Sequence[Taken], now_ms: int, tally: Tally) -> None:
    """Messages whose consumer went away before it got them are visible again, as if it had never asked."""
    for row, _, _ in taken:
        message = rows.find(tx, queue, row.seq)
        if message is not None and message.receives == row.receives and message.visible_ms == row.visible_ms:
            _show(tx, queue, message, now_ms, now_ms, tally)
            receives = message.receives - 1
            tx.execute(
                "UPDATE queueing_messages SET receives = ?, first_ms = ? WHERE shard = ? AND seq = ?",
                (receives, message.first_ms if receives else None, queue.shard, message.seq),
            )
            queue.tenants.released(message.lane, 0, now_ms)
    rows.settle_lanes(tx, queue, {row.lane for row, _, _ in taken}, tally)


def hold_on(
    tx: Transaction, queue: QueueState, held: Sequence[rows.Message], until_ms: int, now_ms: int, tally: Tally
) -> None:
    """Messages in flight stay so until then."""
    for message in held:
        _show(tx, queue, message, until_ms, now_ms, tally)
    rows.settle_lanes(tx, queue, {message.lane for message in held}, tally)


def _held(message: rows.Message, handle: Handle, now_ms: int) -> bool:
    return message.receives == handle.receives and message.visible_ms > now_ms and not message.fresh


def _show(
    tx: Transaction, queue: QueueState, message: rows.Message, visible_ms: int, now_ms: int, tally: Tally
) -> None:
    rank_ms = 0 if queue.fifo else visible_ms
    tx.execute(rows.SHOW, (rank_ms, visible_ms, queue.shard, message.seq))
    tally.went(queue, message.visible_ms, message.fresh)
    tally.came(queue, visible_ms, 0)
    was, will = message.visible_ms > now_ms, visible_ms > now_ms
    tally.in_flight[queue] = tally.in_flight.get(queue, 0) + will - was
