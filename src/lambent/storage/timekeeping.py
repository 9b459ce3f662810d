"""The largest time that this data directory has seen, so that its clock never starts below it.

A machine whose clock was set back would otherwise give old times to new things. Stored once a minute and at the end: a
time that is not stored can be repeated, but only by less than a minute.
"""

from __future__ import annotations

import logging
from typing import Final

from lambent.core.clock import Clock
from lambent.core.tasks import Supervisor
from lambent.storage.database import Database, StorageError, Transaction
from lambent.storage.migrations import Migration

log = logging.getLogger("lambent.storage.time")

INTERVAL_S: Final = 60.0

MIGRATIONS: Final = (
    Migration(
        room="time",
        version=1,
        statements=(
            "CREATE TABLE durable_time (one INTEGER PRIMARY KEY CHECK (one = 1), largest_ms INTEGER NOT NULL)",
        ),
    ),
)


def largest_s(tx: Transaction) -> float:
    """Epoch seconds of the largest stored time; 0.0 in a new data directory."""
    row = tx.one("SELECT largest_ms FROM durable_time")
    return 0.0 if row is None else row["largest_ms"] / 1000


class Timekeeper:
    """Stores the clock's time now and then."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._tasks = Supervisor("time")

    def start(self) -> None:
        self._tasks.spawn(self._run(), "store")

    async def close(self) -> None:
        """Store the time once more, and stop."""
        await self._tasks.close()
        await self._store()

    async def _run(self) -> None:
        while True:
            await self._store()
            await self._clock.sleep(INTERVAL_S)

    async def _store(self) -> None:
        now_ms = int(self._clock.now() * 1000)
        try:
            await self._database.run(
                lambda tx: tx.execute(
                    "INSERT INTO durable_time (one, largest_ms) VALUES (1, ?) ON CONFLICT (one) DO UPDATE "
                    "SET largest_ms = excluded.largest_ms WHERE excluded.largest_ms > durable_time.largest_ms",
                    (now_ms,),
                )
            )
        except StorageError as error:
            log.warning("cannot store the time: %s", error)
