"""Environments as processes: a warm event, and a cold start, each beside its floor in the same run.

Floors: for a warm event, the same bytes there and back over a socket between two Python processes that do nothing with
them; for a cold start, the bare interpreter running `pass` as often as it is started.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop

from benchmarks import harness
from lambent.core.clock import SystemClock
from lambent.core.log_events import LogEvent
from lambent.core.operations import Scope
from lambent.sandbox.launcher import Command, ProcessLauncher
from lambent.sandbox.local import ProcessSandbox
from lambent.sandbox.protocol import Environment, EnvironmentSpec, Invocation

ROUNDS = 20  # warm and floor, cold and floor take turns, so that a busy machine touches both alike
WARM_PER_ROUND = 200
EVENT = b'{"key1": "value1", "key2": "value2", "key3": "value3"}'
ECHO = "def handler(event, context):\n    return event\n"
PONG = """
import os, sys
fd = int(sys.argv[1])
while True:
    data = os.read(fd, 65536)
    if not data:
        break
    os.write(fd, data)
"""


class Code:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def folder(self, sha256: str) -> Path:
        return self._folder


class NoLogs:
    def write(self, scope: Scope, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        return


class Pong:
    """The floor of a warm event: a process that sends back what it gets."""

    def __init__(self, python: str) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        with theirs:
            argv = [python, "-I", "-S", "-c", PONG, str(theirs.fileno())]
            self._process = subprocess.Popen(argv, pass_fds=[theirs.fileno()])

    async def round_trip(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._ours, EVENT)
        await loop.sock_recv(self._ours, 65536)

    def close(self) -> None:
        self._ours.close()
        self._process.wait()


def spec(
    number: int, runtime: str, handler: str = "echo.handler", environment: Mapping[str, str] | None = None
) -> EnvironmentSpec:
    return EnvironmentSpec(
        environment_id=f"e{number}",
        account="000000000000",
        region="us-east-1",
        function_name="echo",
        function_version="$LATEST",
        function_arn="arn:aws:lambda:us-east-1:000000000000:function:echo",
        runtime=runtime,
        handler=handler,
        environment=environment or {},
        code="0" * 64,
        log_group="/aws/lambda/echo",
        log_stream="s",
    )


async def event(environment: Environment) -> None:
    response = await environment.invoke(
        Invocation(
            request_id="9b0d1b3c-5c29-4b52-9c1e-1f2a3b4c5d6e",
            payload=EVENT,
            invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:echo",
            deadline_ms=int(time.time() * 1000) + 3000,
            timeout_s=3.0,
        )
    )
    await response.read()
    await response.report()


async def spawning(python: str) -> None:
    """How long the loop stands still for one start: the launcher against asyncio's own, in a server that has grown."""
    ballast = [bytes(1000) for _ in range(400_000)]
    launcher = ProcessLauncher()
    (await launcher.open()).close()
    argv = [python, "-I", "-S", "-c", "pass"]
    ours: list[float] = []
    asyncios: list[float] = []
    for _ in range(ROUNDS):
        ended = asyncio.get_running_loop().create_future()
        read_end, write_end = os.pipe()
        started = time.perf_counter()
        cell = await launcher.open()
        command = Command(argv=argv, environment={}, folder="/", memory_limit_bytes=1 << 40, output=write_end)
        cell.start(command, ended.set_result)
        ours.append(time.perf_counter() - started)
        await ended
        cell.close()
        os.close(read_end)
        os.close(write_end)
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(*argv, env={}, start_new_session=True)
        asyncios.append(time.perf_counter() - started)
        await process.wait()
    await launcher.close()
    report(
        f"start of a process, loop stopped ({len(ballast)} objects)",
        "us",
        ours,
        "create_subprocess_exec",
        asyncios,
        1e6,
    )


async def run(root: Path) -> None:
    code = root / "code"
    code.mkdir()
    (code / "echo.py").write_text(ECHO)
    sandbox = ProcessSandbox(Code(code), NoLogs(), SystemClock(), work_dir=root / "work")
    rows = [row for row in await sandbox.runtimes_table() if row.status == "exact" and row.runtime.startswith("python")]
    newest = rows[-1]
    warm: list[float] = []
    pong: list[float] = []
    environment = await sandbox.start(spec(0, newest.runtime))
    floor = Pong(newest.path)
    for _ in range(ROUNDS):
        for what, times in ((lambda: event(environment), warm), (floor.round_trip, pong)):
            for _ in range(WARM_PER_ROUND):
                started = time.perf_counter()
                await what()
                times.append(time.perf_counter() - started)
    floor.close()
    report(f"warm event, {newest.runtime}", "us", warm, "socket round trip", pong, 1e6)
    for row in rows:
        cold: list[float] = []
        first: list[float] = []
        bare: list[float] = []
        for number in range(1, ROUNDS + 1):
            started = time.perf_counter()
            one = await sandbox.start(spec(number, row.runtime))
            cold.append(time.perf_counter() - started)
            await event(one)
            first.append(time.perf_counter() - started)
            await one.stop("spindown")
            started = time.perf_counter()
            await asyncio.to_thread(subprocess.run, [row.path, "-s", "-c", "pass"], env={}, check=True)
            bare.append(time.perf_counter() - started)
        report(f"cold start, {row.runtime}", "ms", cold, "python -c pass", bare, 1e3)
        report(f"cold start with its first event, {row.runtime}", "ms", first, "python -c pass", bare, 1e3)
    await sandbox.close()
    await spawning(newest.path)


def report(what: str, unit: str, times: list[float], floor_is: str, floor: list[float], scale: float) -> None:
    harness.report(
        what, statistics.median(times) * scale, unit, floor=statistics.median(floor) * scale, floor_is=floor_is
    )


def main() -> None:
    harness.heading("Sandbox: environments as processes")
    with tempfile.TemporaryDirectory() as root:
        uvloop.run(run(Path(root)))


if __name__ == "__main__":
    main()
