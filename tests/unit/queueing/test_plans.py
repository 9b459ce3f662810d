"""No statement of the engine reads more than it needs: every plan is a search by key or index, and none sorts.

So their cost does not depend on how many messages are visible, delayed or in flight. The exceptions, which read a
queue's (or every) index whole, are named here with when they run.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambent.queueing.model import DeadLetters

from .conftest import Bench

WHOLE = {
    "at start": r"SELECT shard, count\(\*\) FROM|SELECT shard, fresh, visible_ms|SELECT DISTINCT shard|"
    r"SELECT number, id, name, fifo, delay_ms, scope, shard FROM queueing_queues$",
    "one row": r"queueing_meta|lambent_lease|lambent_schema|queueing_doomed LIMIT 1",
    "when a FIFO queue's delay changed": r"SELECT fresh, visible_ms, count",
    # In the order of the primary key, from its start, a few rows.
    "oldest first, limited": r"SELECT seq, at_ms FROM queueing_(deduplication|attempts) ORDER BY seq LIMIT",
}
NOT_EXPLAINED = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "CREATE", "EXPLAIN", "--")


async def statements(bench: Bench) -> set[str]:
    """Every statement of a life of both kinds of queue."""
    seen: set[str] = set()
    for connection in (bench.database._writer, bench.database._reader):
        connection.set_trace_callback(lambda sql: seen.add(sql.strip()))
    for fifo in (False, True):
        dead = await bench.create(f"dead{fifo}", fifo=fifo, retention_s=60)
        q = await bench.create(
            f"q{fifo}", fifo=fifo, dead_letters=DeadLetters(target=dead.name, max_receives=1), retention_s=600
        )
        for index in range(12):
            group = f"g{index % 3}" if fifo or index % 2 else None
            for body in ("a", "x" * 2000):
                await bench.send(q, body, group=group, deduplication_id=f"{body[0]}{index}" if fifo else None)
        held = await bench.engine.receive(q, limit=10, attempt_id="attempt" if fifo else None)
        await bench.engine.receive(q, limit=10, attempt_id="attempt" if fifo else None)
        await bench.engine.change_visibility(q.id, [(held[0].handle, 0)])
        await bench.engine.delete_messages(q.id, [held[1].handle])
        for _ in range(3):
            await bench.clock.advance(40)
            await bench.engine.receive(q, limit=10)
        await bench.database.run(lambda tx, dead=dead: bench.engine.move(tx, dead.id, None, 2))  # type: ignore[misc]
        bench.engine.moved(dead.id)
        await bench.counts(q)
        await bench.counts(await bench.configure(q, delay_s=1))
        await bench.clock.advance(601)
        await bench.engine.purge(q.id)
        await bench.send(q, "b", group="g", deduplication_id="b" if fifo else None)
        await bench.database.run(lambda tx, q=q: bench.engine.delete(tx, q.id))  # type: ignore[misc]
        bench.engine.deleted(q.id)
        await bench.engine.sweep()
    return {sql for sql in seen if not sql.startswith(NOT_EXPLAINED)}


def plan(connection: sqlite3.Connection, sql: str) -> Iterator[str]:
    for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"):
        yield row[3]


async def test_every_statement_searches_by_key_and_none_sorts(bench: Bench) -> None:
    seen = await statements(bench)
    assert len(seen) > 60
    connection = sqlite3.connect(bench.folder / "queues.db")
    wrong = []
    for sql in sorted(seen):
        if any(re.search(allowed, sql) for allowed in WHOLE.values()):
            continue
        wrong += [(step, sql) for step in plan(connection, sql) if re.search(r"\bSCAN\b|TEMP B-TREE", step)]
    connection.close()
    assert wrong == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM queueing_messages WHERE sent_ms = 1", "SCAN queueing_messages"),
        ("SELECT seq FROM queueing_messages WHERE shard = 1 ORDER BY sent_ms", "USE TEMP B-TREE FOR ORDER BY"),
    ],
)
async def test_a_plan_that_reads_everything_would_be_seen(bench: Bench, sql: str, expected: str) -> None:
    connection = sqlite3.connect(bench.folder / "queues.db")
    assert expected in list(plan(connection, sql))
    connection.close()


async def test_the_next_messages_come_straight_from_the_index(bench: Bench, tmp_path: Path) -> None:
    """Bounded work: a receive among many hidden messages touches no more rows than one among none."""
    q = await bench.create()
    steps: list[int] = []

    async def receive_steps() -> int:
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        bench.database._writer.set_progress_handler(count, 1)
        [got] = await bench.engine.receive(q, limit=1)
        bench.database._writer.set_progress_handler(None, 1)
        await bench.engine.delete_messages(q.id, [got.handle])
        return counted

    await bench.send(q, "first")
    steps.append(await receive_steps())
    for _ in range(20):
        await bench.send(q, *["delayed"] * 100, delay_s=900)
        await bench.send(q, *["visible"] * 10)
        await bench.bodies(q, visibility_timeout_s=900)
    await bench.send(q, *["visible"] * 1000)
    steps.append(await receive_steps())
    assert steps[1] <= steps[0] + 5, "virtual machine instructions of SQLite"
