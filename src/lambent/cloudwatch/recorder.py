"""Takes samples from whoever counts, every few seconds, and removes what has expired, once an hour."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Final

from lambent.cloudwatch import store
from lambent.core.clock import Clock
from lambent.core.errors import AwsError
from lambent.core.metric_data import MetricSample
from lambent.core.tasks import Supervisor
from lambent.storage.database import Database, StorageError

log = logging.getLogger("lambent.cloudwatch")

INTERVAL_S: Final = 5.0
SWEEP_S: Final = 3600.0
# Units of work hold the event loop: 50 samples take about two milliseconds.
SAMPLES_PER_UNIT: Final = 50
_POINTS_PER_SWEEP: Final = 256
# Samples that wait for a disk that refuses them.
_MAX_WAITING: Final = 20_000

Source = Callable[[], Sequence[MetricSample]]


async def record(database: Database, samples: Sequence[MetricSample]) -> None:
    """Store `samples`, in units that are short. Raises StorageError and LimitExceeded; what came before is stored."""
    for start in range(0, len(samples), SAMPLES_PER_UNIT):
        await database.run(functools.partial(store.record, samples=samples[start : start + SAMPLES_PER_UNIT]))


class Recorder:
    """Asks `source` for what happened since it was last asked."""

    def __init__(self, database: Database, clock: Clock, source: Source) -> None:
        self._database = database
        self._clock = clock
        self._source = source
        self._waiting: list[MetricSample] = []
        self._tasks = Supervisor("metrics")

    def start(self) -> None:
        self._tasks.spawn(self._run(), "record")

    async def close(self) -> None:
        """Record once more, and stop."""
        await self._tasks.close()
        await self.record()

    async def record(self) -> None:
        """Store what happened since the last time; what the disk refuses waits for the next."""
        self._waiting += self._source()
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), SAMPLES_PER_UNIT):
            unit = waiting[start : start + SAMPLES_PER_UNIT]
            try:
                await self._database.run(functools.partial(store.record, samples=unit))
            except StorageError as error:
                log.warning("functions' metrics cannot be stored now: %s", error)
                self._waiting = (waiting[start:] + self._waiting)[-_MAX_WAITING:]
                return
            except AwsError as refused:
                log.warning("functions' metrics are lost: %s", refused.message)

    async def sweep(self) -> None:
        """Remove everything that has expired. Raises StorageError."""
        now_s = int(self._clock.now())
        work = functools.partial(store.remove_old, now_s=now_s, limit=_POINTS_PER_SWEEP)
        while await self._database.run(work):
            pass

    async def _run(self) -> None:
        swept_s = -SWEEP_S
        while True:
            await self.record()
            if self._clock.monotonic() - swept_s >= SWEEP_S:
                swept_s = self._clock.monotonic()
                try:
                    await self.sweep()
                except StorageError as error:
                    log.warning("cannot remove expired metrics now, trying again in an hour: %s", error)
            await self._clock.sleep(INTERVAL_S)
