"""A queue's current generation, and how many messages it has."""

from __future__ import annotations

from lambent.queueing.model import QueueGone
from lambent.storage.database import Transaction


def begin(tx: Transaction, queue_id: str) -> None:
    """The queue is empty from now on."""
    tx.execute("INSERT INTO queue_generations (queue, live) VALUES (?, 1)", (queue_id,))


def end(tx: Transaction, queue_id: str) -> None:
    """What is in the queue belongs to nobody any more, and goes in the background."""
    tx.execute("UPDATE queue_generations SET live = 0 WHERE queue = ? AND live = 1", (queue_id,))


def number(tx: Transaction, queue_id: str) -> int:
    """Raises QueueGone."""
    row = tx.one("SELECT number FROM queue_generations WHERE queue = ? AND live = 1", (queue_id,))
    if row is None:
        raise QueueGone(queue_id)
    return int(row[0])


def count(tx: Transaction, queue_id: str, change: int) -> int:
    """Add `change` to the messages of the queue; its number. Raises QueueGone."""
    row = tx.one(
        "UPDATE queue_generations SET messages = messages + ? WHERE queue = ? AND live = 1 RETURNING number",
        (change, queue_id),
    )
    if row is None:
        raise QueueGone(queue_id)
    return int(row[0])


def count_in(tx: Transaction, generation: int, change: int) -> None:
    """Add `change` to the messages of a generation."""
    tx.execute("UPDATE queue_generations SET messages = messages + ? WHERE number = ?", (change, generation))
