"""The environments of a function version whose environments serve several events at once.

What differs from `Pool`: an environment is BUSY with one event or many, and can take more as long as it has places;
`placement` says which one an event goes to. A start serves as many of the events that wait as it has places. One
that is lost ends when the last of its events is over.
"""

from __future__ import annotations

from lambent.execution import placement
from lambent.execution.placement import Load
from lambent.execution.pool import Pool, PooledEnvironment, State


class ConcurrentPool(Pool):
    """As `Pool`, for versions with `max_concurrency` above 1 and managed ones. Keeps no environments."""

    def try_acquire(self) -> PooledEnvironment | None:
        # The idle ones go last and in their order, so that of equals the one that was used last is chosen.
        candidates = [one for one in self._live if one.state is State.BUSY and not one.failed] + list(self._idle)
        loads = [Load(running=one.running, places=self._places(one)) for one in candidates]
        chosen = placement.choose(loads)
        if chosen is None:
            return None
        pooled = candidates[chosen]
        if pooled.state is State.IDLE:
            self._idle.remove(pooled)
        self._take(pooled)
        return pooled

    def answered(self, pooled: PooledEnvironment) -> None:
        pooled.finishing += 1

    def release(self, pooled: PooledEnvironment) -> None:
        pooled.running -= 1
        # A streamed answer was not announced: then another event's is forgotten, and somebody may wait 10 ms less.
        pooled.finishing = max(0, pooled.finishing - 1)
        if pooled.state in (State.STOPPING, State.STOPPED):
            return
        usable = pooled.environment.alive and not pooled.failed
        if usable:
            self._serve(pooled)
        if pooled.running:
            return
        if not usable:
            self._end(pooled, "failure")
        elif self.retired:
            self._end(pooled, "spindown")
        else:
            self._rest(pooled)

    @property
    def finishing(self) -> int:
        return sum(one.finishing for one in self._live)

    @property
    def _size(self) -> int:
        return self.function.max_concurrency

    def _offer(self, pooled: PooledEnvironment) -> None:
        pooled.stillborn = not pooled.environment.alive
        self._serve(pooled)
        if pooled.running:
            return
        if pooled.stillborn:
            self._end(pooled, "failure")
        elif self.retired:
            self._end(pooled, "spindown")
        else:
            self._rest(pooled)

    def _serve(self, pooled: PooledEnvironment) -> None:
        places = self._size if pooled.stillborn else self._places(pooled)
        while self._waiters and pooled.running < places:
            self._take(pooled)
            self._hand_over(pooled)
        self._start_enough()  # where it has fewer places than were hoped for, or patient events got them

    def _take(self, pooled: PooledEnvironment) -> None:
        if pooled.state is not State.BUSY:
            self._move(pooled, State.BUSY)
        pooled.running += 1

    def _places(self, pooled: PooledEnvironment) -> int:
        return min(self._size, pooled.environment.places)
