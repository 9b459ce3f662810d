"""Time as a parameter: everything that waits or reads the time does so through a `Clock`.

Durable time is the wall clock read once at start plus the boot-time clock since, and never below the
largest time already stored: a stepped wall clock can neither expire nor resurrect anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Reads the time and waits for it."""

    def now(self) -> float:
        """Seconds since the epoch; never goes backwards."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, for measuring spans."""

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed on this clock."""

    async def wait_for(self, awaitable: Awaitable[T], timeout_s: float) -> T:
        """Await `awaitable` for at most `timeout_s` seconds of this clock; raises TimeoutError after."""


class SystemClock:
    """The real clock of this machine."""

    def __init__(self, *, not_before: float = 0.0) -> None:
        self._boot_at_start = time.clock_gettime(_BOOT_CLOCK)
        self._wall_at_start = max(time.time(), not_before)

    def now(self) -> float:
        return self._wall_at_start + time.clock_gettime(_BOOT_CLOCK) - self._boot_at_start

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    async def wait_for(self, awaitable: Awaitable[T], timeout_s: float) -> T:
        async with asyncio.timeout(timeout_s):
            return await awaitable


# CLOCK_BOOTTIME counts suspended time too; other systems have no such clock.
_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
