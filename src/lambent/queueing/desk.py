"""Requests that come at the same time share one unit of work.

While a commit is under way requests pile up here; the next unit takes them all, up to a bound that keeps it from
holding the loop for long. One unit is under way at a time, so what memory follows (counts, in `Tally`) is never
ahead of the disk, and never wrong about what a failed commit took back. A unit that fails fails all its requests:
they would have shared the commit anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from lambent.queueing.state import Tally
from lambent.storage.database import Database, Transaction

T = TypeVar("T")
Job = Callable[[Transaction, Tally], T]

# Messages that one unit handles; some 5 ms of statements.
UNIT_WEIGHT: Final = 256


class Closed(Exception):
    """The engine was closed."""


class _Request:
    __slots__ = ("abandoned", "alone", "done", "job", "result", "weight")

    def __init__(
        self,
        job: Job[Any],
        weight: int,
        alone: bool,
        done: asyncio.Future[Any],
        abandoned: Callable[[Any], None] | None,
    ) -> None:
        self.alone = alone
        self.job = job
        self.weight = weight
        self.done = done
        self.abandoned = abandoned
        self.result: Any = None


class Desk:
    """Takes requests (functions of a transaction and a tally), and answers them once they are durable."""

    def __init__(self, database: Database, *, applied: Callable[[Tally], None]) -> None:
        self._database = database
        self._applied = applied
        self._waiting: deque[_Request] = deque()
        self._loop = asyncio.get_running_loop()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pending(self) -> int:
        """Whether requests wait or are being carried out."""
        return int(self._worker is not None)

    def submit(
        self,
        job: Job[T],
        *,
        weight: int = 1,
        alone: bool = False,
        abandoned: Callable[[T], None] | None = None,
    ) -> asyncio.Future[T]:
        """The answer of `job`, or what it raised; StorageError when nothing of its unit was kept.

        `abandoned` is called with a result that is durable but whose waiter was cancelled meanwhile. A job that raises
        must not have written anything. One that is `alone` has a unit to itself, applied before
        the next.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            done.set_exception(Closed())
            return done
        self._waiting.append(_Request(job, weight, alone, done, abandoned))
        if self._worker is None:
            self._worker = self._loop.create_task(self._work())
        return done

    async def close(self) -> None:
        """Answer what was asked so far, then refuse."""
        self._closed = True
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._unit()
        finally:
            self._worker = None

    async def _unit(self) -> None:
        taken: list[_Request] = []
        errors: dict[_Request, Exception] = {}

        def unit(tx: Transaction) -> Tally:
            # Taken only now, when the unit has its turn; a second run finds the same requests.
            if not taken:
                weight = 0
                while self._waiting and weight < UNIT_WEIGHT:
                    if taken and self._waiting[0].alone:
                        break
                    request = self._waiting.popleft()
                    if not request.done.done():
                        taken.append(request)
                        weight += UNIT_WEIGHT if request.alone else request.weight
            errors.clear()
            tally = Tally()
            for request in taken:
                try:
                    request.result = request.job(tx, tally)
                except Refusal as refusal:
                    errors[request] = refusal.error
            return tally

        try:
            tally = await self._database.run(unit)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is theirs who asked
            if not taken:  # it never began
                taken.extend(self._waiting)
                self._waiting.clear()
            for request in taken:
                if not request.done.done():
                    request.done.set_exception(error)
            return
        self._applied(tally)
        for request in taken:
            failed = errors.get(request)
            if request.done.done():
                if failed is None and request.abandoned is not None:
                    request.abandoned(request.result)
            elif failed is None:
                request.done.set_result(request.result)
            else:
                request.done.set_exception(failed)


class Refusal(Exception):
    """What a job raises to refuse its request with `error`, having written nothing."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
