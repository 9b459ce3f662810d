"""What the engine holds of each queue in memory: never its messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from lambent.queueing.depth import Depth
from lambent.queueing.fairness import Tenants

NEVER_MS: Final = 1 << 62


class QueueState:
    """One queue, of whose messages only numbers are known. Made for each queue when the engine opens."""

    __slots__ = ("alarm_ms", "delay_ms", "depth", "fifo", "gone", "grouped", "id", "name", "number", "scope", "shard",
                 "tenants", "version", "waiters")  # fmt: skip

    def __init__(
        self, *, number: int, queue_id: str, name: str, fifo: bool, delay_ms: int, scope: str, shard: int
    ) -> None:
        self.number = number
        self.id = queue_id
        self.name = name
        self.fifo = fifo
        self.delay_ms = delay_ms
        self.scope = scope
        self.shard = shard
        self.depth = Depth(delay_ms if fifo else 0)
        self.grouped = False  # a standard queue that has, or had, messages with groups
        self.tenants = Tenants()
        self.waiters: deque[asyncio.Future[None]] = deque()
        self.alarm_ms = NEVER_MS  # when waiters are woken next by time alone
        self.version = 0  # another one after every change that receivers care about
        self.gone = False

    def restart(self, shard: int) -> None:
        """Every message is gone; those to come are in `shard`."""
        self.shard = shard
        self.depth = Depth(self.delay_ms)
        self.tenants = Tenants()

    def redelay(self, delay_ms: int, depth: Depth) -> None:
        """A FIFO queue's delay changed, and with it which messages are delayed."""
        self.delay_ms = delay_ms
        self.depth = depth


class Tally:
    """What a unit of work changed, for memory to follow once that is durable."""

    __slots__ = ("changes", "files", "in_flight", "mark", "then", "touched")

    def __init__(self) -> None:
        self.changes: list[tuple[QueueState, int, int, int, int]] = []  # queue, shard, visible_ms, fresh, how many
        self.in_flight: dict[QueueState, int] = {}
        self.touched: set[QueueState] = set()
        self.files: list[str] = []
        self.then: list[Callable[[], None]] = []
        self.mark = 0  # how far numbers may be given out after this unit

    def came(self, queue: QueueState, visible_ms: int, fresh: int) -> None:
        self.changes.append((queue, queue.shard, visible_ms, fresh, 1))
        self.touched.add(queue)

    def went(self, queue: QueueState, visible_ms: int, fresh: int) -> None:
        self.changes.append((queue, queue.shard, visible_ms, fresh, -1))

    def apply(self) -> None:
        """Once, when it is durable."""
        for queue, shard, visible_ms, fresh, number in self.changes:
            if shard == queue.shard:  # else it was purged meanwhile
                queue.depth.add(visible_ms, fresh, number)
        for follow in self.then:
            follow()
