"""What writing a log line costs an invoke, and how fast lines reach the disk."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks import harness
from lambent.core.clock import SystemClock
from lambent.core.log_events import LogEvent
from lambent.core.operations import Scope
from lambent.logs import store
from lambent.logs.news import News
from lambent.logs.query import LogReader
from lambent.logs.sink import DatabaseLogSink
from lambent.storage.opening import open_database

SCOPE = Scope(account="000000000000", region="us-east-1")
GROUP = "/aws/lambda/bench"
REQUEST = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
LINES = (
    f"START RequestId: {REQUEST} Version: $LATEST\n",
    "2026-01-01T00:00:00.000Z a line that the function printed\n",
    f"END RequestId: {REQUEST}\n",
    f"REPORT RequestId: {REQUEST}\tDuration: 1.01 ms\tBilled Duration: 2 ms"
    "\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t\n",
)
INVOKES = 20_000
ENVIRONMENTS = 16


async def measure() -> None:
    clock = SystemClock()
    now_ms = int(clock.now() * 1000)
    invokes = [[LogEvent(timestamp_ms=now_ms + number, message=line) for line in LINES] for number in range(INVOKES)]
    streams = [f"2026/01/01/[$LATEST]{number:032x}" for number in range(ENVIRONMENTS)]
    with tempfile.TemporaryDirectory() as folder:
        database = await open_database(Path(folder) / "logs.sqlite", store.MIGRATIONS, synchronous="NORMAL")
        news = News()
        sink = DatabaseLogSink(database, clock=clock, news=news, quota_bytes=2**40)
        write_us, floor_us, flush_rates, disk_rates = [], [], [], []
        for _ in range(3):
            collected: list[tuple[Scope, str, str, list[LogEvent]]] = []
            started = time.perf_counter()
            for number, events in enumerate(invokes):
                collected.append((SCOPE, GROUP, streams[number % ENVIRONMENTS], events))
            floor_us.append((time.perf_counter() - started) / INVOKES * 1e6)
            started = time.perf_counter()
            for number, events in enumerate(invokes):
                sink.write(SCOPE, GROUP, streams[number % ENVIRONMENTS], events)
            write_us.append((time.perf_counter() - started) / INVOKES * 1e6)
            started = time.perf_counter()
            await sink.flush()
            flush_rates.append(INVOKES * len(LINES) / (time.perf_counter() - started))
            started = time.perf_counter()
            with (Path(folder) / "floor").open("wb") as file:
                for _, _, _, written in collected:
                    for event in written:
                        file.write(event.message.encode())
            disk_rates.append(INVOKES * len(LINES) / (time.perf_counter() - started))
        harness.report(
            "LogSink.write, one invoke (4 lines)", min(write_us), "us", floor=min(floor_us), floor_is="list.append"
        )
        harness.report(
            "flush to the database", max(flush_rates), "events/s", floor=max(disk_rates), floor_is="appending to a file"
        )
        reader = LogReader(database, clock=clock, news=news, flush=sink.flush)
        started = time.perf_counter()
        found = await reader.tail(SCOPE, GROUP, limit=1000)
        tail_ms = (time.perf_counter() - started) * 1000
        assert found is not None
        assert len(found) == 1000
        print(f"  {'tail of 1,000 out of 240,000 events':<52} {tail_ms:>11,.2f} ms", flush=True)
        await stall(sink, invokes[0], streams)
        await sink.close()
        await database.close()


async def stall(sink: DatabaseLogSink, events: list[LogEvent], streams: list[str]) -> None:
    """How long the event loop is held while 10,000 events a second are written and flushed in the background."""

    async def ticks(seconds: float) -> float:
        worst, until = 0.0, time.perf_counter() + seconds
        while (before := time.perf_counter()) < until:
            await asyncio.sleep(0.001)
            worst = max(worst, (time.perf_counter() - before - 0.001) * 1000)
        return worst

    async def writes() -> None:
        while True:
            for number in range(25):
                sink.write(SCOPE, GROUP, streams[number % ENVIRONMENTS], events)
            await asyncio.sleep(0.01)

    quiet = await ticks(3)
    sink.start()
    writing = asyncio.ensure_future(writes())
    busy = await ticks(3)
    writing.cancel()
    harness.report(
        "longest hold of the loop, 10,000 events/s", busy, "ms", floor=quiet, floor_is="the same without logs"
    )


def main() -> None:
    harness.heading("Logs")
    asyncio.run(measure())


if __name__ == "__main__":
    main()
