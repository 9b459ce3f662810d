"""Time that moves only when a test says so.

`advance` wakes sleepers in the order of their due times and lets the event loop come to rest after each of them, so
a test sees the same interleaving every time. At rest means: no callback is ready to run, and nobody holds the clock.
What is real - a database commit in another thread, a function's process - takes no virtual time but needs real time
to finish; it holds the clock while it is under way (`hold`) or is asked whether it is (`watch`), and time stands still
until it is done. Virtual time is counted in whole nanoseconds: ten steps of 0.1 s are exactly one second.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_NS = 1_000_000_000
# How often what is watched is asked again, in real seconds.
_POLL_S = 0.001
# 2026-01-01T00:00:00Z: a fixed start keeps timestamps in tests repeatable.
DEFAULT_START_S = 1_767_225_600.0


class ClockStuck(Exception):
    """Virtual time could not advance because real work went on for longer than the clock's patience."""


class _Timer:
    """A callback at a virtual time; cancelled ones stay in the heap until they come up."""

    __slots__ = ("callback", "cancelled", "due_ns")

    def __init__(self, due_ns: int, callback: Callable[[], object]) -> None:
        self.due_ns = due_ns
        self.callback = callback
        self.cancelled = False


class VirtualClock:
    """A `core.clock.Clock` that stands still until it is advanced.

    It serves one event loop at a time: the one that first sleeps on it, advances it or attaches it. `now`, `monotonic`,
    `hold` and `advance_threadsafe` may be called from any thread. `patience_s` is in real seconds.
    """

    def __init__(self, *, start_s: float = DEFAULT_START_S, patience_s: float = 30.0) -> None:
        self._start_ns = round(start_s * _NS)
        self._elapsed_ns = 0
        self._patience_s = patience_s
        self._timers: list[tuple[int, int, _Timer]] = []
        self._order = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: int | None = None
        self._advancing = asyncio.Lock()
        self._lock = threading.Lock()
        self._holds: Counter[str] = Counter()
        self._released = asyncio.Event()
        self._watched: dict[str, Callable[[], int]] = {}

    # Reading and waiting

    def now(self) -> float:
        return (self._start_ns + self._elapsed_ns) / _NS

    def monotonic(self) -> float:
        return self._elapsed_ns / _NS

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)  # noqa: TID251 - no time passes: this only yields
            return
        woken: asyncio.Future[None] = self._bind().create_future()
        timer = self._schedule(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancelled = True

    async def wait_for(self, awaitable: Awaitable[T], timeout_s: float) -> T:
        self._bind()
        if timeout_s <= 0:
            async with asyncio.timeout(0):
                return await awaitable
        async with asyncio.timeout(None) as timeout:
            # A deadline in the loop's past makes the timeout expire at once.
            timer = self._schedule(timeout_s, lambda: timeout.reschedule(0))
            try:
                return await awaitable
            finally:
                timer.cancelled = True

    @property
    def sleepers(self) -> int:
        """How many sleeps and timeouts wait for time to pass."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    # Holding

    @contextlib.contextmanager
    def hold(self, what: str = "real work") -> Iterator[None]:
        """Keep time from advancing while the block runs; `what` names it should time get stuck."""
        with self._lock:
            self._holds[what] += 1
        try:
            yield
        finally:
            with self._lock:
                self._holds[what] -= 1
                if not self._holds[what]:
                    del self._holds[what]
                last, loop = not self._holds, self._loop
            if last and loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._released.set)

    def watch(self, what: str, pending: Callable[[], int]) -> None:
        """Keep time from advancing while `pending()`, asked on the event loop, is not 0; replaces an older `what`."""
        self._watched[what] = pending

    def unwatch(self, what: str) -> None:
        """Ask no more. Idempotent."""
        self._watched.pop(what, None)

    # Advancing

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, stopping at every sleeper on the way; returns when everything has come to rest.

        Sleepers of the same instant wake in the order in which they went to sleep, also those that are created while
        time advances. Raises ClockStuck when real work does not finish within the clock's patience.
        """
        if seconds < 0:
            raise ValueError("time does not go backwards")
        self._bind()
        async with self._advancing:
            await self._settle()
            target_ns = self._elapsed_ns + round(seconds * _NS)
            while (timer := self._pop_due(target_ns)) is not None:
                self._elapsed_ns = max(self._elapsed_ns, timer.due_ns)
                timer.callback()
                await self._settle()
            self._elapsed_ns = target_ns

    def advance_threadsafe(self, seconds: float) -> None:
        """`advance` for a thread other than the event loop's; returns when everything has come to rest."""
        loop = self._loop
        if loop is None:
            raise RuntimeError("no event loop uses this clock yet")
        if threading.get_ident() == self._loop_thread:
            raise RuntimeError("await advance() on the event loop's own thread")
        asyncio.run_coroutine_threadsafe(self.advance(seconds), loop).result()

    def attach(self) -> None:
        """Serve the running event loop from now on, so that other threads can advance before anybody sleeps."""
        self._bind()

    async def settle(self) -> None:
        """Return once no callback is ready and nobody holds the clock, without any time passing."""
        self._bind()
        async with self._advancing:
            await self._settle()

    # Inside

    def _bind(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return loop
        if self._loop is not None and not self._loop.is_closed():
            raise RuntimeError("a virtual clock serves one event loop at a time")
        if not hasattr(loop, "_ready"):
            # uvloop neither lets its timers be virtual nor tells when it is idle.
            raise RuntimeError("a virtual clock needs asyncio's own event loop, not " + type(loop).__module__)
        self._loop, self._loop_thread = loop, threading.get_ident()
        self._timers.clear()  # of a loop that has ended
        self._advancing = asyncio.Lock()
        self._released = asyncio.Event()
        return loop

    def _schedule(self, seconds: float, callback: Callable[[], object]) -> _Timer:
        timer = _Timer(self._elapsed_ns + max(0, round(seconds * _NS)), callback)
        heapq.heappush(self._timers, (timer.due_ns, next(self._order), timer))
        return timer

    def _pop_due(self, until_ns: int) -> _Timer | None:
        while self._timers and (self._timers[0][2].cancelled or self._timers[0][0] <= until_ns):
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                return timer
        return None

    async def _settle(self) -> None:
        deadline_s = time.monotonic() + self._patience_s
        while True:
            await self._until_released(deadline_s)
            await asyncio.sleep(0)  # noqa: TID251 - gives every ready callback its turn
            if self._quiet():
                return
            if time.monotonic() > deadline_s:
                raise ClockStuck(f"the event loop was still busy after {self._patience_s:g} s")

    def _quiet(self) -> bool:
        # asyncio has no public question for "is anything ready": while a task runs, `_ready` holds all the others.
        return not getattr(self._loop, "_ready", None) and not self._busy()

    def _busy(self) -> list[str]:
        with self._lock:
            held = set(self._holds)
        return sorted(held | {what for what, pending in self._watched.items() if pending()})

    async def _until_released(self, deadline_s: float) -> None:
        while busy := self._busy():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise ClockStuck(f"still under way after {self._patience_s:g} s: {', '.join(busy)}")
            self._released.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _POLL_S) if self._watched else left_s):
                    await self._released.wait()


class RemoteClock:
    """A virtual clock as seen from another thread than its event loop's: here advancing is an ordinary call."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now()

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; returns when everything that came due has been done. Raises ClockStuck."""
        self._clock.advance_threadsafe(seconds)
