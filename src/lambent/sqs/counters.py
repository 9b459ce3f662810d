"""What is counted of one queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What happened on one queue since the server started."""

    sent: int = 0
    sent_bytes: int = 0
    smallest_bytes: int = 0
    largest_bytes: int = 0
    received: int = 0
    empty_receives: int = 0
    deleted: int = 0
    used_s: float = 0.0  # monotonic

    def count_sent(self, sizes_bytes: Sequence[int]) -> None:
        """Messages were taken. The extremes are those since CloudWatch was last told."""
        self.sent += len(sizes_bytes)
        self.sent_bytes += sum(sizes_bytes)
        self.largest_bytes = max(self.largest_bytes, *sizes_bytes)
        smallest = min(sizes_bytes)
        self.smallest_bytes = min(self.smallest_bytes, smallest) if self.smallest_bytes else smallest

    def count_received(self, number: int) -> None:
        """A receive ended with so many messages."""
        if number:
            self.received += number
        else:
            self.empty_receives += 1
