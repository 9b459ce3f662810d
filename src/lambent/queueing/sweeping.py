"""What goes by itself: expired messages, what purges and deletions left, old deduplication ids. In small steps, each a
request among others at the desk, so that nobody waits for the whole."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from lambent.core.clock import Clock
from lambent.core.tasks import Supervisor
from lambent.queueing import rows
from lambent.queueing.catalogue import Catalogue
from lambent.queueing.desk import Desk
from lambent.queueing.model import DEDUPLICATION_MS
from lambent.queueing.state import QueueState, Tally
from lambent.storage.database import Database, StorageError, Transaction

log = logging.getLogger("lambent.queueing")

INTERVAL_S: Final = 5.0
STEP: Final = 100  # messages of one step: about a millisecond

_RETENTION: Final = "SELECT retention_ms FROM queueing_queues WHERE number = ?"
FIRST: Final = f"SELECT {rows.COLUMNS} FROM queueing_messages WHERE shard = ? ORDER BY seq LIMIT ?"
FIRST_DEAD: Final = (
    f"SELECT {rows.COLUMNS} FROM queueing_messages "
    "WHERE shard = ? AND source IS NOT NULL AND sent_ms < ? ORDER BY sent_ms LIMIT ?"
)
_DOOMED: Final = "SELECT shard FROM queueing_doomed LIMIT 1"


class Sweeper:
    """Sweeps every few seconds."""

    def __init__(
        self, database: Database, desk: Desk, queues: Catalogue, clock: Clock, now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._desk = desk
        self._queues = queues
        self._clock = clock
        self._now_ms = now_ms
        self._tasks = Supervisor("queue sweeper")

    def start(self) -> None:
        self._tasks.spawn(self._run(), "sweep")

    async def close(self) -> None:
        await self._tasks.close()

    async def sweep(self) -> None:
        """Everything that is due. Raises StorageError."""
        while await self._desk.submit(self._doomed_step, weight=STEP):
            pass
        for queue in self._queues:
            await self.expire(queue)
        while await self._desk.submit(self._memory_step, weight=STEP):
            pass

    async def expire(self, queue: QueueState) -> None:
        """Remove a queue's messages that are too old. Raises StorageError."""
        if not any(queue.depth.at(self._now_ms())):
            return
        while await self._database.read(lambda tx: self._due(tx, queue)):
            await self._desk.submit(lambda tx, tally: self._expire_step(tx, queue, tally), weight=STEP)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            try:
                await self.sweep()
            except StorageError as error:
                log.warning("cannot remove expired messages now, trying again: %s", error)

    def _due(self, tx: Transaction, queue: QueueState) -> bool:
        return bool(self._old(tx, queue, 1))

    def _old(self, tx: Transaction, queue: QueueState, limit: int) -> list[rows.Message]:
        """Some of the messages that are too old, those first that came first."""
        row = tx.one(_RETENTION, (queue.number,))
        if row is None:
            return []
        since_ms = self._now_ms() - int(row[0])
        first = rows.messages(tx.all(FIRST, (queue.shard, limit)))
        old = [each for each in first if rows.kept_since_ms(queue, each) < since_ms]
        if not old and not queue.fifo:
            old = rows.messages(tx.all(FIRST_DEAD, (queue.shard, since_ms, limit)))
        return old

    def _expire_step(self, tx: Transaction, queue: QueueState, tally: Tally) -> None:
        rows.remove(tx, queue, self._old(tx, queue, STEP), tally)

    def _doomed_step(self, tx: Transaction, tally: Tally) -> bool:
        """Some messages of a shard that no queue has any more; whether there is more to do."""
        doomed = tx.one(_DOOMED)
        if doomed is None:
            return False
        shard = doomed[0]
        found = rows.messages(tx.all(FIRST, (shard, STEP)))
        tx.many("DELETE FROM queueing_messages WHERE shard = ? AND seq = ?", [(shard, each.seq) for each in found])
        rows.remove_bodies(tx, found, tally)
        lanes = tx.execute(
            "DELETE FROM queueing_lanes WHERE id IN (SELECT id FROM queueing_lanes WHERE shard = ? LIMIT ?)",
            (shard, STEP),
        )
        if not found and not lanes:
            tx.execute("DELETE FROM queueing_doomed WHERE shard = ?", (shard,))
        return True

    def _memory_step(self, tx: Transaction, tally: Tally) -> bool:
        """Some deduplication ids and receive attempts that count no more; whether there is more to do."""
        until_ms = self._now_ms() - DEDUPLICATION_MS
        removed = 0
        for table in ("queueing_deduplication", "queueing_attempts"):
            first = tx.all(f"SELECT seq, at_ms FROM {table} ORDER BY seq LIMIT ?", (STEP,))
            old = [(row[0],) for row in first if row[1] <= until_ms]
            tx.many(f"DELETE FROM {table} WHERE seq = ?", old)
            removed += len(old)
        return removed > 0
