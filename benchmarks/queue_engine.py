"""The queue engine alone, without HTTP. Floor: the same messages inserted into a bare SQLite table with one index, with
the same durability and as many in a commit as there are senders. Both take turns in one run.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import harness
from lambent.core.clock import SystemClock
from lambent.queueing.engine import QueueEngine
from lambent.queueing.model import NewMessage, QueueConfig
from lambent.queueing.schema import MIGRATIONS
from lambent.storage.opening import open_database

TURN_S = 1.0
TURNS = 5
CLIENTS = 32
BODY = os.urandom(150).hex().encode()
BACKLOG = int(os.environ.get("LAMBENT_BENCH_BACKLOG", "200000"))


def floor_rate(folder: Path, per_commit: int, body: bytes) -> float:
    """Messages a second into a bare table."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL").fetchone()
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS m (seq INTEGER PRIMARY KEY, queue INTEGER, visible INTEGER, body BLOB)"
    )
    connection.execute("CREATE INDEX IF NOT EXISTS ready ON m (queue, visible)")
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < TURN_S:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO m (queue, visible, body) VALUES (1, ?, ?)",
            [(count + n, body) for n in range(per_commit)],
        )
        connection.execute("COMMIT")
        count += per_commit
    connection.close()
    return count / elapsed


async def rate(clients: int, act: Callable[[], Awaitable[int]]) -> tuple[float, float]:
    """What `act` counts, a second, with so many clients at it; and the processor time for each, in microseconds."""
    count, started = 0, time.perf_counter()
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])

    async def client() -> None:
        nonlocal count
        while time.perf_counter() < started + TURN_S:
            done = await act()  # apart from the sum, which others add to meanwhile
            count += done

    await asyncio.gather(*(client() for _ in range(clients)))
    elapsed = time.perf_counter() - started
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - used
    return count / elapsed, used / max(1, count) * 1e6


class Subject:
    """An engine with what is done to it."""

    def __init__(self, engine: QueueEngine) -> None:
        self.engine = engine

    async def create(self, name: str, *, fifo: bool = False) -> QueueConfig:
        config = QueueConfig(id=name, name=name, fifo=fifo)
        await self.engine._database.run(lambda tx: self.engine.create(tx, config))
        return config

    def sender(self, config: QueueConfig, batch: int, body: bytes = BODY) -> Callable[[], Awaitable[int]]:
        n = 0

        async def send() -> int:
            nonlocal n
            n += batch
            messages = [
                NewMessage(body=body, group=f"g{(n + i) % 100}", deduplication_id=str(n + i))
                if config.fifo
                else NewMessage(body=body)
                for i in range(batch)
            ]
            return len(await self.engine.send(config, messages))

        return send

    def consumer(self, config: QueueConfig) -> Callable[[], Awaitable[int]]:
        async def consume() -> int:
            found = await self.engine.receive(config, limit=10)
            await self.engine.delete_messages(config.id, [each.handle for each in found])
            return len(found)

        return consume


async def compare(
    what: str, folder: Path, act: Callable[[], Awaitable[int]], *, clients: int, batch: int, body: bytes, promise: str
) -> None:
    figures, floors = [], []
    for _ in range(TURNS):
        floors.append(await asyncio.to_thread(floor_rate, folder, clients * batch, body))
        figures.append(await rate(clients, act))
    floor = statistics.median(floors)
    figure = statistics.median(each[0] for each in figures)
    harness.report(what, figure, "msgs/s", floor=floor, floor_is="bare SQLite", promise=promise)
    print(f"      cpu {statistics.median(each[1] for each in figures):.1f} us a message")


