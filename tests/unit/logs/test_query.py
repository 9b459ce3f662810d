from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.core.log_events import LogEvent
from lambent.logs import store
from lambent.logs.model import CHUNK_BYTES, CHUNK_SPAN_MS, LogRecord, pack, unpack
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock
from tests.unit.logs.test_sink import GROUP, SCOPE, Logs, clock, database

__all__ = ["clock", "database"]  # fixtures


class Following:
    """Collects what a follower yields."""

    def __init__(self, records: AsyncIterator[LogRecord]) -> None:
        self.messages: list[str] = []
        self._task = asyncio.ensure_future(self._collect(records))

    async def _collect(self, records: AsyncIterator[LogRecord]) -> None:
        async for record in records:
            self.messages.append(record.message)

    async def stop(self) -> None:
        self._task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._task


async def test_tail_gives_the_latest_in_the_order_of_time(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    for number in range(200):
        logs.write(str(number), stream=f"s{number % 7}", at=number)
        if number % 3 == 0:
            await logs.sink.flush()
    assert await logs.messages(limit=5) == ["195", "196", "197", "198", "199"]
    assert await logs.messages(limit=1000) == [str(number) for number in range(200)]
    assert await logs.messages(limit=1000, since_ms=190) == [str(number) for number in range(190, 200)]
    assert await logs.messages(since_ms=500) == []


async def test_an_old_chunk_that_ends_late_is_not_missed(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.sink.write(
        SCOPE,
        GROUP,
        "long",
        [LogEvent(timestamp_ms=0, message="first"), LogEvent(timestamp_ms=50_000, message="fourth")],
    )
    await logs.sink.flush()
    logs.write("second", at=10)
    await logs.sink.flush()
    logs.write("third", at=40_000)
    assert await logs.messages(limit=2) == ["third", "fourth"]
    assert await logs.messages(limit=3) == ["second", "third", "fourth"]


async def test_follow_yields_what_comes_and_asks_nothing_in_between(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.sink.start()
    logs.write("before")
    await logs.sink.flush()
    following = Following(logs.reader.follow(SCOPE, GROUP))
    await clock.settle()
    logs.write("one")
    await clock.advance(1)
    assert following.messages == ["one"]
    reads = logs.disk.reads
    logs.write("elsewhere", group="other")
    await clock.advance(3600)
    assert logs.disk.reads == reads
    logs.write("two", at=2000)
    logs.write("three", stream="t", at=2001)
    await clock.advance(1)
    assert following.messages == ["one", "two", "three"]
    await following.stop()
    assert logs.news.followers == 0
    await logs.sink.close()


async def test_follow_since_starts_with_what_is_stored_and_repeats_nothing(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.sink.start()
    logs.write("too old", at=1)
    logs.write("stored", at=1000)
    await logs.sink.flush()
    logs.write("queued", at=1001)
    following = Following(logs.reader.follow(SCOPE, GROUP, since_ms=500))
    await clock.advance(1)
    logs.write("new", at=1002)
    await clock.advance(1)
    assert following.messages == ["stored", "queued", "new"]
    await following.stop()
    await logs.sink.close()


async def test_follow_waits_for_a_group_that_does_not_exist_yet(database: Any, clock: VirtualClock) -> None:
    logs = Logs(database, clock)
    logs.sink.start()
    following = Following(logs.reader.follow(SCOPE, GROUP, since_ms=0))
    await clock.advance(5)
    logs.write("hello")
    await clock.advance(1)
    assert following.messages == ["hello"]
    await following.stop()
    await logs.sink.close()


async def test_reads_use_indexes(database: Any) -> None:
    def plan(sql: str, parameters: tuple[int, ...]) -> Any:
        return database.read(
            lambda tx: " ".join(row["detail"] for row in tx.all("EXPLAIN QUERY PLAN " + sql, parameters))
        )

    after = await plan(f"{store._CHUNK} WHERE +c.group_id = ? AND c.id > ? ORDER BY c.id LIMIT ?", (1, 1, 1))
    assert "USING INTEGER PRIMARY KEY (rowid>?)" in after
    before = await plan(
        f"{store._CHUNK} WHERE c.group_id = ? AND c.last_ms >= ? AND (c.last_ms, c.id) < (?, ?)"
        " ORDER BY c.last_ms DESC, c.id DESC LIMIT ?",
        (1, 1, 1, 1, 1),
    )
    assert "log_chunks_by_group (group_id=? AND" in before
    assert "TEMP B-TREE" not in after + before


EVENTS = st.lists(
    st.tuples(st.integers(0, 200_000), st.text(max_size=20) | st.just("x" * 30_000)), min_size=1, max_size=30
)


@given(EVENTS)
def test_chunks_hold_all_events_in_order_and_are_small(pairs: list[tuple[int, str]]) -> None:
    events = [LogEvent(timestamp_ms=at, message=message) for at, message in pairs]
    chunks = list(pack(SCOPE, GROUP, "s", events))
    assert [pair for chunk in chunks for pair in unpack(chunk.body)] == pairs
    for chunk in chunks:
        held = unpack(chunk.body)
        assert chunk.events == len(held)
        assert (chunk.first_ms, chunk.last_ms) == (min(at for at, _ in held), max(at for at, _ in held))
        assert chunk.size_bytes == sum(len(message.encode()) + 26 for _, message in held)
        assert len(held) == 1 or (chunk.size_bytes <= CHUNK_BYTES and chunk.last_ms - chunk.first_ms <= CHUNK_SPAN_MS)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100_000)), max_size=8), max_size=8),
    st.integers(0, 100_000),
    st.integers(1, 30),
)
def test_tail_is_the_sorted_list_cut(
    tmp_path_factory: pytest.TempPathFactory,
    flushes: list[list[tuple[str, int]]],
    since_ms: int,
    limit: int,
) -> None:
    async def check() -> None:
        path = tmp_path_factory.mktemp("logs") / "logs.sqlite"
        opened = await open_database(path, store.MIGRATIONS, synchronous="OFF")
        logs = Logs(opened, VirtualClock())
        expected: list[tuple[int, str, int]] = []
        counts = dict.fromkeys("abc", 0)
        for flush in flushes:
            for stream, at in flush:
                expected.append((at, stream, counts[stream]))
                counts[stream] += 1
                logs.write("x", stream=stream, at=at)
            await logs.sink.flush()
        records = await logs.reader.tail(SCOPE, GROUP, since_ms=since_ms, limit=limit) or []
        found = [(record.timestamp_ms, record.stream, record.sequence) for record in records]
        assert found == sorted(item for item in expected if item[0] >= since_ms)[-limit:]
        await opened.close()

    asyncio.run(check())
