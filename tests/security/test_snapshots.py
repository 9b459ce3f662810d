"""Environments that were forked from their version's initialised process have the walls of all others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lambent.sandbox.isolation import probe
from lambent.sandbox.isolation.launcher import SandboxLauncher
from lambent.sandbox.isolation.nested_cell import NotContained, check_contained
from lambent.sandbox.protocol import Environment
from tests.security.sandbox_attacks import ATTACKS
from tests.unit.sandbox.support import Bench, ask, python_versions

PYTHON = next((version for version in reversed(python_versions()) if version >= "python3.12"), "python3.11")
SETNS, UNSHARE, MOUNT, PTRACE = 308, 272, 165, 101
EPERM = 1
LOOK = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def number_of(call, *arguments):
    result = libc.syscall(call, *arguments)
    return 0 if result >= 0 else ctypes.get_errno()
def handler(event, context):
    if "syscall" in event:
        return number_of(*event["syscall"])
    if "write" in event:
        open("/tmp/mine", "w").write(event["write"])
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    fds = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            fds[name] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass
    return {
        "tmp": sorted(os.listdir("/tmp")), "uid": os.getuid(),
        "pids": sorted(p for p in os.listdir("/proc") if p.isdigit()),
        "status": {k: status[k].strip() for k in status if k.startswith(("Cap", "NoNew", "Seccomp"))},
        "fds": fds, "pid": os.getpid(), "ppid": os.getppid(), "host": os.uname().nodename,
    }
"""


@pytest.fixture(scope="module", autouse=True)
def _able() -> None:
    ability = asyncio.run(probe.probe())
    if ability.lack is not None:
        pytest.skip(f"no sandboxes on this machine: {ability.lack.what}")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, launcher=SandboxLauncher(prepared=0), sandboxed=True)
    yield bench
    await bench.sandbox.close()


async def restored(bench: Bench, source: str, count: int = 1, **more: Any) -> list[Environment]:
    (bench.code.add("function", {"h.py": source}) / "h.py").chmod(0o666)
    options: dict[str, Any] = {
        "runtime": PYTHON,
        "initialization_type": "snap-start",
        "snapshot": "arn#1",
        "memory_mb": 256,
        **more,
    }
    assert await bench.sandbox.take_snapshot(bench.spec(**options)) == ""
    started = [await bench.sandbox.start(bench.spec(**options)) for _ in range(count)]
    assert sum("RESTORE_REPORT" in line for line in bench.logs.lines) == count
    return started


async def look(environment: Environment, event: Any = None) -> Any:
    error, answer = await ask(environment, event or {}, timeout_s=60.0)
    assert error is None, answer
    return answer


async def test_environments_of_one_version_do_not_see_each_other(bench: Bench) -> None:
    one, two = await restored(bench, LOOK, 2)
    seen, other = await look(one, {"write": "x"}), await look(two)
    assert (seen["tmp"], other["tmp"]) == (["mine"], [])
    assert len(seen["pids"]) == len(other["pids"]) == 2  # process 1 and itself
    assert seen["ppid"] == 1
    assert seen["uid"] == 993
    assert seen["host"] == "lambent"


async def test_no_privilege_is_left_of_entering(bench: Bench) -> None:
    [environment] = await restored(bench, LOOK)
    status = (await look(environment))["status"]
    assert {value for name, value in status.items() if name.startswith("Cap")} == {"0000000000000000"}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


@pytest.mark.skipif("os.uname().machine != 'x86_64'")
@pytest.mark.parametrize("call", [SETNS, UNSHARE, MOUNT, PTRACE])
async def test_the_usual_filter_holds(bench: Bench, call: int) -> None:
    [environment] = await restored(bench, LOOK)
    assert await look(environment, {"syscall": [call, 0, 0, 0, 0, 0]}) == EPERM


async def test_nothing_of_the_version_s_process_is_within_reach(bench: Bench) -> None:
    [environment] = await restored(bench, LOOK)
    fds = (await look(environment))["fds"]
    assert set(fds) == {"0", "1", "2", "3"}
    assert not any(target.startswith(("mnt:", "user:", "net:", "pid:", "/proc")) for target in fds.values())


@pytest.mark.parametrize(
    ("attack", "outcome"),
    [
        (["fill", 400], ["refused", "ENOSPC"]),
        (["fork_bomb", 1100], ["refused", "EAGAIN"]),
        (["connect", "169.254.169.254", 80], ["refused", "ECONNREFUSED"]),
    ],
)
async def test_the_limits_hold(bench: Bench, attack: list[Any], outcome: list[str]) -> None:
    [environment] = await restored(bench, ATTACKS, ephemeral_storage_mb=300, memory_mb=3008)
    assert await look(environment, attack) == outcome


async def test_code_stays_read_only(bench: Bench) -> None:
    [environment] = await restored(bench, "def handler(event, context):\n    open('/var/task/h.py', 'a')\n")
    error, answer = await ask(environment, {})
    assert error == "Unhandled"
    assert "Read-only file system" in answer["errorMessage"]


async def test_the_end_of_an_environment_is_the_end_of_all_its_processes(bench: Bench) -> None:
    source = "import subprocess\ndef handler(e, c):\n    return subprocess.Popen(['sleep', '4711']).pid\n"
    one, two = await restored(bench, source, 2)
    await look(one)
    await look(two)
    await one.stop("spindown")
    assert (await look(two)) > 1  # the other one lives on


async def test_whoever_is_not_inside_is_not_let_through(bench: Bench) -> None:
    one, two = await restored(bench, LOOK, 2)
    cells = [environment._parts.cell for environment in (one, two)]  # type: ignore[attr-defined]
    assert check_contained(cells[0].pid, cells[0].init_pid, filtered=True) > 1
    with pytest.raises(NotContained, match="another user namespace"):
        check_contained(cells[0].pid, cells[1].init_pid, filtered=True)
    zygote = bench.sandbox._snapshots.find("arn#1")
    assert zygote is not None
    with pytest.raises(NotContained):
        check_contained(zygote.cell.pid, cells[0].init_pid, filtered=True)
