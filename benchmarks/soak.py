"""A long life under load: real invokes of sandboxed functions, and a thousand environments that end badly meanwhile.

Environments end by SIGKILL of their runtime or of their first process, by a timeout, by a crash, and by code updates,
one after the other all through the load. Then everything must be as it was before.

The rule to pass:
- every request is answered with status 200, and events fail only where their environment was ended;
- when all environments have ended by idleness, there are not more processes, descriptors, threads, mounts, namespaces,
  used cgroups and temporary files than at the baseline, which is counted in the same state before the load, after a
  short warm-up. Cgroups (with the user ids that belong to them) are kept for the next sandboxes, as many as there were
  at once; the next sandbox must get the lowest of them that is free, so none is lost;
- the server's resident memory is flat after the first tenth: the straight line through its curve from there on rises
  by no more than 5 % of what it was at the tenth; `SLACK_MB` are always allowed, as a short run has hardly warmed up;
- a server that is killed by SIGKILL under load leaves no process; and when the next one has started an environment on
  the same data, no cgroup and no temporary file of the killed one is left either;
- a server that is told to stop leaves nothing at all.

    python -m benchmarks.soak [--invokes N] [--kills N] [--trace]

`--trace` runs the server with tracemalloc and prints what grew, by line; memory then proves nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import random
import signal
import statistics
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks import census, harness
from lambent.testing.server import ServerProcess

INVOKES = 1_000_000
KILLS = 1_000
SLACK_MB = 4.0
SAMPLES = 100
IDLE_TIMEOUT_S = 1.5
SETTLE_S = 45.0
ROLE = "arn:aws:iam::000000000000:role/bench"
HAZARD = """
import os, time

def handler(event, context):
    if event == "sleep":
        time.sleep(60)
    if event == "crash":
        os.abort()
    with open("/tmp/left-behind", "w") as file:
        file.write("x" * 10_000)
    return event
