"""Hostile functions against the sandbox, and against it with the one defence in question off.

The second try must get through, otherwise the first would prove nothing. Where no single defence can be dropped, the
second try is process mode, which has no walls.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from lambent.sandbox.isolation import probe
from lambent.sandbox.isolation.defences import Defences
from lambent.sandbox.isolation.launcher import SandboxLauncher
from tests.security.sandbox_attacks import ATTACKS
from tests.unit.sandbox.support import Bench, ask

CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET = 0x10000000, 0x00020000, 0x40000000


@pytest.fixture(scope="module", autouse=True)
def _able() -> None:
    ability = asyncio.run(probe.probe())
    if ability.lack is not None:
        pytest.skip(f"no sandboxes on this machine: {ability.lack.what}")


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "sandbox", launcher=SandboxLauncher(prepared=0), sandboxed=True)
    yield bench
    await bench.sandbox.close()


@pytest.fixture
async def walls_down(tmp_path: Path) -> AsyncIterator[Bench]:
    """Process mode."""
    bench = Bench(tmp_path / "process")
    yield bench
    await bench.sandbox.close()


@pytest.fixture
async def without(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A sandbox without the defence that the test's parameter names."""
    launcher = SandboxLauncher(prepared=0, defences=Defences(**{request.param: False}))
    bench = Bench(tmp_path / "without", launcher=launcher, sandboxed=True)
    yield bench
    await bench.sandbox.close()


async def attack(bench: Bench, what: str, *arguments: Any, **options: Any) -> list[Any]:
    environment = await bench.start(ATTACKS, **options)
    error, answer = await ask(environment, [what, *arguments], timeout_s=60.0)
    assert error is None, answer
    assert isinstance(answer, list)
    return answer


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that only root can read, as the server's are, below a folder like the data directory."""
    path = tmp_path / "data" / "control.db"
    path.parent.mkdir(mode=0o700)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (secret TEXT)")
    database.close()
    path.chmod(0o600)
    return path


@pytest.fixture
def neighbour() -> Iterator[int]:
    """A process of this machine with a secret among its variables."""
    with subprocess.Popen(["sleep", "60"], env={"SECRET": "1"}) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def host_service() -> Iterator[tuple[str, int]]:
    """Something that listens on this machine's loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                with accepted:
                    accepted.sendall(b"secret service")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


# Files.


async def test_the_database_and_other_functions_code_are_not_there(
    sandbox: Bench, walls_down: Bench, secret: Path
) -> None:
    other = sandbox.code.add("other", {"o.py": "KEY = 1"}) / "o.py"
    for path in (secret, other, Path("/etc/shadow"), Path(sys.executable)):
        assert await attack(sandbox, "read", str(path)) == ["refused", "ENOENT"]
        assert (await attack(walls_down, "read", str(path)))[0] == "did"
    assert (await attack(walls_down, "read", str(secret)))[1].startswith("SQLite format 3")


async def test_links_lead_nowhere(sandbox: Bench, walls_down: Bench, secret: Path) -> None:
    Path("/tmp/link").unlink(missing_ok=True)
    assert await attack(sandbox, "symlink", str(secret)) == ["refused", "ENOENT"]
    assert await attack(sandbox, "symlink", f"/proc/1/root{secret}") == ["refused", "EACCES"]
    assert await attack(sandbox, "link", "/var/task/h.py") == ["refused", "EXDEV"]
    assert (await attack(walls_down, "symlink", str(secret)))[0] == "did"
    Path("/tmp/link").unlink()


async def test_links_in_a_package_lead_nowhere(sandbox: Bench, walls_down: Bench, secret: Path) -> None:
    for bench, expected in ((sandbox, "refused"), (walls_down, "did")):
        folder = bench.code.add("linked", {"h.py": ATTACKS})
        (folder / "out").symlink_to(secret)
        environment = await bench.sandbox.start(bench.spec("linked"))
        where = "/var/task" if bench is sandbox else str(folder)
        _, answer = await ask(environment, ["read", f"{where}/out"])
        assert answer[0] == expected


@pytest.mark.parametrize("without", ["read_only"], indirect=True)
async def test_code_cannot_be_changed(sandbox: Bench, without: Bench) -> None:
    for path in ("/var/task/new", "/var/runtime/bootstrap.pyc", "/usr/lib/new", "/etc/passwd", "/new", "/dev/new"):
        assert await attack(sandbox, "write", path) == ["refused", "EROFS"]
    assert await attack(sandbox, "write", "/tmp/new") == ["did", 1]
    # Without read-only mounts only the owner of the files is in the way.
    folder = without.code.add("open", {"h.py": ATTACKS})
    folder.chmod(0o777)
    environment = await without.sandbox.start(without.spec("open"))
    assert (await ask(environment, ["write", "/var/task/new"]))[1] == ["did", 1]
    assert (folder / "new").exists()


@pytest.mark.parametrize("without", ["storage"], indirect=True)
async def test_tmp_is_as_large_as_it_was_given(sandbox: Bench, without: Bench) -> None:
    options = {"ephemeral_storage_mb": 8, "memory_mb": 128}
    assert await attack(sandbox, "fill", 16, **options) == ["refused", "ENOSPC"]
    assert (await attack(without, "fill", 16, **options))[0] == "did"


async def test_devices_do_nothing(sandbox: Bench, walls_down: Bench) -> None:
    Path("/tmp/disk").unlink(missing_ok=True)
    assert await attack(sandbox, "device") == ["refused", "EPERM"]
    assert (await attack(walls_down, "device")) != ["refused", "EPERM"]  # it was made, whatever it leads to
    Path("/tmp/disk").unlink()


# Processes.


async def test_nobody_else_is_there(sandbox: Bench, walls_down: Bench, neighbour: int) -> None:
    assert await attack(sandbox, "others") == ["did", [1, 2]]
    assert await attack(sandbox, "environ", neighbour) == ["refused", "ENOENT"]
    assert await attack(sandbox, "kill", neighbour) == ["refused", "ESRCH"]
    assert (await attack(sandbox, "trace", neighbour))[0] == "refused"
    assert await attack(walls_down, "environ", neighbour) == ["did", True]
    assert await attack(walls_down, "kill", neighbour) == ["did", None]
    assert await attack(walls_down, "trace", neighbour) == ["did", None]


async def test_the_server_is_out_of_reach(sandbox: Bench, walls_down: Bench) -> None:
    for path in (f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/root/etc/shadow"):
        assert await attack(sandbox, "read", path) == ["refused", "ENOENT"]
        assert (await attack(walls_down, "read", path))[0] == "did"


async def test_process_1_of_the_sandbox_is_out_of_reach(sandbox: Bench) -> None:
    """It holds the control socket. The defences are the kernel's own for process 1, and that it is not dumpable."""
    for path in ("environ", "mem", "maps", "fd", "root/etc/passwd", "fd/3"):
        assert (await attack(sandbox, "read", f"/proc/1/{path}"))[1] in ("EACCES", "EPERM", "ENOENT")
    assert (await attack(sandbox, "trace", 1))[0] == "refused"
    assert await attack(sandbox, "parent") == ["did", 1]


