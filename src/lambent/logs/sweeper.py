"""Removes what has expired or was deleted, in slices between which everybody else gets a turn."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from typing import Final

from lambent.core.clock import Clock
from lambent.core.tasks import Supervisor
from lambent.logs import groups, store
from lambent.storage.database import Database, StorageError, Transaction

log = logging.getLogger("lambent.logs")

INTERVAL_S: Final = 3600.0
# Units of work hold the event loop: removing 16 chunks, of 64 KB each at most, takes about a millisecond.
_CHUNKS_PER_UNIT: Final = 16
_STREAMS_PER_UNIT: Final = 128


class Sweeper:
    """Sweeps at the start, once an hour, and when `wake` is called after a deletion.

    Expired events are hidden from readers at once; on disk they stay for an hour at most. A chunk that holds both
    expired events and others stays until all have expired, which is 60 seconds later at most.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._deleted = asyncio.Event()
        self._tasks = Supervisor("logs-sweeper")

    def start(self) -> None:
        self._tasks.spawn(self._run(), "sweep")

    def wake(self) -> None:
        """Something was deleted."""
        self._deleted.set()

    async def close(self) -> None:
        await self._tasks.close()

    async def sweep(self) -> None:
        """Remove everything that is due. Raises StorageError."""
        while await self._database.run(_remove_deleted):
            pass
        now_ms = int(self._clock.now() * 1000)
        for group in await self._database.read(groups.with_retention):
            work = functools.partial(
                store.remove_expired,
                group_id=group.id,
                before_ms=group.expired_before_ms(now_ms),
                limit=_CHUNKS_PER_UNIT,
            )
            while await self._database.run(work):
                pass

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except StorageError as error:
                log.warning("cannot remove expired log events now, trying again in an hour: %s", error)
            with contextlib.suppress(TimeoutError):
                await self._clock.wait_for(self._deleted.wait(), INTERVAL_S)
            self._deleted.clear()


def _remove_deleted(tx: Transaction) -> bool:
    """Remove a slice of what was deleted; whether there was anything."""
    removal = tx.one("SELECT id, group_id, stream_id FROM log_removals ORDER BY id LIMIT 1")
    if removal is None:
        return False
    group_id, stream_id = removal["group_id"], removal["stream_id"]
    chunks = store.chunks_of(tx, group_id, stream_id, _CHUNKS_PER_UNIT)
    if chunks:
        store.forget(tx, chunks)
        return True
    streams = 0
    if not stream_id:
        streams = tx.execute(
            "DELETE FROM log_streams WHERE id IN (SELECT id FROM log_streams WHERE group_id = ? LIMIT ?)",
            (group_id, _STREAMS_PER_UNIT),
        )
    if not streams:
        tx.execute("DELETE FROM log_removals WHERE id = ?", (removal["id"],))
    return True
