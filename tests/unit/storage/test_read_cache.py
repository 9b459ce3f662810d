"""Reads that are kept until something is written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lambent.storage.database import Transaction
from lambent.storage.migrations import Migration
from lambent.storage.opening import open_database
from lambent.storage.read_cache import ReadCache

STEPS = (Migration(room="test", version=1, statements=("CREATE TABLE counter (value INTEGER NOT NULL)",)),)


async def test_a_read_is_kept_until_a_commit(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "test.db", STEPS)
    cache, asked = ReadCache(database), 0

    def count(tx: Transaction) -> int:
        nonlocal asked
        asked += 1
        row = tx.one("SELECT count(*) FROM counter")
        assert row is not None
        return int(row[0])

    try:
        assert [await cache.read("count", count) for _ in range(3)] == [0, 0, 0]
        assert asked == 1
        await database.run(lambda tx: tx.execute("INSERT INTO counter VALUES (1)"))
        assert await cache.read("count", count) == 1
        assert asked == 2
        assert await cache.read("another", lambda tx: "value") == "value"
    finally:
        await database.close()


async def test_no_reader_sees_less_than_what_was_acknowledged(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "test.db", STEPS)
    cache, acknowledged = ReadCache(database), 0

    def count(tx: Transaction) -> int:
        row = tx.one("SELECT count(*) FROM counter")
        assert row is not None
        return int(row[0])

    async def write() -> None:
        nonlocal acknowledged
        for _ in range(50):
            await database.run(lambda tx: tx.execute("INSERT INTO counter VALUES (1)"))
            acknowledged += 1

    async def read() -> None:
        while acknowledged < 100:
            at_least = acknowledged
            assert await cache.read("count", count) >= at_least
            await asyncio.sleep(0)

    try:
        await asyncio.gather(write(), write(), read(), read())
        assert await cache.read("count", count) == 100
    finally:
        await database.close()


async def test_errors_are_not_kept(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "test.db", STEPS)
    cache = ReadCache(database)

    def fail(tx: Transaction) -> int:
        raise LookupError

    try:
        with pytest.raises(LookupError):
            await cache.read("key", fail)
        assert await cache.read("key", lambda tx: 5) == 5
    finally:
        await database.close()
