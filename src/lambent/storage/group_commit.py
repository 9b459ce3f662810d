"""Many units of work in one commit.

Statements run on the event loop, only the COMMIT (with its fsync) runs on a thread: see
docs/decisions/0003-where-statements-run.md for the measurement. While a commit is under way, new units queue up
and make the next batch, so the batch grows with the load by itself. Each unit has a savepoint of its own: one that
raises is undone alone. Nobody is told anything, not even a failure, before the batch is on disk: a failure may
rest on what an earlier unit of the same batch wrote.

A batch holds the loop for a slice of a few milliseconds at most (one unit is never split), then lets the loop run
and goes on in the same transaction. Waiting for another process's write lock happens on the thread too.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from lambent.core import owners
from lambent.storage import database, leases, sqlite

T = TypeVar("T")
Job = Callable[[], None]

SLICE_S: Final = 0.003
BATCH_UNITS: Final = 512


class _State(enum.Enum):
    """IDLE -> BEGINNING -> FILLING -> COMMITTING -> IDLE, or straight back to IDLE when a batch is given up.

    BEGINNING keeps a second batch from starting while the first waits for its turn on the loop or for the write
    lock; COMMITTING keeps the loop off the connection while the thread uses it.
    """

    IDLE = 0
    BEGINNING = 1
    FILLING = 2
    COMMITTING = 3


@dataclass(slots=True)
class _Unit:
    """One unit: what to run, who waits for it, and how it went (told only after the commit)."""

    work: Callable[[database.Transaction], Any]
    waiter: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def tell(self) -> None:
        if self.waiter.done():  # cancelled meanwhile
            return
        if self.error is None:
            self.waiter.set_result(self.result)
        else:
            self.waiter.set_exception(self.error)


class SqliteDatabase:
    """`database.Database` on one SQLite file. Made by `opening.open_database`; belongs to the running event loop.

    A caller that is cancelled while it waits does not know whether its unit was kept.
    """

    def __init__(
        self,
        path: Path,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        *,
        lease: owners.Lease | None = None,
        slice_s: float = SLICE_S,
        batch_units: int = BATCH_UNITS,
    ) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._lease = lease
        self._slice_s = slice_s
        self._batch_units = batch_units
        self._loop = asyncio.get_running_loop()
        self._state = _State.IDLE
        self._generation = 0
        self._queue: deque[_Unit] = deque()
        self._batch: list[_Unit] = []
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work_off_jobs, name=f"commit {path.name}", daemon=True)
        self._thread.start()

    @property
    def generation(self) -> int:
        """See `database.Database.generation`."""
        return self._generation

    @property
    def pending(self) -> int:
        """Units that have not been answered yet."""
        return len(self._queue) + len(self._batch)

    async def run(self, work: Callable[[database.Transaction], T], *, key: Hashable | None = None) -> T:
        """See `database.Database.run`. All units of one file are serial, so `key` needs no lock of its own.

        Raises LeaseLost when another process owns the file by now.
        """
        if self._closing:
            raise database.StorageError(f"{self.path.name} is closed")
        waiter: asyncio.Future[T] = self._loop.create_future()
        self._queue.append(_Unit(work, waiter))
        if self._state is _State.IDLE:
            self._schedule()
        return await waiter

    async def read(self, work: Callable[[database.Transaction], T]) -> T:
        """See `database.Database.read`. Runs at once, on the loop, on a snapshot; no commit delays it."""
        if self._closing:
            raise database.StorageError(f"{self.path.name} is closed")
        return sqlite.run_reading(self._reader, work)

    async def close(self) -> None:
        """See `database.Database.close`. Idempotent. The write-ahead log is folded in and removed."""
        self._closing = True
        await self._idle.wait()
        if self._thread.is_alive():
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)

    # On the loop

    def _schedule(self) -> None:
        # call_soon rather than at once: everybody whom this turn of the loop wakes joins the batch.
        self._state = _State.BEGINNING
        self._idle.clear()
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if sqlite.is_busy(error):
                self._jobs.put(self._wait_for_write_lock)
                return
            self._begun(error)
        else:
            self._begun(None)

    def _begun(self, error: sqlite3.Error | None) -> None:
        try:
            if error is not None:
                raise error
            if self._lease is not None:
                leases.check(self._writer, self._lease)
        except owners.LeaseLost as lost:
            self._refuse_all(lost)
        except sqlite3.Error as failure:
            self._refuse_all(database.StorageError(str(failure)))
        else:
            self._state = _State.FILLING
            self._fill()

    def _fill(self) -> None:
        # Real time, not the Clock's: this bounds how long everybody else on the real loop waits.
        until = time.monotonic() + self._slice_s
        while self._queue and len(self._batch) < self._batch_units:
            unit = self._queue.popleft()
            if unit.waiter.done():
                continue
            self._batch.append(unit)
            failure = self._run_unit(unit)
            if failure is not None:
                self._give_up(failure)
                return
            if time.monotonic() >= until and self._queue:
                self._loop.call_soon(self._fill)
                return
        self._state = _State.COMMITTING
        self._jobs.put(self._commit)

    def _run_unit(self, unit: _Unit) -> Exception | None:
        """Run one unit in a savepoint; what it returns ends the whole batch."""
        transaction = sqlite.SqliteTransaction(self._writer)
        try:
            self._writer.execute("SAVEPOINT unit")
            try:
                unit.result = unit.work(transaction)
            except Exception as error:  # noqa: BLE001 - whatever a unit raises is its caller's
                # A future cannot carry StopIteration.
                unit.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
                if transaction.failure is None and self._writer.in_transaction:
                    self._writer.execute("ROLLBACK TO unit")
            transaction.end()
            if transaction.failure is not None:
                return transaction.failure
            if not self._writer.in_transaction:
                return RuntimeError("a unit of work must not end the transaction")
            self._writer.execute("RELEASE unit")
        except sqlite3.Error as error:
            return database.StorageError(str(error))
        return None

    def _committed(self, error: sqlite3.Error | None) -> None:
        if error is not None:
            self._give_up(database.StorageError(str(error)))
            return
        self._generation += 1
        for unit in self._batch:
            unit.tell()
        self._next()

    def _give_up(self, error: Exception) -> None:
        """Nothing of the batch is kept; what waits gets its turn in the next."""
        if self._writer.in_transaction:
            # Should even this fail, the next BEGIN fails and comes here again.
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
        for unit in self._batch:
            unit.error = type(error)(str(error))
            unit.tell()
        self._next()

    def _refuse_all(self, error: Exception) -> None:
        """No batch can begin: everybody who waits is told."""
        self._batch.extend(self._queue)
        self._queue.clear()
        self._give_up(error)

    def _next(self) -> None:
        self._batch = []
        self._state = _State.IDLE
        if self._queue:
            self._schedule()
        else:
            self._idle.set()

    # On the thread

    def _work_off_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._reader.close()
        self._writer.close()

    def _wait_for_write_lock(self) -> None:
        self._report(self._begun, self._attempt("BEGIN IMMEDIATE", wait_ms=5000))

    def _commit(self) -> None:
        self._report(self._committed, self._attempt("COMMIT"))

    def _attempt(self, statement: str, wait_ms: int = 0) -> sqlite3.Error | None:
        try:
            if wait_ms:
                self._writer.execute(f"PRAGMA busy_timeout={wait_ms}").fetchone()
            try:
                self._writer.execute(statement)
            finally:
                if wait_ms:
                    self._writer.execute("PRAGMA busy_timeout=0").fetchone()
        except sqlite3.Error as error:
            return error
        return None

    def _report(self, then: Callable[[sqlite3.Error | None], None], error: sqlite3.Error | None) -> None:
        # RuntimeError: the loop was closed without closing us first; nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(then, error)
