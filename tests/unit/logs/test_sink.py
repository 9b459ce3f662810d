from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lambent.core.log_events import LogEvent
from lambent.core.operations import Scope
from lambent.logs import store
from lambent.logs.news import News
from lambent.logs.query import LogReader
from lambent.logs.sink import DatabaseLogSink
from lambent.storage.database import StorageError, Transaction
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock

T = TypeVar("T")
SCOPE = Scope(account="000000000000", region="us-east-1")
OTHER = Scope(account="000000000000", region="eu-west-1")
GROUP = "/aws/lambda/f"


class Disk:
    """The real database, which may fail, and which counts what is asked of it. Holds virtual time while it works."""

    def __init__(self, database: Any, clock: VirtualClock) -> None:
        self._database = database
        self._clock = clock
        self.full = False
        self.reads = 0
        self.writes = 0
        self.writing = asyncio.Event()

    async def run(self, work: Callable[[Transaction], T], *, key: Hashable | None = None) -> T:
        self.writes += 1
        self.writing.set()
        if self.full:
            raise StorageError("no space left on device")
        with self._clock.hold("database"):
            return await self._database.run(work, key=key)  # type: ignore[no-any-return]

    async def read(self, work: Callable[[Transaction], T]) -> T:
        self.reads += 1
        with self._clock.hold("database"):
            return await self._database.read(work)  # type: ignore[no-any-return]

    async def close(self) -> None:
        await self._database.close()


class Logs:
    def __init__(self, database: Any, clock: VirtualClock, **changes: Any) -> None:
        self.clock = clock
        self.disk = Disk(database, clock)
        self.news = News()
        values = {"quota_bytes": 10**9, **changes}
        self.sink = DatabaseLogSink(self.disk, clock=clock, news=self.news, **values)
        self.reader = LogReader(self.disk, clock=clock, news=self.news, flush=self.sink.flush)

    def write(
        self, *messages: str, stream: str = "s", group: str = GROUP, scope: Scope = SCOPE, at: int = 1000
    ) -> None:
        events = [LogEvent(timestamp_ms=at + n, message=message) for n, message in enumerate(messages)]
        self.sink.write(scope, group, stream, events)

    async def messages(self, group: str = GROUP, scope: Scope = SCOPE, **query: Any) -> list[str] | None:
        records = await self.reader.tail(scope, group, **query)
        return None if records is None else [record.message for record in records]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Any]:
    opened = await open_database(tmp_path / "logs.sqlite", store.MIGRATIONS, synchronous="NORMAL")
    yield opened
    await opened.close()