async def fill(subject: Subject, config: QueueConfig, number: int) -> None:
    batch = [NewMessage(body=BODY)] * 200
    for start in range(0, number, 3200):
        await asyncio.gather(*(subject.engine.send(config, batch) for _ in range(min(16, (number - start) // 200 + 1))))


async def long_polls(subject: Subject) -> None:
    config = await subject.create("idle")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    woken: asyncio.Queue[float] = asyncio.Queue()

    async def poll() -> None:
        await subject.engine.receive(config, wait_s=20)
        woken.put_nowait(time.perf_counter())

    polls = [asyncio.create_task(poll()) for _ in range(5000)]
    await asyncio.sleep(1)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    await asyncio.sleep(5)
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - used
    print(f"  5,000 long polls: {grown:.1f} MB more, {used / 5 * 100:.2f} % of a core while they wait")
    waits = []
    for _ in range(50):
        await subject.engine.send(config, [NewMessage(body=b"x")])
        sent = time.perf_counter()
        waits.append((await woken.get() - sent) * 1000)
    print(f"  a send wakes one: {statistics.median(waits):.2f} ms after its answer, at most {max(waits):.2f} ms")
    for each in polls:
        each.cancel()
    await asyncio.gather(*polls, return_exceptions=True)


async def cleaning(subject: Subject, config: QueueConfig, deep: QueueConfig) -> None:
    """How long sends take while a purged backlog is removed, and before."""

    async def p99_ms() -> float:
        took = []
        until = time.perf_counter() + 4 * TURN_S
        while time.perf_counter() < until:
            started = time.perf_counter()
            await subject.engine.send(config, [NewMessage(body=BODY)])
            took.append((time.perf_counter() - started) * 1000)
        return statistics.quantiles(took, n=100)[98]

    quiet = await p99_ms()
    await subject.engine.purge(deep.id)
    sweeping = asyncio.create_task(subject.engine.sweep())
    busy = await p99_ms()
    print(f"  a send while a purged backlog is removed: p99 {busy:.1f} ms, otherwise {quiet:.1f} ms")
    await sweeping


async def large(folder: Path) -> None:
    """Bodies in the database or beside it: where the one overtakes the other."""
    for size in (16 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024):
        body, line = os.urandom(size), []
        for name, limit in (("rows", 1 << 30), ("files", 0)):
            place = folder / f"{name}{size}"
            place.mkdir()
            database = await open_database(place / "q.db", MIGRATIONS)
            engine = await QueueEngine.open(database, place / "bodies", SystemClock(), file_bytes=limit)
            subject = Subject(engine)
            config = await subject.create("q")
            sent, cpu = await rate(8, subject.sender(config, 1, body))
            taken, _ = await rate(8, subject.consumer(config))
            line.append(f"{name} {sent * size / 1e6:6.0f} MB/s in ({cpu:5.0f} us), {taken * size / 1e6:6.0f} out")
            await engine.close()
            await database.close()
        print(f"  bodies of {size // 1024:>5} KiB: " + "; ".join(line), flush=True)


async def run() -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("LAMBENT_BENCH_DIR")) as name:
        folder = Path(name)
        database = await open_database(folder / "q.db", MIGRATIONS)
        engine = await QueueEngine.open(database, folder / "bodies", SystemClock())
        subject = Subject(engine)
        q, f, deep = await subject.create("q"), await subject.create("f.fifo", fifo=True), await subject.create("deep")
        for config, kind in ((q, "standard"), (f, "FIFO, 100 groups")):
            for clients, batch, promise in ((1, 1, ""), (CLIENTS, 1, "4,500/s over HTTP"), (CLIENTS, 10, "20,000/s")):
                await compare(
                    f"{kind}: {clients} senders of {batch}", folder, subject.sender(config, batch),
                    clients=clients, batch=batch, body=BODY, promise=promise,
                )  # fmt: skip
            figures = [await rate(16, subject.consumer(config)) for _ in range(2)]
            print(f"  {kind}: receive(10) + delete(10), 16 consumers {figures[0][0]:>11,.0f} msgs/s, "
                  f"cpu {figures[0][1]:.1f} us  promise: 10,000/s over HTTP", flush=True)  # fmt: skip
        started = time.perf_counter()
        await fill(subject, deep, BACKLOG)
        print(f"  filled with {BACKLOG:,} in {time.perf_counter() - started:.1f} s")
        figures = [await rate(16, subject.consumer(deep)) for _ in range(2)]
        print(f"  behind {BACKLOG:,}: {figures[0][0]:,.0f} msgs/s, cpu {figures[0][1]:.1f} us; "
              f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB", flush=True)  # fmt: skip
        await long_polls(subject)
        await engine.close()
        started = time.perf_counter()
        engine = await QueueEngine.open(database, folder / "bodies", SystemClock())
        print(f"  opened with {BACKLOG:,} in {time.perf_counter() - started:.2f} s")
        await cleaning(Subject(engine), q, deep)
        await engine.close()
        await database.close()
        await large(folder)


def main() -> None:
    harness.heading("Queue engine")
    asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
