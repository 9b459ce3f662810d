"""What durability costs, and where the statements of a unit of work should run (decision 3).

Every round measures all the contenders one after the other, so that a slow spell of the machine hits them alike; the
medians of the rounds are printed. The floor is one append and fsync for each commit, with nothing around it.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

from benchmarks import harness, storage_variants

ROUNDS = 5
SECONDS = 2.0
BODY_BYTES = 500
WORK_US = (0, 150)  # interpreted work of each request beside its unit
VARIANTS = ("loop", "thread", "process")


def fsyncs_per_second(folder: Path) -> float:
    """Appends of two WAL frames, each made durable as SQLite does it."""
    descriptor = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    frame, count, started = bytes(2 * 4120), 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < SECONDS:
        os.write(descriptor, frame)
        os.fdatasync(descriptor)
        count += 1
    os.close(descriptor)
    (folder / "floor").unlink()
    return count / elapsed


async def units_per_second(name: str, folder: Path, clients: int) -> float:
    """Units from `clients` coroutines that do nothing else."""
    variant = await storage_variants.open_variant(name, folder / "units.db")
    body, count, until = bytes(BODY_BYTES), 0, 0.0

    async def client() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await variant.send(body)
            count += 1

    await variant.send(body)
    started = time.perf_counter()
    until = started + SECONDS
    await asyncio.gather(*(client() for _ in range(clients)))
    elapsed = time.perf_counter() - started
    await variant.close()
    return count / elapsed


def behind_http(name: str, folder: Path, connections: int, work_us: int) -> tuple[harness.Load, float]:
    """The same unit for each POST, and the 99th percentile of the loop's lag in milliseconds."""
    command = [sys.executable, "-m", "benchmarks.storage_server", name, str(folder / "http.db"), str(work_us)]
    with harness.process(command, r"ready (http://\S+)") as (_, url):
        script = f'wrk.method = "POST"\nwrk.body = string.rep("x", {BODY_BYTES})\n'
        load = harness.wrk(url, connections=connections, seconds=round(SECONDS) + 1, script=script)
        with urllib.request.urlopen(url + "lag") as answer:
            return load, float(json.load(answer)["p99"])


def main() -> None:
    harness.heading("Storage")
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for clients in (1, 64):
            for name in VARIANTS:
                with tempfile.TemporaryDirectory(dir=os.environ.get("LAMBENT_BENCH_DIR")) as folder:
                    rates[f"{name} {clients}"].append(asyncio.run(units_per_second(name, Path(folder), clients)))
        for work_us in WORK_US:
            for name in ("none", *VARIANTS):
                with tempfile.TemporaryDirectory(dir=os.environ.get("LAMBENT_BENCH_DIR")) as folder:
                    load, lag_ms = behind_http(name, Path(folder), 64, work_us)
                assert load.failures == 0, load
                rates[f"{name} http {work_us}"].append(load.rate)
                rates[f"{name} p99 {work_us}"].append(load.p99_ms)
                rates[f"{name} lag {work_us}"].append(lag_ms)
        with tempfile.TemporaryDirectory(dir=os.environ.get("LAMBENT_BENCH_DIR")) as folder:
            rates["fsync"].append(fsyncs_per_second(Path(folder)))
    median = {key: statistics.median(values) for key, values in rates.items()}
    for name in VARIANTS:
        harness.report(
            f"1 writer, statements: {name}", median[f"{name} 1"], "units/s", floor=median["fsync"],
            floor_is="append + fsync",
        )  # fmt: skip
    for name in VARIANTS:
        harness.report(
            f"64 writers, statements: {name}", median[f"{name} 64"], "units/s", floor=median["fsync"],
            floor_is="append + fsync",
        )  # fmt: skip
    for work_us in WORK_US:
        for name in VARIANTS:
            harness.report(
                f"64 connections, {work_us} us work, statements: {name}", median[f"{name} http {work_us}"], "units/s",
                floor=median[f"none http {work_us}"], floor_is="HTTP, no database",
            )  # fmt: skip
            p99, floor = median[f"{name} p99 {work_us}"], median[f"none p99 {work_us}"]
            lag, lag_floor = median[f"{name} lag {work_us}"], median[f"none lag {work_us}"]
            print(f"      p99 {p99:.1f} ms (floor {floor:.1f}), loop late p99 {lag:.1f} ms (floor {lag_floor:.1f})")


if __name__ == "__main__":
    main()
