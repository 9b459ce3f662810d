"""Where functions' lines go: a queue in memory that a task empties into the logs database.

Writing only appends, whatever the disk does. The queue is bounded in bytes; what does not fit is dropped, counted, and
said in the stream that it belongs to. A kill of the server loses at most the lines of the last fifth of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from lambent.core.clock import Clock
from lambent.core.limits import MIB
from lambent.core.log_events import LogEvent
from lambent.core.operations import Scope
from lambent.core.tasks import Supervisor
from lambent.logs import store
from lambent.logs.model import Chunk, pack
from lambent.logs.news import News
from lambent.storage.database import Database, StorageError, Transaction

log = logging.getLogger("lambent.logs")

StreamKey = tuple[Scope, str, str]

FLUSH_INTERVAL_S: Final = 0.2
FLUSH_EVENTS: Final = 5_000
RETRY_S: Final = 1.0
# Units of work hold the event loop: 16 chunks take well under a millisecond.
_CHUNKS_PER_UNIT: Final = 16
_BYTES_PER_UNIT: Final = 512 * 1024
# What an event takes in memory beside its text, about.
_EVENT_MEMORY_BYTES: Final = 150


class DatabaseLogSink:
    """`core.log_events.LogSink` over the logs database. All calls come from one event loop.

    `quota_bytes` bounds what is kept: the oldest chunks go first. `start` begins the background flushing; without it
    nothing reaches the database but by `flush`.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        news: News,
        quota_bytes: int,
        max_queued_bytes: int = 64 * MIB,
        flush_interval_s: float = FLUSH_INTERVAL_S,
        flush_events: int = FLUSH_EVENTS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._news = news
        self._quota_bytes = quota_bytes
        self._max_queued_bytes = max_queued_bytes
        self._flush_interval_s = flush_interval_s
        self._flush_events = flush_events
        self._queue: list[tuple[Scope, str, str, tuple[LogEvent, ...]]] = []
        self._queued_events = 0
        self._queued_bytes = 0
        self._packed: deque[Chunk] = deque()  # of a flush that the disk refused, or that is under way
        self._packed_bytes = 0
        self._dropped: Counter[StreamKey] = Counter()
        self.dropped_events = 0  # since the start
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._tasks = Supervisor("logs")

    def write(self, scope: Scope, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        """Queue `events` for the stream, which is created when it is missing. Never waits."""
        count = len(events)
        size_bytes = _EVENT_MEMORY_BYTES * count
        for event in events:
            size_bytes += len(event.message)
        if self._queued_bytes + self._packed_bytes + size_bytes > self._max_queued_bytes:
            self._dropped[scope, group, stream] += count
            self.dropped_events += count
            return
        self._queue.append((scope, group, stream, tuple(events)))
        self._queued_bytes += size_bytes
        self._queued_events += count
        if self._queued_events == count:
            self._wake.set()
        elif self._queued_events >= self._flush_events:
            self._full.set()

    def start(self) -> None:
        self._tasks.spawn(self._run(), "flush")

    async def flush(self) -> None:
        """Store everything written so far, and make room within the quota. Raises StorageError (nothing is lost)."""
        # A caller that goes away must not leave it open whether the unit under way was stored.
        error = await asyncio.shield(self._tasks.spawn(self._try_flush(), "flush-now"))
        if error is not None:
            raise error

    async def make_room(self, disk_bytes: int) -> None:
        """Remove the oldest chunks of all while the logs (now at `disk_bytes`) are over the quota."""
        while disk_bytes > self._quota_bytes:
            disk_bytes = await self._database.run(_remove_slice)

    async def close(self) -> None:
        """Stop the background flushing and store what is queued; what the disk refuses now is lost, and logged so."""
        async with self._flushing:  # never in the middle of a unit
            await self._tasks.close()
        error = await self._try_flush()
        if error is not None:
            log.error("functions' last log lines are lost: %s", error)

    # Inside

    async def _try_flush(self) -> StorageError | None:
        try:
            await self._flush()
        except StorageError as error:
            return error
        return None

    async def _flush(self) -> None:
        async with self._flushing:
            self._pack()
            await self._store()
            if self._dropped:  # told only now that the disk takes something again
                self._tell_dropped()
                self._pack()
                await self._store()

    async def _store(self) -> None:
        """Store what is packed, in units that are short, then remove what is over the quota."""
        stored: set[tuple[Scope, str]] = set()
        disk_bytes = 0
        try:
            while self._packed:
                chunks = self._next_unit()
                work = functools.partial(_append, chunks=chunks, now_ms=int(self._clock.now() * 1000))
                disk_bytes = await self._database.run(work)
                for chunk in chunks:
                    self._packed.popleft()
                    self._packed_bytes -= _memory_bytes(chunk)
                    stored.add((chunk.scope, chunk.group))
        finally:
            self._news.announce(stored)
        await self.make_room(disk_bytes)

    async def _run(self) -> None:
        failing = False
        while True:
            await self._wake.wait()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await self._clock.wait_for(self._full.wait(), self._flush_interval_s)
            error = await self._try_flush()
            if error is not None:
                if not failing:
                    log.warning("functions' logs cannot be stored, trying again every %g s: %s", RETRY_S, error)
                self._wake.set()
                await self._clock.sleep(RETRY_S)
            failing = error is not None

    def _pack(self) -> None:
        """Turn what is queued into chunks, one run per stream."""
        queue, self._queue = self._queue, []
        self._queued_events = self._queued_bytes = 0
        self._full.clear()
        streams: dict[StreamKey, list[LogEvent]] = {}
        for scope, group, stream, events in queue:
            streams.setdefault((scope, group, stream), []).extend(events)
        for key, lines in streams.items():
            if lines:
                for chunk in pack(*key, lines):
                    self._packed.append(chunk)
                    self._packed_bytes += _memory_bytes(chunk)

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, Counter()
        log.warning("%d log events dropped: the disk cannot keep up", dropped.total())
        timestamp_ms = int(self._clock.now() * 1000)
        for key, count in dropped.items():
            line = f"lambent: {count} events dropped: the disk cannot keep up\n"
            self._queue.append((*key, (LogEvent(timestamp_ms=timestamp_ms, message=line),)))

    def _next_unit(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        size_bytes = 0
        for chunk in islice(self._packed, _CHUNKS_PER_UNIT):
            size_bytes += len(chunk.body)
            if chunks and size_bytes > _BYTES_PER_UNIT:
                break
            chunks.append(chunk)
        return chunks


def _memory_bytes(chunk: Chunk) -> int:
    return len(chunk.body) + _EVENT_MEMORY_BYTES


def _append(tx: Transaction, *, chunks: Sequence[Chunk], now_ms: int) -> int:
    return store.append(tx, chunks, now_ms)


def _remove_slice(tx: Transaction) -> int:
    return store.remove_oldest(tx, _CHUNKS_PER_UNIT)
