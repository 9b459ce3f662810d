"""The environments of one function version, and which of them serves the next event.

An environment serves one event at a time (`concurrent_pool` is for several). The idle one that was used last serves
first, so the surplus grows old and is reaped. An event that finds none idle starts one and waits; whichever environment
becomes free first, a busy one or a started one, goes to the event that has waited longest, and what is started beyond
that goes idle, ready for the next.
So there are never more events waiting than environments starting, and a start that fails fails the newest of them.
Events that wait for a `FINISHING` environment (below) are patient: they have started nothing and count for neither.

The runtime needs a moment between giving its answer and asking for the next event, and extensions may take longer. A
caller that sends one event after another would be ahead of it and pay for a needless cold start each time. An event
that finds an environment in that state (`FINISHING`) therefore waits for it up to 10 ms before it starts another.

Environments that are *kept* (provisioned concurrency, see `provisioned`) are started ahead of any event, serve before
all others and never grow old. One of them whose runtime is lost ends, so that another can be initialised in its place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from enum import IntEnum
from typing import Final

from lambent.core.clock import Clock
from lambent.core.tasks import Supervisor
from lambent.execution import placement
from lambent.execution.admission import Reservation
from lambent.execution.model import FunctionVersion
from lambent.sandbox.protocol import Environment, ShutdownReason

FINISHING_GRACE_S: Final = 0.01


class State(IntEnum):
    """An environment's life as the engine sees it."""

    STARTING = 0
    """Counted before it exists, so that a burst of events does not start one environment too many."""
    IDLE = 1
    BUSY = 2
    FINISHING = 3
    """Its answer is given but it cannot take an event yet: nobody may invoke it, and ending it would cut its log."""
    STOPPING = 4
    """Out of every queue while its processes end: an event can no longer be handed to it."""
    STOPPED = 5


TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    State.STARTING: frozenset({State.IDLE, State.BUSY, State.STOPPING, State.STOPPED}),
    State.IDLE: frozenset({State.BUSY, State.STOPPING}),
    State.BUSY: frozenset({State.FINISHING, State.IDLE, State.BUSY, State.STOPPING}),
    State.FINISHING: frozenset({State.IDLE, State.BUSY, State.STOPPING}),
    State.STOPPING: frozenset({State.STOPPED}),
    State.STOPPED: frozenset(),
}


class Started:
    """What a launch brings: the environment, the room that it was given, and how its credentials are revoked."""

    __slots__ = ("environment", "reservation", "revoke")

    def __init__(self, environment: Environment, reservation: Reservation, revoke: Callable[[], None]) -> None:
        self.environment = environment
        self.reservation = reservation
        self.revoke = revoke


class PooledEnvironment:
    """One environment and what the pool knows of it. `failed` keeps it from being used again.

    `stillborn`: it was lost before it could serve any event, which is the answer to those that waited for it. `running`
    and `finishing` count events where several are served at once.
    """

    __slots__ = (
        "environment",
        "events",
        "failed",
        "finishing",
        "idle_since_s",
        "kept",
        "reservation",
        "revoke",
        "running",
        "state",
        "stillborn",
    )

    def __init__(self, started: Started, *, kept: bool = False) -> None:
        self.kept = kept
        self.environment = started.environment
        self.reservation = started.reservation
        self.revoke = started.revoke
        self.state = State.STARTING
        self.idle_since_s = 0.0
        self.events = 0
        self.failed = False
        self.stillborn = False
        self.running = 0
        self.finishing = 0

    @property
    def usable(self) -> bool:
        """Whether an event that has just been given this environment should be run there."""
        return self.environment.alive or self.stillborn


_SERVING: Final = (State.IDLE, State.BUSY, State.FINISHING)


class InitFailed(Exception):
    """The function's init failed or ran out of time."""


# Called with the version and a question to ask after any wait: whether the environment is still wanted. None if not.
Launch = Callable[[FunctionVersion, Callable[[], bool]], Awaitable[Started | None]]