async def test_what_was_written_is_read_back(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.write("START\n", "é\u0000\n", "END\n")
    [start, _, end] = await logs.reader.tail(SCOPE, GROUP) or []
    assert (start.stream, start.timestamp_ms, start.sequence, start.message) == ("s", 1000, 0, "START\n")
    assert (end.timestamp_ms, end.sequence, end.ingested_ms) == (1002, 2, int(clock.now() * 1000))
    assert await logs.messages() == ["START\n", "é\u0000\n", "END\n"]


async def test_sequences_go_on_over_flushes(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.write("a", "b")
    await logs.sink.flush()
    logs.write("c", at=2000)
    logs.write("x", stream="other", at=3000)
    records = await logs.reader.tail(SCOPE, GROUP) or []
    assert [(record.stream, record.sequence) for record in records] == [("s", 0), ("s", 1), ("s", 2), ("other", 0)]


async def test_groups_and_regions_are_apart(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.write("a")
    logs.write("b", group="g")
    logs.write("c", scope=OTHER)
    assert await logs.messages() == ["a"]
    assert await logs.messages(group="g") == ["b"]
    assert await logs.messages(scope=OTHER) == ["c"]
    assert await logs.messages(group="none") is None


async def test_a_task_stores_within_a_fifth_of_a_second(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.sink.start()
    for number in range(10):
        logs.write(str(number), at=number)
    await clock.advance(0.19)
    assert logs.disk.writes == 0
    await clock.advance(0.02)
    assert logs.disk.writes == 1  # one chunk for all ten
    await clock.advance(60)
    assert logs.disk.writes == 1
    logs.write("later", at=10)
    await clock.advance(0.21)
    assert logs.disk.writes == 2
    await logs.sink.close()


async def test_many_events_do_not_wait_for_the_interval(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock, flush_events=100)
    logs.sink.start()
    for number in range(100):
        logs.write(str(number))
    await clock.settle()
    assert logs.disk.writes == 1
    await logs.sink.close()


async def test_closing_stores_the_rest(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.sink.start()
    logs.write("last words")
    await logs.sink.close()
    assert await database.read(lambda tx: len(tx.all("SELECT id FROM log_chunks"))) == 1


async def test_a_full_disk_keeps_what_fits_and_says_what_was_dropped(
    database: Any, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    logs = Logs(database, clock, max_queued_bytes=2000)
    logs.sink.start()
    logs.disk.full = True
    for number in range(30):
        logs.write(f"{number:04}" * 10, at=number)
        await clock.advance(0.3)
    dropped = logs.sink.dropped_events
    assert 0 < dropped < 30
    with pytest.raises(StorageError):
        await logs.sink.flush()
    assert [record.levelno for record in caplog.records if "cannot be stored" in record.message] == [logging.WARNING]
    assert await logs.messages() is None  # nothing is stored, and asking does not fail
    logs.disk.full = False
    await clock.advance(2)
    messages = await logs.messages() or []
    kept = [message[:4] for message in messages if message[0] == "0"]
    assert len(kept) == 30 - dropped
    assert kept == sorted(set(kept))
    told = [int(message.split()[1]) for message in messages if "events dropped" in message]
    assert told == [dropped]
    assert any("events dropped: the disk cannot keep up" in record.message for record in caplog.records)
    logs.write("works again", at=2**45)
    assert (await logs.messages() or [])[-1] == "works again"
    await logs.sink.close()


async def test_closing_over_a_full_disk_says_what_is_lost(
    database: Any, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    logs = Logs(database, clock)
    logs.sink.start()
    logs.write("last words")
    logs.disk.full = True
    await logs.sink.close()
    assert "last log lines are lost: no space left" in caplog.text


async def test_a_reader_that_goes_away_leaves_nothing_twice(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.write("once")
    asking = asyncio.ensure_future(logs.reader.tail(SCOPE, GROUP))
    await logs.disk.writing.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await logs.messages() == ["once"]


async def test_the_quota_removes_the_oldest(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock, quota_bytes=20_000)
    for number in range(100):
        logs.write(f"{number:04}" + "x" * 1000, stream=f"s{number // 10}", at=number)
        await logs.sink.flush()
    assert await database.read(store.disk_bytes) <= 20_000
    kept = [int(message[:4]) for message in await logs.messages() or []]
    assert kept == list(range(100 - len(kept), 100))
    assert len(kept) > 1
    streams = await database.read(lambda tx: {row["name"] for row in tx.all("SELECT name FROM log_streams")})
    assert streams == {f"s{number // 10}" for number in kept}
    actual = await database.read(lambda tx: tx.one("SELECT sum(disk_bytes), sum(size_bytes) FROM log_chunks"))
    assert actual[0] == await database.read(store.disk_bytes)
    assert actual[1] == await database.read(lambda tx: store.stored_bytes(tx, SCOPE, GROUP))


async def test_ids_grow_even_when_everything_was_removed(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock, quota_bytes=1)
    logs.write("a")
    await logs.sink.flush()
    before = await database.read(store.newest_id)
    logs.write("b")
    await logs.sink.flush()
    assert await database.read(store.newest_id) > before
    assert await logs.messages() == []


async def test_lone_surrogates_do_not_stop_the_log(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.write("bad \ud800\n", "good\n")
    assert await logs.messages() == ["bad ?\n", "good\n"]
