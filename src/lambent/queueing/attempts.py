"""ReceiveRequestAttemptId: a FIFO receive whose answer was lost can be asked again.

SQS API reference, "ReceiveMessage": within five minutes, while none of its messages was deleted or had its visibility
changed, the same id gets the same messages with the same handles, held anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from lambent.queueing import rows
from lambent.queueing.model import DEDUPLICATION_MS
from lambent.queueing.numbers import Numbers
from lambent.queueing.receiving import Taken
from lambent.queueing.state import QueueState, Tally
from lambent.storage.database import Transaction

_FIND: Final = (
    "SELECT received_ms, until_ms, deliveries FROM queueing_attempts WHERE queue = ? AND attempt_id = ? AND at_ms > ?"
)
_SAVE: Final = (
    "INSERT INTO queueing_attempts (seq, queue, attempt_id, at_ms, received_ms, until_ms, deliveries) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (queue, attempt_id) DO UPDATE SET seq = excluded.seq, "
    "at_ms = excluded.at_ms, received_ms = excluded.received_ms, until_ms = excluded.until_ms, "
    "deliveries = excluded.deliveries"
)
_PROLONG: Final = "UPDATE queueing_attempts SET until_ms = ? WHERE queue = ? AND attempt_id = ?"


def find(tx: Transaction, queue: QueueState, attempt_id: str, now_ms: int) -> tuple[int, list[rows.Message]] | None:
    """When the attempt was made first, and its messages, which are all still as they were then."""
    row = tx.one(_FIND, (queue.number, attempt_id, now_ms - DEDUPLICATION_MS))
    if row is None or row["until_ms"] <= now_ms:
        return None
    held = []
    for seq, receives in json.loads(row["deliveries"]):
        message = rows.find(tx, queue, seq)
        if message is None or message.receives != receives or message.visible_ms != row["until_ms"]:
            return None
        held.append(message)
    return row["received_ms"], held


def save(
    tx: Transaction,
    queue: QueueState,
    attempt_id: str,
    taken: Sequence[Taken],
    numbers: Numbers,
    now_ms: int,
    tally: Tally,
) -> None:
    deliveries = json.dumps([(each.row.seq, each.row.receives) for each in taken])
    until_ms = taken[0].row.visible_ms
    seq = numbers.take(tx, 1, tally)
    tx.execute(_SAVE, (seq, queue.number, attempt_id, now_ms, now_ms, until_ms, deliveries))


def prolong(tx: Transaction, queue: QueueState, attempt_id: str, until_ms: int) -> None:
    tx.execute(_PROLONG, (until_ms, queue.number, attempt_id))
