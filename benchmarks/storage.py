"""What durability costs, and where the statements of a unit of work should run (decision 3).

All contenders stay open and take turns, a second each, so that a slow spell of the machine hits them alike. Printed are
medians of the turns, the median of the ratios within a turn, and the processor time per request, which a busy machine
changes least. The floors: one append and fsync for each commit with nothing around it; the same HTTP server without a
database.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path
from sys import executable

import psutil

from benchmarks import harness, storage_server, storage_variants

TURNS = 15
TURN_S = 1
BODY_BYTES = 500
CONNECTIONS = 64
WORK_US = (0, 150)  # interpreted work of each request beside its unit
VARIANTS = ("loop", "thread", "process")


def fsyncs_per_second(folder: Path) -> float:
    """Appends of two WAL frames, each made durable as SQLite does it."""
    descriptor = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    frame, count, started = bytes(2 * 4120), 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < TURN_S:
        os.write(descriptor, frame)
        os.fdatasync(descriptor)
        count += 1
    os.close(descriptor)
    return count / elapsed


async def units_per_second(variant: storage_variants.Variant, writers: int) -> float:
    """Units from `writers` coroutines that do nothing else."""
    body, count = bytes(BODY_BYTES), 0
    started = time.perf_counter()

    async def writer() -> None:
        nonlocal count
        while time.perf_counter() < started + TURN_S:
            await variant.send(body)
            count += 1

    await asyncio.gather(*(writer() for _ in range(writers)))
    return count / (time.perf_counter() - started)


async def in_process(folder: Path) -> None:
    """No HTTP: one writer, then many."""
    variants = {name: await storage_variants.open_variant(name, folder / f"{name}.db") for name in VARIANTS}
    for writers in (1, CONNECTIONS):
        rates: dict[str, list[float]] = defaultdict(list)
        for _ in range(TURNS):
            rates["floor"].append(await asyncio.to_thread(fsyncs_per_second, folder))
            for name, variant in variants.items():
                rates[name].append(await units_per_second(variant, writers))
        for name in VARIANTS:
            harness.report(
                f"{writers} writers, statements: {name}", statistics.median(rates[name]), "units/s",
                floor=statistics.median(rates["floor"]), floor_is="append + fsync",
            )  # fmt: skip
            print_ratios(name, rates)
    for variant in variants.values():
        await variant.close()


def behind_http(folder: Path, work_us: int) -> None:
    """One unit for each POST."""
    script = f'wrk.method = "POST"\nwrk.body = string.rep("x", {BODY_BYTES})\n'
    rates: dict[str, list[float]] = defaultdict(list)
    p99_ms: dict[str, list[float]] = defaultdict(list)
    cpu_us: dict[str, list[float]] = defaultdict(list)
    work = round(work_us * storage_server.rounds_per_us())  # the same for all of them
    with contextlib.ExitStack() as stack:
        servers: dict[str, tuple[psutil.Process, str]] = {}
        for name in ("floor", *VARIANTS):
            path = str(folder / f"http-{name}-{work_us}.db")
            command = [executable, "-m", "benchmarks.storage_server", name, path, str(work)]
            servers[name] = stack.enter_context(harness.process(command, r"ready (http://\S+)"))
        for _ in range(TURNS):
            for name, (server, url) in servers.items():
                before = cpu_seconds(server)
                load = harness.wrk(url, connections=CONNECTIONS, seconds=TURN_S, script=script)
                assert load.failures == 0, load
                cpu_us[name].append((cpu_seconds(server) - before) / (load.rate * TURN_S) * 1e6)
                rates[name].append(load.rate)
                p99_ms[name].append(load.p99_ms)
        lags = {name: lag_ms(url) for name, (_, url) in servers.items()}
    for name in VARIANTS:
        harness.report(
            f"{CONNECTIONS} connections, {work_us} us work, statements: {name}", statistics.median(rates[name]),
            "units/s", floor=statistics.median(rates["floor"]), floor_is="HTTP, no database",
        )  # fmt: skip
        print_ratios(name, rates)
        print(
            f"      cpu {statistics.median(cpu_us[name]):.0f} us (floor {statistics.median(cpu_us['floor']):.0f}), "
            f"p99 {statistics.median(p99_ms[name]):.1f} ms (floor {statistics.median(p99_ms['floor']):.1f}), "
            f"loop late p99 {lags[name]:.1f} ms (floor {lags['floor']:.1f})"
        )


def cpu_seconds(server: psutil.Process) -> float:
    """User and system time of the server and of the writer process that it may have."""
    times = [process.cpu_times() for process in (server, *server.children())]
    return sum(each.user + each.system for each in times)


def lag_ms(url: str) -> float:
    """How late the loop's timers came (99th percentile): how long anybody held it."""
    with urllib.request.urlopen(url + "lag") as answer:
        return float(json.load(answer)["p99"])


def print_ratios(name: str, rates: dict[str, list[float]]) -> None:
    if name != "loop":
        ratios = [loop / other for loop, other in zip(rates["loop"], rates[name], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        print(
            f"      loop / {name}, turn by turn: median {statistics.median(ratios):.2f}, quartiles {low:.2f}-{high:.2f}"
        )


def main() -> None:
    harness.heading("Storage")
    with tempfile.TemporaryDirectory(dir=os.environ.get("LAMBENT_BENCH_DIR")) as folder:
        asyncio.run(in_process(Path(folder)))
        for work_us in WORK_US:
            behind_http(Path(folder), work_us)


if __name__ == "__main__":
    main()
