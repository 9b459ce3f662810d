"""Message groups: whose turn it is.

A group's turn is the moment from which a receive may take from it. FIFO: once nothing of it is in flight and its first
message is due. Standard queues ("fair queues"): once any of its messages is due, but not before it was last served, so
that receives go round the groups and one with a long backlog does not starve the others.

Amazon SQS developer guide, "FIFO queue delivery logic" and "Amazon SQS fair queues".
"""

from __future__ import annotations

from collections.abc import Iterable

from lambent.queueing.schema import FAIR, FIFO
from lambent.storage.database import Transaction

# A FIFO group has at most one receive's messages in flight, and those are its first.
_HEAD: int = 10


def joined(tx: Transaction, generation: int, kind: int, group: str, due_ms: int) -> None:
    """A message has come to the end of the group."""
    tx.execute(
        "INSERT INTO queue_groups (queue, message_group, turn_ms) VALUES (?, ?, ?) ON CONFLICT DO "
        + ("NOTHING" if kind == FIFO else "UPDATE SET turn_ms = min(turn_ms, excluded.turn_ms)"),
        (generation, group, due_ms),
    )


def refresh(tx: Transaction, generation: int, kind: int, groups: Iterable[str], now_ms: int, *, served: bool) -> None:
    """Messages of the groups were taken (`served`), deleted, moved or made visible."""
    for group in groups:
        turn_ms = _fifo_turn(tx, generation, group, now_ms) if kind == FIFO else _fair_turn(tx, generation, group)
        if turn_ms is None:
            tx.execute("DELETE FROM queue_groups WHERE queue = ? AND message_group = ?", (generation, group))
            continue
        if kind == FAIR and served:
            turn_ms = max(turn_ms, now_ms)
        tx.execute(
            "INSERT INTO queue_groups (queue, message_group, turn_ms) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET turn_ms = excluded.turn_ms",
            (generation, group, turn_ms),
        )


def due(tx: Transaction, generation: int, now_ms: int, limit: int) -> list[str]:
    """Groups that a receive may take from, the one whose turn came first in front."""
    rows = tx.all(
        "SELECT message_group FROM queue_groups WHERE queue = ? AND turn_ms <= ? ORDER BY turn_ms LIMIT ?",
        (generation, now_ms, limit),
    )
    return [row[0] for row in rows]


def _fifo_turn(tx: Transaction, generation: int, group: str, now_ms: int) -> int | None:
    rows = tx.all(
        "SELECT due_ms, receives FROM queue_messages WHERE queue = ? AND message_group = ? AND kind = 2 "
        "ORDER BY seq LIMIT ?",
        (generation, group, _HEAD),
    )
    if not rows:
        return None
    return max(rows[0][0], *(row[0] for row in rows if row[1] and row[0] > now_ms), 0)


def _fair_turn(tx: Transaction, generation: int, group: str) -> int | None:
    row = tx.one(
        "SELECT due_ms FROM queue_messages WHERE queue = ? AND message_group = ? AND kind = 1 ORDER BY due_ms LIMIT 1",
        (generation, group),
    )
    return None if row is None else int(row[0])
