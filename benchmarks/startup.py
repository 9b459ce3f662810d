"""From `lambent up` to its first answer, and what the idle server keeps in memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import urllib.request

from benchmarks import harness

RUNS = 7


def main() -> None:
    harness.heading("Start and idle memory")
    bare, ready, memory = [], [], []
    for _ in range(RUNS):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-c", "import asyncio, uvicorn, uvloop, httptools, msgspec"], check=True)
        bare.append(time.monotonic() - begin)
        begin = time.monotonic()
        with harness.lambent() as (server, endpoint):
            urllib.request.urlopen(f"{endpoint}/_lambent/health").read()
            ready.append(time.monotonic() - begin)
            memory.append(server.memory_info().rss / 2**20)
    floor = statistics.median(bare)
    harness.report(
        "start to first answer", statistics.median(ready), "s", floor=floor, floor_is="bare imports", promise="< 1.0 s"
    )
    empty = [sys.executable, "-c", "import uvicorn, uvloop, httptools, msgspec; print('ready x', flush=True); input()"]
    with harness.process(["sh", "-c", 'sleep 30 | "$@"', "sh", *empty], r"ready (x)") as (shell, _):
        rss = max(child.memory_info().rss for child in shell.children(recursive=True)) / 2**20
    harness.report(
        "resident memory when idle",
        statistics.median(memory),
        "MiB",
        floor=rss,
        floor_is="HTTP server modules alone",
        promise="< 90 MiB",
    )


if __name__ == "__main__":
    main()
