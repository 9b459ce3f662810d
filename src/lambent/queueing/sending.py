"""Messages come into a queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from lambent.queueing import rows
from lambent.queueing.model import DEDUPLICATION_MS, SEQUENCE_BASE, NewMessage, QueueConfig, Sent
from lambent.queueing.numbers import Numbers
from lambent.queueing.state import QueueState, Tally
from lambent.storage.database import Transaction, Value

# Ends of delays are rounded (down) to so many milliseconds: bounds what counting them takes in memory.
DELAY_GRAIN_MS: Final = 10

_SEEN_IN_QUEUE: Final = (
    "SELECT seq, message_id, at_ms FROM queueing_deduplication WHERE queue = ? AND deduplication_id = ? AND at_ms > ? "
    "LIMIT 1"
)
# What was sent while the scope was the queue is known in every group.
_SEEN_IN_GROUP: Final = (
    "SELECT seq, message_id, at_ms FROM queueing_deduplication WHERE queue = ? AND deduplication_id = ? "
    "AND scope IN (?, '') AND at_ms > ? LIMIT 1"
)
_REMEMBER: Final = (
    "INSERT INTO queueing_deduplication (seq, queue, deduplication_id, scope, message_id, at_ms) "
    "VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (queue, deduplication_id, scope) "
    "DO UPDATE SET seq = excluded.seq, message_id = excluded.message_id, at_ms = excluded.at_ms"
)


class Arrival(NamedTuple):
    """A message with what it was given before its turn: its id, and the file that its body is in."""

    message: NewMessage
    message_id: str
    file: str | None


def send(
    tx: Transaction,
    queue: QueueState,
    config: QueueConfig,
    arrivals: Sequence[Arrival],
    numbers: Numbers,
    now_ms: int,
    tally: Tally,
) -> list[Sent]:
    """Put messages into the queue, but for duplicates."""
    first_seq = numbers.take(tx, 2 * len(arrivals), tally)  # a lane may need an id too
    new_messages: list[Sequence[Value]] = []
    new_bodies: list[Sequence[Value]] = []
    sent: list[Sent] = []
    for index, (message, message_id, file) in enumerate(arrivals):
        seq = first_seq + 2 * index
        if queue.fifo:
            duplicate = seen(tx, queue, message.deduplication_id or "", message.group or "", now_ms)
            if duplicate is not None:
                sent.append(duplicate)
                if file is not None:
                    tally.files.append(file)
                continue
            remember(tx, queue, message.deduplication_id or "", message.group or "", message_id, seq, now_ms)
            visible_ms, rank_ms, fresh = now_ms, 0, 1
        else:
            delay_s = config.delay_s if message.delay_s is None else message.delay_s
            visible_ms = now_ms if not delay_s else (now_ms + delay_s * 1000) // DELAY_GRAIN_MS * DELAY_GRAIN_MS
            rank_ms, fresh = visible_ms, 1
        lane = 0
        if message.group is not None:
            lane, _ = rows.join_lane(tx, queue, message.group, new_id=seq + 1, visible_ms=visible_ms, fresh=fresh)
            queue.tenants.sent(lane, now_ms)
        new_messages.append(
            (queue.shard, seq, lane, rank_ms, visible_ms, fresh, 0, now_ms, now_ms, None, seq, None)
        )  # fmt: skip
        body = message.body if file is None else None
        new_bodies.append((seq, message_id, message.group, message.deduplication_id, message.head, body, file))
        tally.came(queue, visible_ms, fresh)
        sent.append(Sent(message_id, sequence_text(seq) if queue.fifo else None))
    if new_messages:
        tx.many(rows.INSERT, new_messages)
        tx.many(rows.INSERT_BODY, new_bodies)
    return sent


def sequence_text(seq: int) -> str:
    return str(SEQUENCE_BASE + seq)


def seen(tx: Transaction, queue: QueueState, deduplication_id: str, group: str, now_ms: int) -> Sent | None:
    """What the first of this deduplication id was given, if that was less than five minutes ago."""
    since_ms = now_ms - DEDUPLICATION_MS
    if queue.scope == "queue":
        row = tx.one(_SEEN_IN_QUEUE, (queue.number, deduplication_id, since_ms))
    else:
        row = tx.one(_SEEN_IN_GROUP, (queue.number, deduplication_id, group, since_ms))
    return None if row is None else Sent(row[1], sequence_text(row[0]), True)


def remember(
    tx: Transaction,
    queue: QueueState,
    deduplication_id: str,
    group: str,
    message_id: str,
    seq: int,
    now_ms: int,
) -> None:
    """From now on for five minutes, others of this deduplication id are duplicates."""
    scope = "" if queue.scope == "queue" else group
    tx.execute(_REMEMBER, (seq, queue.number, deduplication_id, scope, message_id, now_ms))