"""
ECHOES = {
    "echo-python": ("python3.13", "app.py", "def handler(event, context):\n    return event\n", 12),
    "echo-node": ("nodejs24.x", "app.mjs", "export const handler = async (event) => event\n", 4),
}
HAZARDS = ("runtime", "init", "timeout", "crash", "update")
# A prepared sandbox that is killed is made up for at the next start only: the baseline would miss it.
WARM_UP_HAZARDS = ("timeout", "crash", "update")
EVENT = b"12345"


@dataclass(slots=True)
class Outcome:
    """What a soak has seen. `failures` are breaches of the rule, in words; empty when it passed."""

    invokes: int = 0
    function_errors: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    resident_mb: list[tuple[int, float]] = field(default_factory=list)  # (invokes, MB)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def rise_mb(self) -> float:
        """How much the line through the curve rises from the first tenth on."""
        after = [(at, mb) for at, mb in self.resident_mb if at >= self.invokes / 10]
        if len(after) < 3:
            return 0.0
        slope, _ = statistics.linear_regression([at for at, _ in after], [mb for _, mb in after])
        return slope * (after[-1][0] - after[0][0])

    def at_tenth_mb(self) -> float:
        return next(mb for at, mb in self.resident_mb if at >= self.invokes / 10)


class Connection:
    """One HTTP connection that sends one request after the other; as little work as possible on our side."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    def request(self, function: str, payload: bytes) -> bytes:
        return (
            f"POST /2015-03-31/functions/{function}/invocations HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Authorization: {harness.AUTHORIZATION.format(service='lambda')}\r\nContent-Length: {len(payload)}\r\n\r\n"
        ).encode() + payload

    async def send(self, request: bytes) -> tuple[int, bool, bytes]:
        """Status, whether the function failed, and the answer. Raises OSError."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        at = head.index(b"content-length:") + 15
        body = await self._reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        return int(head[9:12]), b"x-amz-function-error" in head, body

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class Soak:
    """One run against a server that is already up."""

    def __init__(
        self,
        server: ServerProcess,
        *,
        invokes: int,
        kills: int,
        hazards: Sequence[str] = HAZARDS,
        quiet: bool = False,
    ) -> None:
        self.server = server
        self.outcome = Outcome()
        self._invokes = invokes
        self._kills = kills
        self._hazard_kinds = hazards
        self._updating = asyncio.Lock()
        self._quiet = quiet
        self._sent = 0
        self._updates = 0
        self._started_s = 0.0

    def prepare(self) -> None:
        """Create the functions."""
        api = self.server.client("lambda")
        for name, (runtime, file, text, _) in ECHOES.items():
            _create(api, name, runtime, {file: text}, timeout_s=30)
        _create(api, "hazard", "python3.13", {"app.py": HAZARD}, timeout_s=1)
        _create(api, "hold", "python3.13", {"app.py": HAZARD}, timeout_s=120)

    async def load(self) -> None:
        """The invokes, and the ends of environments among them."""
        self._started_s = time.monotonic()
        workers = [
            asyncio.create_task(self._worker(name)) for name, (_, _, _, count) in ECHOES.items() for _ in range(count)
        ]
        hazards = asyncio.create_task(self._hazards())
        await asyncio.gather(*workers)
        await hazards
        self._sample()
        self.outcome.seconds = time.monotonic() - self._started_s

    async def _worker(self, name: str) -> None:
        connection = Connection(self.server.endpoint)
        request = connection.request(name, EVENT)
        outcome = self.outcome
        step = max(1, self._invokes // SAMPLES)
        while self._sent < self._invokes:
            self._sent += 1
            status, failed, body = await connection.send(request)
            outcome.invokes += 1
            if status != 200:
                outcome.failures.append(f"{name}: {status} {body[:200]!r}")
                if len(outcome.failures) > 20:
                    break
            elif failed:
                outcome.function_errors += 1
            elif body != EVENT:
                outcome.failures.append(f"{name}: a wrong answer: {body[:200]!r}")
            if outcome.invokes % step == 0:
                self._sample()
        connection.close()

    def _sample(self) -> None:
        outcome = self.outcome
        outcome.resident_mb.append((outcome.invokes, census.resident_mb(self.server.pid)))
        if not self._quiet and len(outcome.resident_mb) % 10 == 0:
            rate = outcome.invokes / (time.monotonic() - self._started_s)
            kills = sum(outcome.kills.values())
            print(
                f"  {outcome.invokes:>9,} invokes, {kills:>5} kills, {rate:>7,.0f}/s, "
                f"{outcome.resident_mb[-1][1]:>7.1f} MB resident, {len(census.groups(self.server.pid))} cgroups",
                flush=True,
            )

    async def _hazards(self) -> None:
        pending: set[asyncio.Task[None]] = set()
        for number in range(self._kills):
            while self.outcome.invokes < self._invokes * number / self._kills:  # noqa: ASYNC110 - a count, not an event
                await asyncio.sleep(0.002)
            kind = self._hazard_kinds[number % len(self._hazard_kinds)]
            task = asyncio.create_task(self._hazard(kind))
            pending.add(task)
            task.add_done_callback(pending.discard)
            if len(pending) >= 8:
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*pending)

    async def _hazard(self, kind: str) -> None:
        if kind in ("runtime", "init"):
            await self._kill_process(kind)
        elif kind == "update":
            async with self._updating:
                await asyncio.to_thread(self._update)
        else:
            await self._invoke_hazard(kind)
        self.outcome.kills[kind] += 1

    async def _kill_process(self, kind: str) -> None:
        inner = await asyncio.to_thread(census.inner_pids, self.server.pid)
        wanted = [pid for pid, inside in inner.items() if (inside == 1) == (kind == "init")]
        if wanted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(wanted), signal.SIGKILL)

    async def _invoke_hazard(self, kind: str) -> None:
        """Environments of this function end one way or the other, then another event must run in them."""
        connection = Connection(self.server.endpoint)
        event = {"timeout": "sleep", "crash": "crash"}[kind]
        for payload, fails in ((event, True), ("fine", False)):
            status, failed, body = await connection.send(connection.request("hazard", json.dumps(payload).encode()))
            # A SIGKILL of another hazard may have hit this one.
            if status != 200 or (fails and not failed):
                self.outcome.failures.append(f"hazard {payload}: {status} {body[:200]!r}")
            elif failed and not fails:
                self.outcome.function_errors += 1
        connection.close()

    def _update(self) -> None:
        self._updates += 1
        name = random.choice(list(ECHOES))
        _, file, text, _ = ECHOES[name]
        mark = "#" if file.endswith("py") else "//"
        api = self.server.client("lambda")
        text = f"{text}{mark} {self._updates % 2}\n"
        api.update_function_code(FunctionName=name, ZipFile=_package({file: text}))
        api.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})

    async def settle(self, wanted: census.Census | None) -> census.Census:
        """Wait until the environments have ended by idleness and there is no more than `wanted` (None: no change)."""
        until_s = time.monotonic() + SETTLE_S
        await asyncio.sleep(IDLE_TIMEOUT_S)
        before = None
        while True:
            now = await asyncio.to_thread(census.take, self.server.pid, self.server.data)
            enough = now == before if wanted is None else not now.above(wanted)
            if enough or time.monotonic() > until_s:
                return now
            before = now
            await asyncio.sleep(1.0)


def _create(api: Any, name: str, runtime: str, files: dict[str, str], *, timeout_s: int) -> None:
    api.create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": _package(files)},
        Timeout=timeout_s,
        MemorySize=256,
    )
    api.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def _package(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # a fixed date: the same bytes each time
    return buffer.getvalue()


def judge(outcome: Outcome, baseline: census.Census, after: census.Census) -> None:
    """Apply the rule of the load's end; what breaks it goes into `outcome.failures`."""
    if above := after.above(baseline):
        outcome.failures.append(f"not back at the baseline: {above}")
    allowed = sum(outcome.kills[kind] for kind in ("runtime", "init")) * 2
    if outcome.function_errors > allowed:
        outcome.failures.append(f"{outcome.function_errors} events failed, {allowed} had a reason to")
    limit_mb = max(SLACK_MB, outcome.at_tenth_mb() * 0.05)
    if outcome.rise_mb() > limit_mb:
        outcome.failures.append(f"resident memory rises by {outcome.rise_mb():.1f} MB (allowed: {limit_mb:.1f})")


