"""Stand-bys of Node.js: started before a function is known, and then indistinguishable from a start."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lambent.sandbox.isolation import probe
from lambent.sandbox.isolation.launcher import SandboxLauncher
from lambent.sandbox.protocol import Environment
from tests.unit.sandbox.support import Bench, ask

# What a handler can see of how its process came about. `uptime` tells a stand-by: it is older than its function.
SEE = """
const fs = require('fs');
const v8 = require('v8');
exports.handler = async () => ({
  age: process.uptime(),
  startedWith: fs.readFileSync('/proc/self/environ', 'utf8'),
  status: Object.fromEntries(
    fs.readFileSync('/proc/self/status', 'utf8').split('\\n').map((line) => line.split(':\\t'))),
  environ: { ...process.env },
  cwd: process.cwd(),
  argv: process.argv,
  execArgv: process.execArgv,
  uid: [process.getuid(), process.getgid()],
  heap: v8.getHeapStatistics().heap_size_limit,
  task: fs.readdirSync('/var/task'),
  zone: new Date(0).getHours(),
  namespaces: ['user', 'mnt', 'pid', 'net', 'ipc', 'uts'].map((name) => fs.readlinkSync('/proc/self/ns/' + name)),
  limits: fs.readFileSync('/proc/self/limits', 'utf8').replace(/Max pending signals.*/, ''),
  descriptors: fs.readdirSync('/proc/self/fd').length,
  pid: process.pid,
});
"""
FILES: dict[str, str | bytes] = {"h.js": SEE}
AGE_S = 0.3


@pytest.fixture(scope="module", autouse=True)
def _able() -> None:
    ability = asyncio.run(probe.probe())
    if ability.lack is not None:
        pytest.skip(f"no sandboxes on this machine: {ability.lack.what}")


class StandbyBench(Bench):
    launcher: SandboxLauncher

    async def standing(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.launcher.standing < count:  # noqa: ASYNC110 - the launcher tells nobody
                await asyncio.sleep(0.01)
        await asyncio.sleep(AGE_S)  # what stands by is older than any start takes

    async def node(self, files: dict[str, str | bytes] | None = None, **options: Any) -> Environment:
        return await self.start(files or FILES, runtime="nodejs24.x", **options)

    async def see(self, files: dict[str, str | bytes] | None = None, **options: Any) -> dict[str, Any]:
        error, seen = await ask(await self.node(files, **options))
        assert error is None, seen
        assert isinstance(seen, dict)
        return seen


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[StandbyBench]:
    launcher = SandboxLauncher()
    bench = StandbyBench(tmp_path, launcher=launcher, sandboxed=True)
    bench.launcher = launcher
    yield bench
    await bench.sandbox.close()
    assert launcher.standing == 0


async def test_a_stand_by_is_what_a_start_is(bench: StandbyBench) -> None:
    started = await bench.see(memory_mb=256)
    await bench.standing(2)
    adopted = await bench.see(memory_mb=256)
    assert adopted["age"] > AGE_S
    assert started["age"] < adopted["age"]
    for name in ("cwd", "argv", "execArgv", "uid", "heap", "task", "zone", "limits"):
        assert adopted[name] == started[name], name
    for name in (
        "CapEff",
        "CapPrm",
        "CapBnd",
        "CapInh",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
        "Groups",
    ):
        assert adopted["status"].get(name) == started["status"].get(name), name
    assert adopted["status"]["NoNewPrivs"] == "1"
    assert adopted["status"]["CapEff"] == "0" * 16
    assert adopted["status"]["Seccomp"] == "2"
    assert set(adopted["environ"]) == set(started["environ"])
    changing = {"AWS_LAMBDA_RUNTIME_API"}
    differing = {name for name, value in adopted["environ"].items() if started["environ"][name] != value} - changing
    assert differing == set()
    mine = {os.readlink(f"/proc/self/ns/{name}") for name in ("user", "mnt", "pid", "net", "ipc", "uts")}
    assert mine.isdisjoint(adopted["namespaces"])


async def test_variables_and_credentials_are_those_of_the_function(bench: StandbyBench) -> None:
    await bench.see()
    await bench.standing(2)
    seen = await bench.see(
        environment={"NODE_ENV": "production", "TZ": "Asia/Tokyo", "NODE_PATH": "/var/task/own", "PLAIN": "é"},
        credentials={"AWS_ACCESS_KEY_ID": "one", "AWS_SECRET_ACCESS_KEY": "two", "AWS_SESSION_TOKEN": "three"},
        files={"h.js": SEE + "require('mine');", "own/mine/index.js": ""},
    )
    assert seen["age"] > AGE_S
    environ = seen["environ"]
    assert (environ["NODE_ENV"], environ["PLAIN"], seen["zone"]) == ("production", "é", 9)
    assert (environ["AWS_ACCESS_KEY_ID"], environ["AWS_SESSION_TOKEN"]) == ("one", "three")
    assert not [name for name in environ if name.startswith("_LAMBENT")]
    # Before it was the function's it knew nothing of it, or of the server.
    assert sorted(line.partition("=")[0] for line in seen["startedWith"].split("\0") if line) == [
        "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TZ", "_LAMBENT_STANDBY",
    ]  # fmt: skip


async def test_no_two_functions_share_one(bench: StandbyBench) -> None:
    await bench.see()
    await bench.standing(2)
    marked: dict[str, str | bytes] = {
        "h.js": "globalThis.mark = 1; require('fs').writeFileSync('/tmp/mark', '');" + SEE
    }
    first = await bench.see(files=marked)
    probe_mark = "exports.handler = async () => [typeof mark, require('fs').existsSync('/tmp/mark'), process.uptime()];"
    error, (kind, exists, age_s) = await ask(await bench.node({"h.js": probe_mark}))
    assert error is None
    assert first["age"] > AGE_S
    assert age_s > AGE_S
    assert (kind, exists) == ("undefined", False)


@pytest.mark.parametrize(
    "environment",
    [
        {"NODE_OPTIONS": "--no-deprecation"},
        {"NODE_EXTRA_CA_CERTS": "/var/task/h.js"},
        {"LD_LIBRARY_PATH": "/var/task"},
        {"UV_THREADPOOL_SIZE": "1"},
        {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/bin/wrap"},
    ],
)
async def test_what_only_a_start_honours_is_started(bench: StandbyBench, environment: dict[str, str]) -> None:
    await bench.see()
    await bench.standing(2)
    files: dict[str, str | bytes] = {**FILES, "bin/wrap": '#!/bin/sh\nexec "$@"\n'}
    seen = await bench.see(environment=environment, files=files)
    [(name, value)] = environment.items()
    assert f"{name}={value}" in seen["startedWith"].split("\0")
    assert bench.launcher.standing == 2


async def test_another_memory_size_is_started_with_its_own_heap(bench: StandbyBench) -> None:
    small = await bench.see(memory_mb=128)
    await bench.standing(2)
    large = await bench.see(memory_mb=1024)
    assert "AWS_LAMBDA_FUNCTION_NAME=f" in large["startedWith"]
    assert small["heap"] < large["heap"]


async def test_after_a_crash_and_a_failed_init_the_runtime_is_started_anew(bench: StandbyBench) -> None:
    await bench.see()
    await bench.standing(2)
    environment = await bench.node(
        {"h.js": "exports.handler = async (end) => { if (end) process.exit(3); return 1; };"}
    )
    assert (await ask(environment, True))[0] == "Unhandled"
    assert await ask(environment, False) == (None, 1)
    error, answer = await ask(await bench.node({"h.js": "throw new Error('no');"}))
    assert (error, answer["errorMessage"]) == ("Unhandled", "no")


async def test_killed_stand_bys_are_passed_over_and_none_outlives_the_sandbox(bench: StandbyBench) -> None:
    await bench.see()
    await bench.standing(2)
    waiting = _standing()
    assert len(waiting) == 2
    for process in waiting:
        process.kill()
    async with asyncio.timeout(10):
        while bench.launcher.standing:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.01)
    assert (await bench.see())["task"] == ["h.js"]
    await bench.standing(2)
    waiting = _standing()
    await bench.sandbox.close()
    assert not any(process.is_running() for process in waiting)


def _standing() -> list[psutil.Process]:
    """The stand-bys below this process."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "_LAMBENT_STANDBY" in process.environ():
                found.append(process)
        except psutil.Error:
            continue
    return found
