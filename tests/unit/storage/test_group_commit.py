from __future__ import annotations

import asyncio
import resource
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.core import owners
from lambent.storage import group_commit, leases, opening
from lambent.storage.database import ConstraintViolated, StorageError, Transaction

from .conftest import COUNTERS

Unit = Callable[[Transaction], Any]


def put(name: str, n: int) -> Unit:
    return lambda tx: tx.execute("INSERT INTO counters VALUES (?, ?)", (name, n))


def add(name: str, n: int) -> Unit:
    return lambda tx: tx.execute("UPDATE counters SET n = n + :n WHERE name = :name", {"n": n, "name": name})


def content(tx: Transaction) -> dict[str, int]:
    return {row["name"]: row[1] for row in tx.all("SELECT * FROM counters")}


async def test_result_and_reads_of_what_was_written(db: group_commit.SqliteDatabase) -> None:
    assert await db.run(put("a", 1)) == 1
    assert await db.read(content) == {"a": 1}
    assert await db.run(add("missing", 1)) == 0
    row = await db.run(lambda tx: tx.one("SELECT n FROM counters WHERE name = ?", ("a",)))
    assert row is not None
    assert (row["n"], row[0], len(row)) == (1, 1, 1)
    assert await db.read(lambda tx: tx.one("SELECT n FROM counters WHERE name = 'z'")) is None


async def test_returning_is_carried_out_however_it_is_fetched(db: group_commit.SqliteDatabase) -> None:
    await db.run(lambda tx: tx.execute("INSERT INTO counters VALUES ('a', 1), ('b', 2), ('c', 3)"))
    first = await db.run(lambda tx: tx.one("UPDATE counters SET n = n + 10 RETURNING n"))
    assert first is not None
    assert await db.read(content) == {"a": 11, "b": 12, "c": 13}
    assert await db.run(lambda tx: tx.execute("UPDATE counters SET n = n + 10 RETURNING n")) == 3
    assert await db.read(content) == {"a": 21, "b": 22, "c": 23}


async def test_a_unit_that_raises_is_undone_alone(db: group_commit.SqliteDatabase) -> None:
    def fails(tx: Transaction) -> None:
        tx.execute("INSERT INTO counters VALUES ('half', 1)")
        raise LookupError("no")

    results = await asyncio.gather(db.run(put("a", 1)), db.run(fails), db.run(put("b", 2)), return_exceptions=True)
    assert [type(result) for result in results] == [int, LookupError, int]
    assert await db.read(content) == {"a": 1, "b": 2}


async def test_constraints_have_an_error_of_their_own(db: group_commit.SqliteDatabase) -> None:
    await db.run(put("a", 1))
    with pytest.raises(ConstraintViolated, match="UNIQUE"):
        await db.run(put("a", 2))
    with pytest.raises(ConstraintViolated, match="CHECK"):
        await db.run(add("a", -2))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await db.run(lambda tx: tx.execute("DELETE FROM absent"))


async def test_a_unit_cannot_be_used_after_it_ended(db: group_commit.SqliteDatabase) -> None:
    leaked = await db.run(lambda tx: tx)
    with pytest.raises(RuntimeError, match="ended"):
        leaked.execute("DELETE FROM counters")


async def test_a_unit_may_not_end_the_transaction(db: group_commit.SqliteDatabase) -> None:
    with pytest.raises(RuntimeError, match="must not end"):
        await db.run(lambda tx: tx.execute("COMMIT"))
    assert await db.run(put("a", 1)) == 1


async def test_stop_iteration_reaches_the_caller(db: group_commit.SqliteDatabase) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await db.run(lambda tx: next(iter(())))


async def test_many_units_share_a_commit(db: group_commit.SqliteDatabase) -> None:
    commits: list[str] = []
    db._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    await asyncio.gather(*(db.run(put(str(n), n)) for n in range(300)))
    assert len(commits) <= 2
    assert len(await db.read(content)) == 300


async def test_a_long_batch_lets_the_loop_run(tmp_path: Path) -> None:
    writer = await opening.open_database(tmp_path / "sliced.db", [COUNTERS])
    writer._slice_s = 0.0
    turns = 0
    units = [asyncio.create_task(writer.run(put(str(n), n))) for n in range(50)]
    while not all(unit.done() for unit in units):
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 50
    await writer.close()


async def test_reads_do_not_wait_for_a_commit_nor_see_it_early(db: group_commit.SqliteDatabase) -> None:
    await db.run(put("a", 1))
    may_commit, commit = threading.Event(), db._commit
    loop, committing = asyncio.get_running_loop(), asyncio.Event()

    def held_commit() -> None:
        loop.call_soon_threadsafe(committing.set)
        may_commit.wait(10)
        commit()

    db._commit = held_commit  # type: ignore[method-assign]
    writing = asyncio.create_task(db.run(add("a", 1)))
    await committing.wait()
    assert await db.read(content) == {"a": 1}
    assert not writing.done()
    may_commit.set()
    await writing
    assert await db.read(content) == {"a": 2}


async def test_a_reading_unit_cannot_write_and_sees_one_snapshot(db: group_commit.SqliteDatabase) -> None:
    with pytest.raises(StorageError, match="readonly"):
        await db.read(put("a", 1))
    assert await db.read(content) == {}


