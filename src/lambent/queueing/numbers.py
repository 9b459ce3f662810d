"""Numbers that grow and are never given out again: of messages, lanes and queues."""

from __future__ import annotations

from typing import Final

from lambent.queueing.state import Tally
from lambent.storage.database import Transaction

_RESERVED: Final = 100_000


class Numbers:
    """Gives out numbers from memory, ahead of which the disk knows a mark that a restart goes on from."""

    def __init__(self, mark: int) -> None:
        self._next = mark
        self._mark = mark

    def take(self, tx: Transaction, count: int, tally: Tally) -> int:
        """The first of `count` consecutive numbers. Numbers of a unit that fails are lost, which is fine."""
        first = self._next
        self._next += count
        if self._next > self._mark:
            # Only `confirm` makes the mark count as stored: this unit may yet fail.
            tally.mark = self._next + _RESERVED
            tx.execute("UPDATE queueing_meta SET next_seq = max(next_seq, ?)", (tally.mark,))
        return first

    def confirm(self, stored: int) -> None:
        """The mark is `stored`, durably."""
        self._mark = max(self._mark, stored)

    @property
    def next(self) -> int:
        return self._next