async def check_slots(server: ServerProcess, outcome: Outcome) -> None:
    """The next sandbox gets the lowest slot that is free: one that was never given back would be skipped."""
    used = census.used_slots(server.pid)
    lowest = next(slot for slot in range(10_000) if slot not in used)
    connection = Connection(server.endpoint)
    await connection.send(connection.request("hazard", b'"fine"'))
    connection.close()
    until_s = time.monotonic() + 10
    while lowest not in census.used_slots(server.pid):
        if time.monotonic() > until_s:
            outcome.failures.append(f"slot {lowest} was never given back")
            break
        await asyncio.sleep(0.05)


async def kill_server(server: ServerProcess, outcome: Outcome) -> None:
    """SIGKILL the server while environments run events, and start it again on the same data."""
    pid = server.pid
    connections = [Connection(server.endpoint) for _ in range(4)]
    events = [asyncio.create_task(one.send(one.request("hold", b'"sleep"'))) for one in connections]
    until_s = time.monotonic() + SETTLE_S
    while len([one for one in census.inner_pids(pid).values() if one > 1]) < len(events):
        if time.monotonic() > until_s:
            outcome.failures.append("no environments are there to be killed with their server")
            break
        await asyncio.sleep(0.02)
    inside = list(census.inner_pids(pid))
    await asyncio.to_thread(server.kill)
    await asyncio.gather(*events, return_exceptions=True)
    for one in connections:
        one.close()
    until_s = time.monotonic() + 10
    while left := {one for one in inside if os.path.exists(f"/proc/{one}")} | set(census.sandboxed(pid)):
        if time.monotonic() > until_s:
            outcome.failures.append(f"processes outlive their killed server: {_describe(left)}")
            break
        await asyncio.sleep(0.05)
    await asyncio.to_thread(server.start)
    one = Connection(server.endpoint)
    await one.send(one.request("hazard", b'"fine"'))
    one.close()
    if census.groups(pid):
        outcome.failures.append("cgroups of the killed server are left after the next start")
    folders = os.listdir(server.data / "work" / "environments")
    if any(name.startswith(f"{pid}-") for name in folders):
        outcome.failures.append(f"temporary files of the killed server are left after the next start: {folders}")