async def test_a_cancelled_caller_leaves_the_others_alone(db: group_commit.SqliteDatabase) -> None:
    tasks = [asyncio.create_task(db.run(put(str(n), n))) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [int, asyncio.CancelledError, int]
    assert {"0", "2"} <= set(await db.read(content))
    assert db.pending == 0


async def test_close_finishes_what_is_pending(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    db = await opening.open_database(path, [COUNTERS])
    tasks = [asyncio.create_task(db.run(put(str(n), n))) for n in range(10)]
    await asyncio.sleep(0)
    await db.close()
    await db.close()
    assert all(task.done() for task in tasks)
    with pytest.raises(StorageError, match="closed"):
        await db.run(put("late", 1))
    again = await opening.open_database(path, [COUNTERS])
    assert len(await again.read(content)) == 10
    await again.close()


async def test_a_full_disk_fails_the_batch_and_the_database_goes_on(db: group_commit.SqliteDatabase) -> None:
    await db.run(lambda tx: tx.execute("CREATE TABLE bulk (data BLOB)"))
    pages = (await db.read(lambda tx: tx.one("PRAGMA page_count")))[0]  # type: ignore[index]
    await db.run(lambda tx: tx.one(f"PRAGMA max_page_count={pages + 2}"))

    def big(tx: Transaction) -> None:
        tx.execute("INSERT INTO bulk VALUES (zeroblob(100000))")

    def stubborn(tx: Transaction) -> str:
        try:
            big(tx)
        except StorageError:
            return "carried on"
        return "room enough"

    for culprit in (big, stubborn):
        results = await asyncio.gather(db.run(put("a", 1)), db.run(culprit), return_exceptions=True)
        assert [type(result) for result in results] == [StorageError, StorageError], culprit
        assert "full" in str(results[1])
        assert await db.read(content) == {}
    await db.run(lambda tx: tx.one("PRAGMA max_page_count=1000000"))
    await asyncio.gather(db.run(put("a", 1)), db.run(big))
    assert await db.read(content) == {"a": 1}


async def test_a_failing_write_of_the_commit_fails_the_batch(db: group_commit.SqliteDatabase) -> None:
    await db.run(put("before", 1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = db.path.with_name(db.path.name + "-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, hard))
    try:
        results = await asyncio.gather(db.run(put("a", 1)), db.run(put("b", 1)), return_exceptions=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [type(result) for result in results] == [StorageError, StorageError]
    assert await db.read(content) == {"before": 1}
    await db.run(put("a", 2))
    assert await db.read(content) == {"before": 1, "a": 2}


async def test_another_processs_write_lock_is_waited_for_off_the_loop(db: group_commit.SqliteDatabase) -> None:
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(db.run(put("a", 1)))
    for _ in range(20):
        await asyncio.sleep(0.001)  # the loop turns
    assert not writing.done()
    other.execute("COMMIT")
    other.close()
    assert await writing == 1


async def test_a_lost_lease_stops_every_write(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    mine = owners.Lease(holder="me", epoch=1)
    db = await opening.open_database(path, [COUNTERS], lease=mine)
    await db.run(put("a", 1))

    thief = sqlite3.connect(path, isolation_level=None)
    leases.claim(_named_rows(thief), owners.Lease(holder="you", epoch=2))
    results = await asyncio.gather(db.run(put("b", 1)), db.run(add("a", 1)), return_exceptions=True)
    assert [type(result) for result in results] == [owners.LeaseLost, owners.LeaseLost]
    assert "you in epoch 2" in str(results[0])
    assert await db.read(content) == {"a": 1}
    await db.close()
    thief.close()
    with pytest.raises(owners.LeaseLost):
        await opening.open_database(path, [COUNTERS], lease=mine)


def _named_rows(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    return connection


async def test_the_write_ahead_log_stays_bounded(db: group_commit.SqliteDatabase) -> None:
    await db.run(lambda tx: tx.execute("CREATE TABLE bulk (data BLOB)"))
    wal = db.path.with_name(db.path.name + "-wal")
    largest = 0
    for _ in range(60):
        await db.run(lambda tx: tx.execute("INSERT INTO bulk VALUES (randomblob(400000))"))
        await db.read(content)
        largest = max(largest, wal.stat().st_size)
    assert largest < 8 * 1024 * 1024


NAMES = st.sampled_from("abc")
STEPS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["put", "add", "delete", "fail"]), NAMES, st.integers(-3, 5)), min_size=1, max_size=4
    ),
    max_size=12,
)


def as_unit(operations: list[tuple[str, str, int]]) -> Unit:
    def unit(tx: Transaction) -> dict[str, int]:
        for kind, name, n in operations:
            if kind == "put":
                put(name, n)(tx)
            elif kind == "add":
                add(name, n)(tx)
            elif kind == "delete":
                tx.execute("DELETE FROM counters WHERE name = ?", (name,))
            else:
                raise ValueError("asked to fail")
        return content(tx)

    return unit


def apply_to_model(model: dict[str, int], operations: list[tuple[str, str, int]]) -> dict[str, int] | None:
    """The model after the unit, or None when it fails."""
    after = dict(model)
    for kind, name, n in operations:
        if kind == "put":
            if name in after or n < 0:
                return None
            after[name] = n
        elif kind == "add" and name in after:
            after[name] += n
            if after[name] < 0:
                return None
        elif kind == "delete":
            after.pop(name, None)
        elif kind == "fail":
            return None
    return after


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(units=STEPS)
async def test_a_batch_equals_the_units_one_after_another(db: group_commit.SqliteDatabase, units: Any) -> None:
    await db.run(lambda tx: tx.execute("DELETE FROM counters"))
    results = await asyncio.gather(*(db.run(as_unit(unit)) for unit in units), return_exceptions=True)
    model: dict[str, int] = {}
    for unit, result in zip(units, results, strict=True):
        after = apply_to_model(model, unit)
        if after is None:
            assert isinstance(result, ValueError | ConstraintViolated)
        else:
            assert result == after
            model = after
    assert await db.read(content) == model