@pytest.mark.parametrize("without", ["processes"], indirect=True)
async def test_a_fork_bomb_is_bounded(sandbox: Bench, without: Bench) -> None:
    options = {"memory_mb": 3008}
    assert await attack(sandbox, "fork_bomb", 1100, **options) == ["refused", "EAGAIN"]
    assert await attack(without, "fork_bomb", 1100, **options) == ["did", 1100]


@pytest.mark.parametrize("without", ["memory"], indirect=True)
async def test_memory_is_limited(sandbox: Bench, without: Bench) -> None:
    """A burst is stopped by the kernel, which kills the largest process; process 1 ends all that are over the limit."""
    options = {"memory_mb": 256, "ephemeral_storage_mb": 8}
    error, answer = await sandbox.call(ATTACKS, ["allocate", 1000], **options)
    assert answer == ["did", 9] if error is None else answer["errorMessage"].endswith("signal: killed")
    assert await attack(without, "allocate", 1000, **options) == ["did", 0]


async def test_nothing_runs_on_after_a_timeout(sandbox: Bench) -> None:
    environment = await sandbox.start(ATTACKS, timeout_s=1.0)
    pid = _host_pid(sandbox)
    error, answer = await ask(environment, ["loop_after_daemon", "/tmp/grows"], timeout_s=0.6)
    assert (error, answer["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert not Path(f"/proc/{pid}").exists()
    _, first = await ask(environment, ["others"])
    assert first == ["did", [1, first[1][1]]]  # process 1 and the new runtime: the daemon is gone
    _, written = await ask(environment, ["read", "/tmp/grows"])
    assert written[0] == "did"  # it did run before that, and /tmp outlived it
    assert set(written[1]) == {"x"}


async def test_what_an_event_leaves_behind_stands_still_between_events(sandbox: Bench) -> None:
    environment = await sandbox.start(ATTACKS)
    await ask(environment, ["daemon", "/tmp/grows"])
    await asyncio.sleep(0.6)
    runtime = _host_pid(sandbox)
    assert Path(f"/proc/{runtime}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    _, others = await ask(environment, ["others"])
    assert len(others[1]) == 3  # and it goes on with the next event


# Privileges.


@pytest.mark.parametrize("without", ["seccomp"], indirect=True)
@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("unshare", [CLONE_NEWUSER]),
        ("unshare", [CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET]),
        ("clone", [CLONE_NEWUSER]),
        ("syscall", [250, 0, -4, 0, 0, 0]),  # keyctl
        ("syscall", [323, 1]),  # userfaultfd
        ("syscall", [425, 1, 0]),  # io_uring_setup
        ("syscall", [310, 1, 0, 0, 0, 0, 0]),  # process_vm_readv
    ],
)
async def test_dangerous_calls_are_filtered(sandbox: Bench, without: Bench, what: str, arguments: list[int]) -> None:
    assert await attack(sandbox, what, *arguments) == ["refused", "EPERM"]
    assert await attack(without, what, *arguments) != ["refused", "EPERM"]


@pytest.mark.parametrize("without", ["seccomp"], indirect=True)
async def test_clone3_is_as_if_it_were_not_there(sandbox: Bench, without: Bench) -> None:
    assert await attack(sandbox, "clone3") == ["refused", "ENOSYS"]
    assert await attack(without, "clone3") == ["refused", "EINVAL"]


@pytest.mark.parametrize("without", ["seccomp"], indirect=True)
async def test_families_of_sockets_are_few(sandbox: Bench, without: Bench) -> None:
    vsock, stream = 40, 1
    assert await attack(sandbox, "socket", vsock, stream) == ["refused", "EAFNOSUPPORT"]
    netlink, raw = 16, 3
    assert (await attack(sandbox, "socket", netlink, raw))[0] == "did"  # lists of interfaces
    alg, seqpacket = 38, 5
    assert await attack(sandbox, "socket", alg, seqpacket) == ["refused", "EAFNOSUPPORT"]


async def test_no_privilege_is_left_and_none_can_be_had(sandbox: Bench, walls_down: Bench) -> None:
    assert await attack(sandbox, "own") == ["did", [993, 1, 2]]
    assert (await attack(sandbox, "mount"))[0] == "refused"
    assert (await attack(walls_down, "unshare", CLONE_NEWNS)) == ["did", None]
    assert await attack(sandbox, "raw_socket") == ["refused", "EPERM"]
    assert await attack(walls_down, "raw_socket") == ["did", None]
    assert (await attack(sandbox, "setuid"))[0] == "refused"
    assert await attack(walls_down, "setuid") == ["did", None]


async def test_setuid_programs_give_nothing(sandbox: Bench) -> None:
    """`id` with the setuid bit says who one is: still the same in the sandbox, root for a user of this machine."""
    folder = sandbox.code.add("setuid", {"h.py": ATTACKS})
    program = folder / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    environment = await sandbox.sandbox.start(sandbox.spec("setuid"))
    assert (await ask(environment, ["setuid_program", "/var/task/id"]))[1] == ["did", "993"]
    assert await asyncio.to_thread(_run_as_nobody, program) == "0"


# Network.


@pytest.mark.parametrize("without", ["network"], indirect=True)
async def test_this_machines_services_are_out_of_reach(
    sandbox: Bench, without: Bench, host_service: tuple[str, int]
) -> None:
    host, port = host_service
    assert await attack(sandbox, "connect", host, port) == ["refused", "ECONNREFUSED"]
    assert await attack(without, "connect", host, port) == ["did", "secret service"]
    assert await attack(sandbox, "interfaces") == ["did", ["lo"]]
    assert await attack(without, "interfaces") != ["did", ["lo"]]


async def test_link_local_metadata_is_out_of_reach(sandbox: Bench) -> None:
    assert (await attack(sandbox, "connect", "169.254.169.254", 80))[0] == "refused"


@pytest.mark.parametrize("without", ["network"], indirect=True)
async def test_a_neighbours_runtime_api_is_out_of_reach(sandbox: Bench, without: Bench, tmp_path: Path) -> None:
    """Each environment has its own 169.254.100.1:9001: a Python function has nobody poll there."""
    waiting = "#!/bin/sh\nsleep 60\n"
    first = asyncio.create_task(_start_custom(sandbox, waiting))
    await asyncio.sleep(0.3)
    answer = await attack(sandbox, "connect", "169.254.100.1", 9001)
    assert "200" not in str(answer[1])
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    other = await asyncio.start_server(lambda _, writer: (writer.write(b"neighbour"), writer.close()), "127.0.0.1", 0)
    async with other:
        port = other.sockets[0].getsockname()[1]
        assert await attack(without, "connect", "127.0.0.1", port) == ["did", "neighbour"]


async def _start_custom(bench: Bench, script: str) -> None:
    await bench.start({"bootstrap": script}, runtime="provided.al2023", handler="h")


def _run_as_nobody(program: Path) -> str:
    """What it says, run with `-u` by a user who may not look into the folders above it."""
    descriptor = os.open(program, os.O_PATH)
    try:
        argv = ["setpriv", "--reuid", "65534", "--clear-groups", f"/proc/self/fd/{descriptor}", "-u"]
        done = subprocess.run(argv, capture_output=True, text=True, pass_fds=[descriptor], check=True)
    finally:
        os.close(descriptor)
    return done.stdout.strip()


def _host_pid(bench: Bench) -> int:
    """The pid on this machine of the runtime of the only environment."""
    (environment,) = bench.sandbox._environments.values()
    return environment._cell.pid
