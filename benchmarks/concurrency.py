"""A thousand sandboxed environments at once, each holding an event; what they cost, and that nothing is left after.

Floor of the start rate: as many processes forked from this one into the same namespaces, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import uvloop

from benchmarks import harness
from benchmarks.sandbox import Code, NoLogs
from lambent.core.clock import SystemClock
from lambent.sandbox.isolation.launcher import SandboxLauncher
from lambent.sandbox.local import ProcessSandbox
from lambent.sandbox.protocol import Environment, EnvironmentSpec, Invocation

ENVIRONMENTS = 1000
STARTING = 4  # at once: more would only wait for the two processors
HELD_S = 5.0
NAMESPACES = 0x6C02_0000 & ~0x1000_0000 | 0x4000_0000  # mount, uts, ipc, pid, network
HOLD = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event\n"


def spec(number: int) -> EnvironmentSpec:
    return EnvironmentSpec(
        environment_id=f"e{number}",
        account="000000000000",
        region="us-east-1",
        function_name="hold",
        function_version="$LATEST",
        function_arn="arn:aws:lambda:us-east-1:000000000000:function:hold",
        runtime="python3.13",
        handler="h.handler",
        code="0" * 64,
        timeout_s=60.0,
    )


async def hold(environment: Environment, seconds: float) -> None:
    response = await environment.invoke(
        Invocation(
            request_id="9b0d1b3c-5c29-4b52-9c1e-1f2a3b4c5d6e",
            payload=str(seconds).encode(),
            invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:hold",
            deadline_ms=int(time.time() * 1000) + 60_000,
            timeout_s=60.0,
        )
    )
    await response.read()
    await response.report()


def unshared_bytes(pids: Sequence[int]) -> int:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith(b"Private_"))
    return total


def bare_forks(count: int) -> float:
    """Processes a second, each in new namespaces."""
    libc = ctypes.PyDLL(None)
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    started = time.perf_counter()
    pids = []
    for _ in range(count):
        pid = libc.syscall(ctypes.c_long(number), ctypes.c_long(NAMESPACES | signal.SIGCHLD), 0, 0, 0, 0)
        if pid == 0:
            signal.pause()
        if pid < 0:
            sys.exit("this machine does not let us make namespaces")
        pids.append(pid)
    rate = count / (time.perf_counter() - started)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return rate


async def run(root: Path) -> None:
    (root / "code").mkdir()
    (root / "code" / "h.py").write_text(HOLD)
    sandbox = ProcessSandbox(
        Code(root / "code"), NoLogs(), SystemClock(), work_dir=root / "work", launcher=SandboxLauncher(), sandboxed=True
    )
    await (await sandbox.start(spec(0))).stop("spindown")  # starts the zygote
    floor = bare_forks(ENVIRONMENTS)
    slots = asyncio.Semaphore(STARTING)
    running = 0

    async def one(number: int) -> float:
        nonlocal running
        async with slots:
            environment = await sandbox.start(spec(number))
        event = asyncio.create_task(hold(environment, HELD_S))
        running += 1
        at = time.perf_counter()
        await event
        return at

    started = time.perf_counter()
    tasks = [asyncio.create_task(one(number)) for number in range(1, ENVIRONMENTS + 1)]
    while running < ENVIRONMENTS:
        await asyncio.sleep(0.02)
        if any(task.done() and task.exception() for task in tasks):
            break
    took_s = time.perf_counter() - started
    pids = [child.pid for child in psutil.Process().children(recursive=True)]
    unshared_mb = await asyncio.to_thread(unshared_bytes, pids) / ENVIRONMENTS / 1e6
    await asyncio.gather(*tasks)
    harness.report(
        f"{ENVIRONMENTS} environments are running after", took_s, "s", floor=ENVIRONMENTS / floor,
        floor_is="bare forks with namespaces", promise="under 10",
    )  # fmt: skip
    harness.report(
        "starts", ENVIRONMENTS / took_s, "/s", floor=floor, floor_is="bare forks with namespaces", promise="300"
    )
    print(f"  memory of an environment that nobody shares: {unshared_mb:.2f} MB (aim: under 4), {len(pids)} processes")
    started = time.perf_counter()
    await sandbox.close()
    left = [pid for pid in pids if psutil.pid_exists(pid)]
    print(f"  all ended in {time.perf_counter() - started:.2f} s; processes left: {len(left)}")


def main() -> None:
    harness.heading("Concurrency: sandboxed environments at once")
    with tempfile.TemporaryDirectory() as root:
        uvloop.run(run(Path(root)))


if __name__ == "__main__":
    main()
