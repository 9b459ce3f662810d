"""The queue engine: every queue of one server process, on one database.

Bodies and order are on disk, memory holds numbers and waiters only; see `schema` for the tables and `desk` for how
requests share commits. What a call returns is durable. One process owns all queues of its database, by the lease
that the database checks with each commit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from lambent.core import ids
from lambent.core.clock import Clock
from lambent.core.tasks import Supervisor
from lambent.queueing import attempts, catalogue, moving, rows, settling, sweeping
from lambent.queueing.bodies import Bodies, without_message
from lambent.queueing.depth import Depth
from lambent.queueing.desk import Desk, Refusal
from lambent.queueing.handles import Handles
from lambent.queueing.model import (
    Counts,
    Moved,
    NewMessage,
    Outcome,
    QueueConfig,
    QueueGone,
    Received,
    Sent,
    TooManyInFlight,
)
from lambent.queueing.numbers import Numbers
from lambent.queueing.receiving import Batch, Receive, Taken
from lambent.queueing.sending import Arrival, send
from lambent.queueing.state import QueueState, Tally
from lambent.queueing.waiting import Waiting
from lambent.storage import files
from lambent.storage.database import Database, Transaction

# Bodies from this size on are files: measured in benchmarks/queue_engine.py.
FILE_BYTES: Final = 128 * 1024
_KEY_BYTES: Final = 32


class QueueEngine:
    """Made by `open`. Methods with a transaction join the caller's unit of work; all others are durable on return.

    Those raise StorageError when the disk fails, with nothing changed, and QueueGone when the queue is not there.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        bodies: Bodies,
        *,
        handle_key: bytes,
        next_number: int,
        new_id: ids.IdSource,
    ) -> None:
        self._database = database
        self._clock = clock
        self._bodies = bodies
        self._new_id = new_id
        self._numbers = Numbers(next_number)
        self._handles = Handles(handle_key)
        self._queues = catalogue.Catalogue()
        self._moves: dict[str, Tally] = {}
        self._desk = Desk(database, applied=self._applied)
        self._waiting = Waiting(clock, self._now_ms)
        self._sweeper = sweeping.Sweeper(database, self._desk, self._queues, clock, self._now_ms)
        self._tasks = Supervisor("queueing")

    @classmethod
    async def open(
        cls,
        database: Database,
        folder: Path,
        clock: Clock,
        *,
        new_id: ids.IdSource = ids.new_uuid,
        random_bytes: Callable[[int], bytes] = os.urandom,
        file_bytes: int = FILE_BYTES,
    ) -> QueueEngine:
        """The engine on `database` (with this room's migrations), with large bodies in `folder`.

        Counts every message, which takes a second for some millions. Raises StorageError.
        """
        bodies = await files.on_thread(Bodies, folder, min_bytes=file_bytes)

        def start(tx: Transaction) -> tuple[int, bytes]:
            tx.execute(
                "INSERT OR IGNORE INTO queueing_meta (one, next_seq, handle_key) VALUES (1, 1, ?)",
                (random_bytes(_KEY_BYTES),),
            )
            row = tx.one("SELECT next_seq, handle_key FROM queueing_meta")
            assert row is not None
            return row[0], row[1]

        next_number, key = await database.run(start)
        engine = cls(database, clock, bodies, handle_key=key, next_number=next_number, new_id=new_id)
        await database.run(lambda tx: engine._queues.load(tx, engine._now_ms()))
        engine._sweeper.start()
        engine._tasks.spawn(bodies.collect(database), "left-over bodies")
        return engine

    async def close(self) -> None:
        """Finish what was asked, and stop. The database is the caller's to close."""
        await self._sweeper.close()
        await self._waiting.close()
        await self._desk.close()
        await self._tasks.close()

    @property
    def bodies(self) -> Bodies:
        """The large bodies, which belong into a backup."""
        return self._bodies

    @property
    def pending(self) -> int:
        """Whether requests are under way, for virtual clocks to wait for."""
        return self._desk.pending + self._tasks.running

    # Queues

    def create(self, tx: Transaction, config: QueueConfig) -> None:
        """A new queue. Raises QueueExists for a name or id that is there."""
        tally = Tally()
        self._queues.create(tx, config, self._numbers, tally)

    def configure(self, tx: Transaction, config: QueueConfig) -> None:
        """Store what the engine does by itself for the queue: retention, scope. Raises QueueGone."""
        self._queues.configure(tx, config)

    def delete(self, tx: Transaction, queue_id: str) -> None:
        """The queue goes; its messages go in the background. Raises QueueGone."""
        self._queues.delete(tx, queue_id)

    def deleted(self, queue_id: str) -> None:
        """The deletion is durable: who waits at the queue gets nothing."""
        queue = self._queues.forget(queue_id)
        if queue is not None:
            self._waiting.look(queue)

    async def purge(self, queue_id: str) -> None:
        """Remove every message that is there now. The work goes on in the background."""
        queue = self._queues.require(queue_id)

        def job(tx: Transaction, tally: Tally) -> None:
            shard = self._numbers.take(tx, 1, tally)
            catalogue.new_shard(tx, queue, shard)
            tally.then.append(lambda: queue.restart(shard))

        await self._desk.submit(job, alone=True)

    async def counts(self, config: QueueConfig) -> Counts:
        """Exact numbers of messages, without those that are too old."""
        queue = await self._current(config)
        await self._sweeper.expire(queue)
        visible, in_flight, delayed = queue.depth.at(self._now_ms())
        oldest_ms = None
        if visible or in_flight or delayed:
            oldest = await self._database.read(lambda tx: tx.one(_OLDEST, (queue.shard,)))
            if oldest is not None:
                oldest_ms = oldest[0]
        return Counts(visible, in_flight, delayed, oldest_ms)

    async def sweep(self) -> None:
        """Remove everything that is too old now, rather than within seconds."""
        await self._sweeper.sweep()

    # Messages

    async def send(self, config: QueueConfig, messages: Sequence[NewMessage]) -> list[Sent]:
        """Put messages into a queue, all or none, in their order. FIFO duplicates get what the first was given."""
        queue = await self._current(config)
        large = [message.body for message in messages if len(message.body) >= self._bodies.min_bytes]
        names = iter(await self._bodies.write(large) if large else ())
        arrivals = [
            Arrival(message, self._new_id(), next(names) if len(message.body) >= self._bodies.min_bytes else None)
            for message in messages
        ]

        def job(tx: Transaction, tally: Tally) -> list[Sent]:
            self._check(queue)
            return send(tx, queue, config, arrivals, self._numbers, self._now_ms(), tally)

        try:
            return await self._desk.submit(job, weight=len(arrivals))
        except BaseException:
            written = [arrival.file for arrival in arrivals if arrival.file is not None]
            if written:
                # After a cancellation the messages may be there all the same.
                self._desk.submit(lambda tx, tally: tally.files.extend(without_message(tx, written))).add_done_callback(
                    _seen
                )
            raise

    async def receive(
        self,
        config: QueueConfig,
        *,
        limit: int = 1,
        visibility_timeout_s: int | None = None,
        wait_s: float = 0,
        attempt_id: str | None = None,
    ) -> list[Received]:
        """Up to `limit` messages as soon as one is visible, or none after `wait_s`.

        A caller that is cancelled gets nothing and holds nothing. Raises TooManyInFlight for a standard queue whose
        consumers hold too many messages, unless it may wait.
        """
        queue = await self._current(config)
        timeout_ms = 1000 * (config.visibility_timeout_s if visibility_timeout_s is None else visibility_timeout_s)
        until_s = self._clock.monotonic() + wait_s
        while True:
            version = queue.version
            if queue.gone:
                return []
            visible, in_flight, _ = queue.depth.at(self._now_ms())
            batch = Batch([], False)
            if attempt_id is not None or visible > 0:
                if in_flight >= config.max_in_flight and not queue.fifo and not wait_s:
                    raise TooManyInFlight(config.name)
                batch = await self._take(queue, config, limit, timeout_ms, attempt_id)
            if batch.taken:
                if visible > len(batch.taken):
                    self._waiting.look(queue)
                found = await self._filled(batch.taken)
                if found:
                    return found
            if batch.again or batch.taken:
                continue
            left_s = until_s - self._clock.monotonic()
            if left_s <= 0:
                return []
            await self._waiting.wait(queue, version, left_s)

    async def delete_messages(self, queue_id: str, handles: Sequence[str]) -> list[Outcome]:
        """DONE, GONE, INVALID, or (FIFO) EXPIRED for each handle."""
        queue = self._queues.require(queue_id)

        def job(tx: Transaction, tally: Tally) -> list[Outcome]:
            return settling.delete(tx, queue, handles, self._handles, self._now_ms(), tally)

        return await self._desk.submit(job, weight=len(handles))

    async def change_visibility(self, queue_id: str, changes: Sequence[tuple[str, int]]) -> list[Outcome]:
        """DONE, GONE, INVALID, EXPIRED (FIFO), NOT_IN_FLIGHT or TOO_LONG for each (handle, seconds from now)."""
        queue = self._queues.require(queue_id)

        def job(tx: Transaction, tally: Tally) -> list[Outcome]:
            return settling.change_visibility(tx, queue, changes, self._handles, self._now_ms(), tally)

        return await self._desk.submit(job, weight=len(changes))

    # Moving

    def move(self, tx: Transaction, source_id: str, target_id: str | None, limit: int) -> Moved:
        """Move up to `limit` visible messages, the oldest first, to the target or (None) where each came from.

        Call `moved` once the unit is durable. Moved messages are new in their queue.
        """
        source = self._queues.require(source_id)
        target = None if target_id is None else self._queues.require(target_id)
        tally = self._moves[source_id] = Tally()
        now_ms = self._now_ms()
        delay_ms = source.delay_ms
        moved, lanes, stranded = 0, set(), False
        for message in rows.messages(tx.all(_VISIBLE, (source.shard, now_ms, now_ms - delay_ms, limit))):
            to = target
            if to is None and message.source is not None:
                to = self._queues.named(tx, message.source)
            if to is None:
                stranded = True
                break
            moving.send_back(tx, source, to, message, self._numbers, now_ms, tally)
            lanes.add(message.lane)
            moved += 1
        rows.settle_lanes(tx, source, lanes, tally)
        return Moved(moved, stranded)

    def moved(self, source_id: str) -> None:
        """A move out of the queue is durable."""
        tally = self._moves.pop(source_id, None)
        if tally is not None:
            self._applied(tally)

    # Inside

    def _now_ms(self) -> int:
        return round(self._clock.now() * 1000)

    def _check(self, queue: QueueState) -> None:
        if queue.gone:
            raise Refusal(QueueGone(queue.id))

    async def _current(self, config: QueueConfig) -> QueueState:
        """The queue, which follows a changed configuration from here on."""
        queue = self._queues.require(config.id)
        queue.scope = config.deduplication_scope
        if queue.fifo and queue.delay_ms != config.delay_s * 1000:
            delay_ms = config.delay_s * 1000

            def recount(tx: Transaction, tally: Tally) -> None:
                depth = Depth(delay_ms)
                for fresh, visible_ms, number in tx.all(_STATES, (queue.shard,)):
                    depth.add(visible_ms, fresh, number)
                tally.then.append(lambda: queue.redelay(delay_ms, depth))
                tally.touched.add(queue)

            await self._desk.submit(recount, alone=True)
        return queue

    async def _take(
        self, queue: QueueState, config: QueueConfig, limit: int, timeout_ms: int, attempt_id: str | None
    ) -> Batch:
        def job(tx: Transaction, tally: Tally) -> Batch:
            now_ms = self._now_ms()
            room = config.max_in_flight - queue.depth.at(now_ms)[1] - tally.in_flight.get(queue, 0)
            receive = Receive(
                tx,
                queue,
                config,
                limit=min(limit, room),
                timeout_ms=timeout_ms,
                now_ms=now_ms,
                tally=tally,
                numbers=self._numbers,
                handles=self._handles,
                target=self._queues.named,
            )
            if attempt_id is not None:
                earlier = attempts.find(tx, queue, attempt_id, now_ms)
                if earlier is not None:
                    received_ms, held = earlier
                    settling.hold_on(tx, queue, held, now_ms + timeout_ms, now_ms, tally)
                    attempts.prolong(tx, queue, attempt_id, now_ms + timeout_ms)
                    return Batch([receive.repeat(message, received_ms) for message in held], False)
            if queue.gone or room <= 0:
                return Batch([], False)
            batch = receive.run()
            if attempt_id is not None and batch.taken:
                attempts.save(tx, queue, attempt_id, batch.taken, self._numbers, now_ms, tally)
            return batch

        def put_back(batch: Batch) -> None:
            def job(tx: Transaction, tally: Tally) -> None:
                settling.put_back(tx, queue, batch.taken, self._now_ms(), tally)

            if batch.taken and not queue.gone:
                self._desk.submit(job, weight=len(batch.taken)).add_done_callback(_seen)

        return await self._desk.submit(job, weight=limit, abandoned=put_back)

    async def _filled(self, taken: Sequence[Taken]) -> list[Received]:
        """The deliveries, with the bodies that are in files. One that was deleted meanwhile is none."""
        found = []
        for _, received, file in taken:
            if file is not None:
                body = await self._bodies.read(file)
                if body is None:
                    continue
                received.body = body
            found.append(received)
        return found

    def _applied(self, tally: Tally) -> None:
        """Memory follows what is durable now."""
        tally.apply()
        self._numbers.confirm(tally.mark)
        for queue in tally.touched:
            self._waiting.look(queue)
        if tally.files:
            self._tasks.spawn(self._bodies.remove(tally.files), "remove bodies")


_OLDEST: Final = "SELECT came_ms FROM queueing_messages WHERE shard = ? ORDER BY seq LIMIT 1"
_VISIBLE: Final = (
    f"SELECT {rows.COLUMNS} FROM queueing_messages "
    "WHERE shard = ? AND visible_ms <= CASE fresh WHEN 0 THEN ? ELSE ? END ORDER BY seq LIMIT ?"
)
_STATES: Final = "SELECT fresh, visible_ms, count(*) FROM queueing_messages WHERE shard = ? GROUP BY fresh, visible_ms"


def _seen(future) -> None:  # type: ignore[no-untyped-def]
    if not future.cancelled():
        future.exception()