class Pool:
    """Everything happens on one event loop; only `acquire` waits.

    `launch` starts an environment; what it raises reaches the event that waits for it. `on_empty` is called when the
    last environment is gone and nobody has `events` with the pool. `clock` measures idleness, `node_clock` is the one
    of the machine that runs the environments. `on_kept`, set by who keeps environments here, is called when one of them
    goes idle or is gone.
    """

    def __init__(
        self,
        function: FunctionVersion,
        *,
        launch: Launch,
        clock: Clock,
        node_clock: Clock,
        tasks: Supervisor,
        on_empty: Callable[[Pool], None],
    ) -> None:
        self.function = function
        self.retired = False
        self.counts = [0] * len(State)  # environments by state
        self.events = 0  # taken on and not yet over; whoever brings them counts them, see `leave`
        self.starting_ahead = 0  # beside those in `counts`: no event waits for them
        self.on_kept: Callable[[], None] | None = None
        self._launch = launch
        self._clock = clock
        self._node_clock = node_clock
        self._tasks = tasks
        self._on_empty = on_empty
        self._idle: deque[PooledEnvironment] = deque()  # oldest left
        self._idle_kept: deque[PooledEnvironment] = deque()
        self._waiters: deque[asyncio.Future[PooledEnvironment]] = deque()
        self._patient: set[asyncio.Future[PooledEnvironment]] = set()  # waiters that have started nothing yet
        self._live: set[PooledEnvironment] = set()

    def try_acquire(self) -> PooledEnvironment | None:
        """The idle environment that was used last, now busy; None when there is none. Never waits."""
        kept = self._idle_kept
        while kept:
            pooled = kept.pop()
            if pooled.environment.initialised:
                self._move(pooled, State.BUSY)
                return pooled
            self._end(pooled, "failure")
        idle = self._idle
        while idle:
            pooled = idle.pop()
            if pooled.environment.alive:
                self._move(pooled, State.BUSY)
                return pooled
            self._end(pooled, "failure")
        return None

    async def acquire(self) -> PooledEnvironment:
        """An environment, now busy: an idle one, else the first to become free. Raises what the start raised.

        When the wait is cancelled, an environment that was already handed over goes to the next event.
        """
        if (pooled := self.try_acquire()) is not None:
            return pooled
        waiter: asyncio.Future[PooledEnvironment] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            if self.finishing >= len(self._waiters) - self.counts[State.STARTING] * self._size:
                self._patient.add(waiter)
                try:
                    return await self._node_clock.wait_for(asyncio.shield(waiter), FINISHING_GRACE_S)
                except TimeoutError:
                    pass
                finally:
                    self._patient.discard(waiter)
            if not waiter.done():
                self._start_enough()
            return await waiter
        except asyncio.CancelledError:
            if not waiter.done():
                self._waiters.remove(waiter)
                waiter.cancel()
            elif not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise

    def answered(self, pooled: PooledEnvironment) -> None:
        """The caller has its answer, the environment is not yet ready for the next event."""
        if pooled.state is State.BUSY:  # unless the pool was stopped under it: the answer tells of that
            self._move(pooled, State.FINISHING)

    def release(self, pooled: PooledEnvironment) -> None:
        """The environment is done with its event: it serves the next, goes idle, or ends."""
        environment = pooled.environment
        if pooled.failed or not (environment.initialised if pooled.kept else environment.alive):
            self._end(pooled, "failure")
        elif pooled.kept and self.on_kept is None:
            self._end(pooled, "spindown")
        else:
            self._offer(pooled)

    def leave(self) -> None:
        """One of `events` is over."""
        self.events -= 1
        self._check_empty()

    def retire(self) -> None:
        """End what is idle now and everything else after its event; events that already wait are still served."""
        self.retired = True
        for idle in (self._idle, self._idle_kept):
            while idle:
                self._end(idle.pop(), "spindown")
        self._check_empty()

    def reap(self, idle_since_at_most_s: float) -> None:
        """End the environments that have been idle since then or longer, and those that died meanwhile."""
        while self._idle and self._idle[0].idle_since_s <= idle_since_at_most_s:
            self._end(self._idle.popleft(), "spindown")
        for pooled in [pooled for pooled in self._idle if not pooled.environment.alive]:
            self._idle.remove(pooled)
            self._end(pooled, "failure")

    # Kept environments

    async def start_kept(self, function: FunctionVersion, wanted: Callable[[], bool]) -> bool:
        """Start an environment that is kept: it serves an event that waits, or goes idle.

        `function` is the pool's with the initialization type of kept ones; `wanted` is asked first and after any wait,
        and the answer is False when it no longer was. Raises InitFailed, and what the start raises.
        """
        if not wanted():
            return False
        self.starting_ahead += 1
        try:
            started = await self._launch(function, wanted)
        finally:
            self.starting_ahead -= 1
        if started is not None:
            self.counts[State.STARTING] += 1
            pooled = PooledEnvironment(started, kept=True)
            self._live.add(pooled)
            if not started.environment.initialised:
                self._end(pooled, "failure")
                raise InitFailed
            if self.retired or not wanted():
                self._end(pooled, "spindown")
                started = None
            else:
                self._offer(pooled)
        self._check_empty()
        return started is not None

    def end_kept(self, count: int) -> None:
        """End up to `count` idle kept environments."""
        for _ in range(min(count, len(self._idle_kept))):
            self._end(self._idle_kept.popleft(), "spindown")

    def end_lost_kept(self) -> None:
        """End the idle kept environments whose runtime is lost."""
        for pooled in [pooled for pooled in self._idle_kept if not pooled.environment.initialised]:
            self._idle_kept.remove(pooled)
            self._end(pooled, "failure")

    def end_keeping(self) -> None:
        """Keep none any more: idle ones end now, busy ones after their event."""
        self.on_kept = None
        self.end_kept(len(self._idle_kept))
        self._check_empty()

    @property
    def idle_kept(self) -> int:
        return len(self._idle_kept)

    @property
    def kept(self) -> int:
        """Kept environments that serve or can serve an event."""
        return sum(pooled.kept and pooled.state in _SERVING for pooled in self._live)

    # All environments

    @property
    def oldest_idle_s(self) -> float | None:
        """Since when the environment that waits longest for an event has been idle."""
        return self._idle[0].idle_since_s if self._idle else None

    async def evict_oldest(self) -> None:
        """End the environment that has been idle longest and wait until its memory is free."""
        if self._idle:
            pooled = self._idle.popleft()
            self._move(pooled, State.STOPPING)
            await self._stop(pooled, "spindown")

    async def stop(self, reason: ShutdownReason) -> None:
        """End every environment now, busy ones too; `acquire` raises CancelledError for events that still wait."""
        self.retired = True
        while self._waiters:
            self._waiters.popleft().cancel()
        self._idle.clear()
        self._idle_kept.clear()
        ending = [pooled.environment.stop(reason) for pooled in self._live if pooled.state is State.STOPPING]
        stopping = [pooled for pooled in self._live if pooled.state is not State.STOPPING]
        for pooled in stopping:
            self._move(pooled, State.STOPPING)
        await asyncio.gather(*ending, *(self._stop(pooled, reason) for pooled in stopping))

    # Inside

    def _move(self, pooled: PooledEnvironment, state: State) -> None:
        before = pooled.state
        if state not in TRANSITIONS[before]:
            raise AssertionError(f"an environment goes from {before.name} to {state.name}")
        pooled.state = state
        self.counts[before] -= 1
        self.counts[state] += 1

    def _offer(self, pooled: PooledEnvironment) -> None:
        if self._waiters:
            self._move(pooled, State.BUSY)
            self._hand_over(pooled)
            self._start_enough()  # a patient event may have got what another one had started
        elif self.retired:
            self._end(pooled, "spindown")
        else:
            self._rest(pooled)

    def _hand_over(self, pooled: PooledEnvironment) -> None:
        """Give the environment to the event that waits longest."""
        waiter = self._waiters.popleft()
        self._patient.discard(waiter)
        waiter.set_result(pooled)

    def _rest(self, pooled: PooledEnvironment) -> None:
        self._move(pooled, State.IDLE)
        if pooled.kept:
            self._idle_kept.append(pooled)
            self._tell_kept()
            return
        pooled.idle_since_s = self._clock.monotonic()
        self._idle.append(pooled)

    @property
    def finishing(self) -> int:
        """How many places are about to be free."""
        return self.counts[State.FINISHING]

    @property
    def _size(self) -> int:
        """How many events one environment serves at a time."""
        return 1

    def _start_enough(self) -> None:
        for _ in range(placement.starts(self._impatient, self.counts[State.STARTING], self._size)):
            self._start()

    def _start(self) -> None:
        self.counts[State.STARTING] += 1
        self._tasks.spawn(self._run_start(), "start")

    async def _run_start(self) -> None:
        try:
            started = await self._launch(self.function, self._wants_start)
        except asyncio.CancelledError:
            self.counts[State.STARTING] -= 1
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to the event that waits
            self.counts[State.STARTING] -= 1
            self._fail_newest(error)
            self._check_empty()
            return
        if started is None:
            self.counts[State.STARTING] -= 1
            self._check_empty()
            return
        pooled = PooledEnvironment(started)
        self._live.add(pooled)
        self._offer(pooled)

    def _wants_start(self) -> bool:
        """Whether some event has no other start to wait for: it may have been served by a busy environment."""
        return placement.starts(self._impatient, self.counts[State.STARTING] - 1, self._size) > 0

    @property
    def _impatient(self) -> int:
        """Events that wait for environments that are starting."""
        return len(self._waiters) - len(self._patient)

    def _fail_newest(self, error: Exception) -> None:
        # The events that wait longer have starts of their own, or get what this one would have got.
        while self._impatient > self.counts[State.STARTING] * self._size:
            newest = next(waiter for waiter in reversed(self._waiters) if waiter not in self._patient)
            self._waiters.remove(newest)
            newest.set_exception(error)

    def _end(self, pooled: PooledEnvironment, reason: ShutdownReason) -> None:
        if pooled.state in (State.STOPPING, State.STOPPED):
            return  # the pool was stopped while the event still ran
        self._move(pooled, State.STOPPING)
        self._tasks.spawn(self._stop(pooled, reason), "stop")
        if pooled.kept:
            self._tell_kept()

    def _tell_kept(self) -> None:
        if self.on_kept is not None:
            self.on_kept()

    async def _stop(self, pooled: PooledEnvironment, reason: ShutdownReason) -> None:
        try:
            await pooled.environment.stop(reason)
        finally:
            self._move(pooled, State.STOPPED)
            self._live.discard(pooled)
            pooled.reservation.release()
            pooled.revoke()
            self._check_empty()

    def _check_empty(self) -> None:
        if not self._live and not self.events and not self.counts[State.STARTING] and not self.starting_ahead:
            self._on_empty(self)
