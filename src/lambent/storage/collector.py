"""Removes packages that nothing refers to any more, now and then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from lambent.core.clock import Clock
from lambent.core.tasks import Supervisor
from lambent.storage.blobs import BlobStore
from lambent.storage.code_store import CodeStore
from lambent.storage.database import Database, StorageError, Transaction

log = logging.getLogger("lambent.storage.collector")

INTERVAL_S: Final = 3600.0


class Collector:
    """Collects blobs once an hour, and unpacked folders whose blob is gone.

    A blob goes when two collections in a row found it unneeded, so a folder stays for an hour at least after its
    function was deleted: longer than the last event of any environment that still uses it.
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        code: CodeStore,
        clock: Clock,
        *,
        references: Callable[[Transaction], set[str]],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._code = code
        self._clock = clock
        self._references = references
        self._tasks = Supervisor("collector")

    def start(self) -> None:
        self._tasks.spawn(self._run(), "hourly")

    async def close(self) -> None:
        await self._tasks.close()

    async def collect(self) -> None:
        """One collection. Raises StorageError."""
        freed_bytes = await self._blobs.collect(await self._database.read(self._references))
        await self._code.collect(self._blobs.all())
        if freed_bytes:
            log.info("removed %d bytes of packages that nothing refers to", freed_bytes)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            try:
                await self.collect()
            except (StorageError, OSError) as error:
                log.warning("cannot remove unneeded packages now, trying again in an hour: %s", error)
