"""Exact counts of a queue's messages by state, from memory.

Nothing is written when a message becomes visible because time passed, so the counts cannot be read off a table.
Kept are how many messages become visible at each millisecond to come; time moves those that are due over to the
visible ones. Memory grows with distinct times (of messages in flight, of which a queue has 120,000 at most, and of
delays, whose ends are rounded), not with messages.
"""

from __future__ import annotations

import heapq


class _Due:
    """How many become visible when."""

    __slots__ = ("counts", "heap", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.heap: list[int] = []
        self.total = 0

    def add(self, due_ms: int, number: int) -> None:
        there = self.counts.get(due_ms)
        if there is None:
            heapq.heappush(self.heap, due_ms)
            there = 0
        # A time whose count fell to 0 stays until it is due, or is found on top of the heap.
        self.counts[due_ms] = there + number
        self.total += number

    def pass_to(self, now_ms: int) -> int:
        """Forget what is due; how many they were."""
        passed = 0
        heap, counts = self.heap, self.counts
        while heap and (heap[0] <= now_ms or not counts[heap[0]]):
            passed += counts.pop(heapq.heappop(heap))
        self.total -= passed
        if len(heap) > 1000 and len(heap) > 4 * self.total:  # times that nobody waits for any more
            self.counts = {due_ms: number for due_ms, number in counts.items() if number}
            self.heap = sorted(self.counts)
        return passed

    @property
    def next_ms(self) -> int | None:
        return self.heap[0] if self.heap else None


class Depth:
    """Counts of one queue. `delay_ms` is a FIFO queue's delay, which its fresh messages wait on top; else 0."""

    __slots__ = ("_delayed", "_horizon_ms", "_in_flight", "_visible", "delay_ms")

    def __init__(self, delay_ms: int = 0) -> None:
        self.delay_ms = delay_ms
        self._visible = 0
        self._horizon_ms = 0
        self._delayed = _Due()
        self._in_flight = _Due()

    def add(self, visible_ms: int, fresh: int, number: int) -> None:
        """`number` more (or, negative, fewer) messages with this `visible_ms`."""
        due_ms = visible_ms + self.delay_ms if fresh else visible_ms
        if due_ms <= self._horizon_ms:
            self._visible += number
        elif fresh:
            self._delayed.add(due_ms, number)
        else:
            self._in_flight.add(due_ms, number)

    def at(self, now_ms: int) -> tuple[int, int, int]:
        """Visible, in flight and delayed messages. Time never goes back."""
        if now_ms > self._horizon_ms:
            self._visible += self._delayed.pass_to(now_ms) + self._in_flight.pass_to(now_ms)
            self._horizon_ms = now_ms
        return self._visible, self._in_flight.total, self._delayed.total

    def next_ms(self) -> int | None:
        """When the next message becomes visible by itself, as of the last `at`."""
        times = [due.next_ms for due in (self._delayed, self._in_flight) if due.next_ms is not None]
        return min(times) if times else None
