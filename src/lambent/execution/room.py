"""Room on this machine for one more environment: in turn, after a short wait, or that of one that only waits itself.

Only so many environments may start at a time and within a second. AWS takes a burst of hundreds, so a start beyond
these limits waits for its turn instead of being refused, for two seconds at most: no client gives up sooner, and the
limits let all pass that the machine could start within that time. Memory and process ids do not come back by waiting,
so there idle environments give way, and without them the start is refused at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from lambent.core.clock import Clock
from lambent.execution.admission import HostAdmission, HostRefusal, Reservation
from lambent.execution.concurrency import CONCURRENCY_EXCEEDED
from lambent.execution.model import FunctionVersion, Throttled
from lambent.execution.pool import Pool

WAIT_S: Final = 2.0
# How often the one whose turn it is asks again: a start takes tens of milliseconds.
ASK_AGAIN_S: Final = 0.01
# How many idle environments of others give way to one start before it is refused.
EVICTIONS_PER_START: Final = 4


class Room:
    """Gives out the machine's room, first come first served. `idle_longest` names the pool that gives way next."""

    def __init__(self, host: HostAdmission, node_clock: Clock, idle_longest: Callable[[], Pool | None]) -> None:
        self._host = host
        self._node_clock = node_clock
        self._idle_longest = idle_longest
        self._turn = asyncio.Lock()  # fair: whoever came first asks first

    async def reserve(self, function: FunctionVersion, wanted: Callable[[], bool]) -> Reservation | None:
        """Room for one environment of the function; None when it is no longer `wanted` after a wait.

        Raises Throttled.
        """
        until_s = self._node_clock.monotonic() + WAIT_S
        waits = self._turn.locked()
        async with self._turn:
            if waits and not wanted():
                return None
            evictions_left = EVICTIONS_PER_START
            while isinstance(room := self._host.try_reserve(function.key, function.memory_mb), HostRefusal):
                if room.kind == "starts":
                    if self._node_clock.monotonic() >= until_s:
                        raise Throttled(CONCURRENCY_EXCEEDED, room.detail, retry_after_s=1)
                    if not wanted():
                        return None
                    await self._node_clock.sleep(ASK_AGAIN_S)
                    continue
                oldest = self._idle_longest()
                if oldest is None or not evictions_left:
                    raise Throttled(CONCURRENCY_EXCEEDED, room.detail, retry_after_s=1)
                evictions_left -= 1
                await oldest.evict_oldest()
                self._host.expire_reading()
        return room
