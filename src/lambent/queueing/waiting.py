"""Who waits for messages, and what wakes them: messages that come, and time that makes some visible.

One alarm for the whole engine knows when, in queues that somebody waits at, the next message becomes visible by
itself. A waiter costs a future and a timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable
from typing import Final

from lambent.core.clock import Clock
from lambent.core.tasks import Supervisor
from lambent.queueing.state import NEVER_MS, QueueState

# Waiters that one change of a queue wakes at first.
WOKEN: Final = 4


class Waiting:
    """Waiters of all queues."""

    def __init__(self, clock: Clock, now_ms: Callable[[], int]) -> None:
        self._clock = clock
        self._now_ms = now_ms
        self._alarms: list[tuple[int, int, QueueState]] = []
        self._order = itertools.count()
        self._earlier = asyncio.Event()
        self._tasks = Supervisor("queue waiters")
        self._tasks.spawn(self._ring(), "alarm")

    async def close(self) -> None:
        await self._tasks.close()

    async def wait(self, queue: QueueState, version: int, timeout_s: float) -> None:
        """Return when something may be there that was not when the queue's version was `version`, or after the time."""
        if queue.version != version:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.waiters.append(woken)
        self._set_alarm(queue)
        try:
            await self._clock.wait_for(woken, timeout_s)
        except TimeoutError:
            return
        except asyncio.CancelledError:
            if not woken.cancelled():
                self.look(queue)  # the call was for us: pass it on
            raise
        finally:
            if woken.cancelled():
                with contextlib.suppress(ValueError):
                    queue.waiters.remove(woken)  # near the left end: those who came first leave first

    def look(self, queue: QueueState) -> None:
        """The queue changed. Wake some of its waiters if messages are visible: who gets one looks again for the others.

        Not all at once, since visible messages of a FIFO queue may have to wait for others of their group.
        """
        queue.version += 1
        if not queue.waiters:
            return
        visible = WOKEN if queue.gone else min(WOKEN, queue.depth.at(self._now_ms())[0])
        while queue.waiters and (visible > 0 or queue.gone):
            waiter = queue.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                visible -= 1
        if queue.waiters:
            self._set_alarm(queue)

    def _set_alarm(self, queue: QueueState) -> None:
        queue.depth.at(self._now_ms())
        due_ms = queue.depth.next_ms()
        if due_ms is not None and due_ms < queue.alarm_ms:
            queue.alarm_ms = due_ms
            heapq.heappush(self._alarms, (due_ms, next(self._order), queue))
            if self._alarms[0][2] is queue:
                self._earlier.set()

    async def _ring(self) -> None:
        while True:
            now_ms = self._now_ms()
            while self._alarms and self._alarms[0][0] <= now_ms:
                due_ms, _, queue = heapq.heappop(self._alarms)
                if due_ms == queue.alarm_ms:  # else it was set to an earlier time since
                    queue.alarm_ms = NEVER_MS
                    self.look(queue)
            self._earlier.clear()
            if not self._alarms:
                await self._earlier.wait()
                continue
            with contextlib.suppress(TimeoutError):
                await self._clock.wait_for(self._earlier.wait(), (self._alarms[0][0] - now_ms) / 1000)