def _describe(pids: Iterable[int]) -> list[str]:
    """Those that still exist, with their state and command."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            found.append(f"{pid} {process.status()} below {process.ppid()}: {' '.join(process.cmdline())}")
    return found


def check_stopped(pid: int, data: Path, outcome: Outcome) -> None:
    """After a graceful stop."""
    folder = data / "work" / "environments"
    left = {
        "processes": _describe(census.sandboxed(pid)),
        "cgroups": census.groups(pid),
        "temporary files": os.listdir(folder) if folder.exists() else [],
    }
    outcome.failures += [f"{what} are left after a stop: {found}" for what, found in left.items() if found]


async def soak(*, invokes: int, kills: int, trace: bool = False, quiet: bool = False) -> Outcome:
    """Run it all; nobody else's processes are touched."""
    module = "benchmarks.soak_server" if trace else "lambent"
    arguments = ("--idle-timeout", str(IDLE_TIMEOUT_S), "--log-level", "warning")
    with ServerProcess(*arguments, isolation="sandbox", module=module) as server:
        warm_up = Soak(server, invokes=min(invokes // 10, 5000), kills=9, hazards=WARM_UP_HAZARDS, quiet=True)
        await asyncio.to_thread(warm_up.prepare)
        await warm_up.load()
        baseline = await warm_up.settle(None)
        if not quiet:
            print(f"  baseline: {baseline}", flush=True)
        if trace:
            server.signal(signal.SIGUSR1)
        run = Soak(server, invokes=invokes, kills=kills, quiet=quiet)
        outcome = run.outcome
        outcome.failures += warm_up.outcome.failures
        await run.load()
        after = await run.settle(baseline)
        if not quiet:
            print(f"  after:    {after}", flush=True)
        if trace:
            server.signal(signal.SIGUSR1)
            await asyncio.sleep(5)
            print(server.output)
        judge(outcome, baseline, after)
        await check_slots(server, outcome)
        await kill_server(server, outcome)
        pid = server.pid
        await asyncio.to_thread(server.stop)
        check_stopped(pid, server.data, outcome)
        if not quiet and "Traceback" in server.output:
            print(server.output)
    return outcome


def curve(outcome: Outcome) -> str:
    """The resident memory as one line of bars, with its lowest and highest value."""
    values = [mb for _, mb in outcome.resident_mb]
    low, high = min(values), max(values)
    bars = "▁▂▃▄▅▆▇█"
    drawn = "".join(bars[min(7, int((mb - low) / max(high - low, 0.1) * 8))] for mb in values)
    return f"{drawn}  {low:.1f} to {high:.1f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description="A long life under load; see the head of the file.")
    parser.add_argument("--invokes", type=int, default=INVOKES)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--trace", action="store_true", help="print what grew in the server, by line")
    options = parser.parse_args([] if sys.argv[0].endswith("__main__.py") else None)
    harness.heading(f"Soak: {options.invokes:,} invokes and {options.kills:,} ends of environments, sandboxed")
    outcome = asyncio.run(soak(invokes=options.invokes, kills=options.kills, trace=options.trace))
    print(f"  resident memory: {curve(outcome)}")
    slope = outcome.rise_mb() / (outcome.invokes * 0.9) * 1e6
    print(f"  from the first tenth on it rises by {outcome.rise_mb():+.2f} MB, {slope:+.2f} MB a million invokes")
    print(f"  {outcome.function_errors} events failed with their environment")
    print(f"  {outcome.invokes / outcome.seconds:,.0f} invokes a second; ends: {dict(outcome.kills)}")
    for failure in outcome.failures[:20]:
        print(f"  FAILED: {failure}")
    print("  passed" if not outcome.failures else f"  {len(outcome.failures)} FAILURES", flush=True)
    if outcome.failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
