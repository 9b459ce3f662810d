"""Reading logs: the last events of a group, and new ones as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from lambent.core.clock import Clock
from lambent.core.operations import Scope
from lambent.logs import groups, store
from lambent.logs.groups import LogGroup
from lambent.logs.model import LogRecord
from lambent.logs.news import News
from lambent.storage.database import Database, StorageError, Transaction

# One read holds the event loop while it runs: at most 16 chunks of 64 KB.
_CHUNKS_PER_READ: Final = 16


class LogReader:
    """Reads what a sink stores in `database`.

    `flush` is the sink's: an answer holds what was written before the question, unless the disk refuses new events;
    then what it has already is still told.
    """

    def __init__(self, database: Database, *, clock: Clock, news: News, flush: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._clock = clock
        self._news = news
        self._flush = flush

    async def tail(self, scope: Scope, group: str, *, since_ms: int = 0, limit: int = 100) -> list[LogRecord] | None:
        """The last `limit` events at or after `since_ms` (epoch ms) in the order of time; None without such a group.

        Events of one millisecond keep the order of their stream. Raises StorageError.
        """
        with contextlib.suppress(StorageError):  # the sink keeps it, tries again, and says so in the server's log
            await self._flush()
        found = await self._database.read(lambda tx: groups.find(tx, scope, group))
        if found is None:
            return None
        return await self._tail(found.id, self._unexpired(found, since_ms), limit, up_to_id=None)

    async def follow(self, scope: Scope, group: str, *, since_ms: int | None = None) -> AsyncIterator[LogRecord]:
        """Events as they are stored, for ever; with `since_ms` preceded by those stored already (10,000 at most).

        Waits for the group when it does not exist yet. Between events nothing is asked of the database.
        """
        with self._news.subscribe(scope, group) as news:
            if since_ms is not None:
                with contextlib.suppress(StorageError):
                    await self._flush()
            after_id = await self._database.read(store.newest_id)
            if since_ms is not None:
                found = await self._database.read(lambda tx: groups.find(tx, scope, group))
                if found is not None:
                    begin_ms = self._unexpired(found, since_ms)
                    for record in await self._tail(found.id, begin_ms, 10_000, up_to_id=after_id):
                        yield record
            while True:
                await news.wait()
                news.clear()
                while chunks := await self._database.read(_After(scope, group, after_id)):
                    after_id = chunks[-1].id
                    for record in _in_order([record for chunk in chunks for record in chunk.records()]):
                        yield record

    def _unexpired(self, group: LogGroup, since_ms: int) -> int:
        return max(since_ms, group.expired_before_ms(int(self._clock.now() * 1000)))

    async def _tail(self, group_id: int, since_ms: int, limit: int, *, up_to_id: int | None) -> list[LogRecord]:
        found: list[LogRecord] = []
        before: tuple[int, int] | None = None
        while True:
            chunks = await self._database.read(_Before(group_id, since_ms, before))
            for chunk in chunks:
                if up_to_id is not None and chunk.id > up_to_id:
                    continue
                # Everything from here on is at or before `last_ms`: enough is known once so many are after it.
                if len(found) >= limit:
                    found = _in_order(found)[-limit:]
                    if found[0].timestamp_ms > chunk.last_ms:
                        return found
                found += [record for record in chunk.records() if record.timestamp_ms >= since_ms]
            if len(chunks) < _CHUNKS_PER_READ:
                return _in_order(found)[-limit:]
            before = (chunks[-1].last_ms, chunks[-1].id)
            # A long tail is many reads: others get their turn in between.
            await asyncio.sleep(0)  # noqa: TID251 - gives way, waits for nothing


class _After:
    """The unit that reads what a group got after `after_id`."""

    def __init__(self, scope: Scope, group: str, after_id: int) -> None:
        self._scope, self._group, self._after_id = scope, group, after_id

    def __call__(self, tx: Transaction) -> list[store.StoredChunk]:
        group_id = store.find_group(tx, self._scope, self._group)
        return [] if group_id is None else store.chunks_after(tx, group_id, self._after_id, _CHUNKS_PER_READ)


class _Before:
    """The unit that reads a group backwards in time from `before`."""

    def __init__(self, group_id: int, since_ms: int, before: tuple[int, int] | None) -> None:
        self._group_id, self._since_ms, self._before = group_id, since_ms, before

    def __call__(self, tx: Transaction) -> list[store.StoredChunk]:
        return store.chunks_before(
            tx, self._group_id, since_ms=self._since_ms, before=self._before, limit=_CHUNKS_PER_READ
        )


def _in_order(records: list[LogRecord]) -> list[LogRecord]:
    return sorted(records, key=lambda record: (record.timestamp_ms, record.stream, record.sequence))
