"""Nothing outlives its environment: not daemons, not after the server, the launcher or a supervisor was killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from lambent.sandbox import launcher, launcher_process
from lambent.sandbox.launcher import ProcessLauncher
from lambent.sandbox.protocol import StartRefused
from tests.unit.sandbox.support import Bench, alive, ask, invoke, wait_until

# Starts: a child, a child in its own session, and a daemon that has left parent, session and process group.
FAMILY = """
import os, signal, subprocess, sys, time
def handler(e, c):
    pids = [os.getpid()]
    pids.append(subprocess.Popen(["sleep", "300"]).pid)
    pids.append(subprocess.Popen(["sleep", "300"], start_new_session=True).pid)
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.environ.clear()
            os.write(write_end, str(os.getpid()).encode())
            os.execv("/bin/sleep", ["innocent", "300"])
        os._exit(0)
    os.wait()
    pids.append(int(os.read(read_end, 20)))
    if e == "exit": os._exit(1)
    if e == "write": open(sys.argv[0] and os.environ["TMPDIR"] + "/pids", "w").write(repr(pids))
    if e in ("sleep", "write"): time.sleep(300)
    return pids
"""


async def family(bench: Bench) -> tuple[object, list[int]]:
    environment = await bench.start(FAMILY)
    error, pids = await ask(environment)
    assert error is None
    assert len(pids) == 4
    assert all(map(alive, pids))
    return environment, pids


async def test_stop(bench: Bench) -> None:
    environment, pids = await family(bench)
    await environment.stop("spindown")  # type: ignore[attr-defined]
    assert not any(map(alive, pids))
    await environment.stop("spindown")  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="has ended"):
        await invoke(environment)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["exit", "sleep"])
async def test_crash_and_timeout(bench: Bench, how: str) -> None:
    environment, pids = await family(bench)
    error, _ = await ask(environment, how, timeout_s=2 if how == "exit" else 0.5)  # type: ignore[arg-type]
    assert error == "Unhandled"
    assert not any(map(alive, pids))
    assert _children_of_launchers(bench) <= 1  # the supervisor alone


def _launcher(bench: Bench) -> psutil.Process:
    launcher = bench.sandbox._launcher
    assert isinstance(launcher, ProcessLauncher)
    assert launcher._process is not None
    return psutil.Process(launcher._process.pid)


def _children_of_launchers(bench: Bench) -> int:
    return len([child for child in _launcher(bench).children(recursive=True) if child.status() != "zombie"])


async def test_start_while_closing(tmp_path: Path) -> None:
    others = psutil.Process().children()
    bench = Bench(tmp_path)
    bench.code.add("x", {"h.py": "def handler(e, c): pass\n"})
    await bench.sandbox.start(bench.spec("x"))
    results = await asyncio.gather(
        *(bench.sandbox.start(bench.spec("x")) for _ in range(3)), bench.sandbox.close(), return_exceptions=True
    )
    for result in results[:3]:
        assert isinstance(result, StartRefused) or not result.alive  # type: ignore[union-attr]
    with pytest.raises(StartRefused):
        await bench.sandbox.start(bench.spec("x"))
    assert set(psutil.Process().children()) <= set(others)


def test_kernels_without_children_files(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert child.pid in launcher_process.children(os.getpid())
        monkeypatch.setattr(launcher_process, "_HAS_CHILDREN_FILES", False)
        assert child.pid in launcher_process.children(os.getpid())
        assert child.pid in launcher_process.descendants(os.getppid())
    finally:
        child.kill()
        child.wait()


async def test_close_ends_all(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    _, first = await family(bench)
    _, second = await family(bench)
    launcher = _launcher(bench)
    everybody = [launcher, *launcher.children(recursive=True)]
    assert {process.pid for process in everybody} >= {*first, *second}
    await bench.sandbox.close()
    await wait_until(lambda: not any(alive(process.pid) for process in everybody))


async def test_killed_launcher(bench: Bench) -> None:
    environment, pids = await family(bench)
    launcher = _launcher(bench)
    launcher.kill()
    await wait_until(lambda: not alive(launcher.pid))
    # What runs goes on, and its end is as clean as ever; a new launcher is started when one is needed.
    assert (await ask(environment))[0] is None  # type: ignore[arg-type]
    assert await bench.call("def handler(e, c): return 1\n") == (None, 1)
    await environment.stop("spindown")  # type: ignore[attr-defined]
    assert not any(map(alive, pids))


async def test_killed_supervisor(bench: Bench) -> None:
    environment, pids = await family(bench)
    supervisor = psutil.Process(pids[0]).parent()
    assert supervisor is not None
    running = asyncio.create_task(ask(environment, "sleep"))  # type: ignore[arg-type]
    await asyncio.sleep(0.3)
    supervisor.kill()
    error, body = await running
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.ExitError")
    await wait_until(lambda: not any(map(alive, pids)))
    assert not environment.alive  # type: ignore[attr-defined]
    _, body = await ask(environment)  # type: ignore[arg-type]
    assert body["errorType"] == "Runtime.ExitError"


async def test_stopped_supervisor(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function can stop the process that is to end it: it gets its answer and its end all the same."""
    monkeypatch.setattr(launcher, "_OBEY_S", 0.2)
    source = (
        "import os, signal, time\ndef handler(e, c):\n    os.kill(os.getppid(), signal.SIGSTOP)\n    time.sleep(e)\n"
    )
    environment = await bench.start(source)
    pid = environment._cell.pid
    error, body = await ask(environment, 60, timeout_s=0.3)
    assert (error, body["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert not environment.alive
    idle = await bench.start(source)
    assert await ask(idle, 0) == (None, None)
    await idle.stop("spindown")
    await wait_until(lambda: _children_of_launchers(bench) == 0)
    assert not alive(pid)


SERVER = """
import asyncio, psutil, sys
from pathlib import Path
from tests.unit.sandbox.support import Bench, invoke
FAMILY = {family!r}
async def main():
    bench = Bench(Path(sys.argv[1]))
    environments = [await bench.start(FAMILY) for _ in range(3)]
    supervisor = psutil.Process(environments[0]._cell.pid).parent()
    supervisor.suspend()  # as a function can
    await asyncio.gather(*(invoke(environment, "write", timeout_s=100) for environment in environments))
asyncio.run(main())
"""


async def test_killed_server_leaves_no_process_behind(tmp_path: Path) -> None:
    """SIGKILL to the server alone, while environments run events."""
    root = Path(__file__).parents[3]
    server = subprocess.Popen(  # noqa: ASYNC220 - forks nothing and is waited for below
        [sys.executable, "-c", textwrap.dedent(SERVER).format(family=FAMILY), str(tmp_path)],
        cwd=root,
        start_new_session=True,
    )
    try:
        await wait_until(lambda: len(_written(tmp_path)) == 3, 30)
        everybody = psutil.Process(server.pid).children(recursive=True)
        pids = [pid for text in _written(tmp_path) for pid in eval(text)]
        assert {process.pid for process in everybody} >= set(pids)
        assert len(everybody) == 3 * 4 + 3 + 1  # families, supervisors, launcher
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    await wait_until(lambda: not any(alive(process.pid) for process in everybody))
    # The folders that it left are removed by the next one on the same data.
    left = list((tmp_path / "work" / "environments").iterdir())
    assert len(left) == 1
    bench = Bench(tmp_path)
    await bench.call("def handler(e, c): pass\n")
    assert not left[0].exists()
    await bench.sandbox.close()


def _written(root: Path) -> list[str]:
    texts = [path.read_text() for path in root.glob("work/environments/*/*/tmp/pids")]
    return [text for text in texts if text.endswith("]")]


async def test_fork_bomb(bench: Bench) -> None:
    """Processes that fork faster than one sweep kills them."""
    source = (
        "import os, time\n"
        "def handler(e, c):\n"
        "    for _ in range(4):\n"
        "        if os.fork() == 0:\n"
        "            end = time.monotonic() + 20\n"
        "            while time.monotonic() < end:\n"
        "                if os.fork():\n"
        "                    os._exit(0)\n"
        "            os._exit(0)\n"
        "    time.sleep(20)\n"
    )
    environment = await bench.start(source)
    error, body = await ask(environment, timeout_s=0.5)
    assert (error, body["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert _children_of_launchers(bench) <= 1


async def test_many_environments_at_once(bench: Bench) -> None:
    source = "import os\ndef handler(e, c): return os.getpid()\n"
    bench.code.add("many", {"h.py": source})
    environments = await asyncio.gather(*(bench.sandbox.start(bench.spec("many")) for _ in range(20)))
    answers = await asyncio.gather(*(ask(environment) for environment in environments))
    assert len({pid for _, pid in answers}) == 20
    before = len(os.listdir("/proc/self/fd"))
    await asyncio.gather(*(environment.stop("spindown") for environment in environments))
    # Four descriptors of each: supervisor, channel, output, the listener of the APIs.
    assert before - len(os.listdir("/proc/self/fd")) == 20 * 4
    with contextlib.suppress(psutil.NoSuchProcess):
        await wait_until(lambda: _children_of_launchers(bench) == 0)


async def test_what_an_event_leaves_running_is_watched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that grows behind the back of an answered event."""
    script = bench.root / "launcher_process.py"
    text = Path(launcher_process.__file__).read_text()
    script.write_text(text.replace("IDLE_WATCH_INTERVAL_MS = 5000", "IDLE_WATCH_INTERVAL_MS = 100"))
    monkeypatch.setattr(launcher_process, "__file__", str(script))
    source = (
        "import os, time\n"
        "def handler(e, c):\n"
        "    if os.fork() == 0:\n"
        "        kept = []\n"
        "        while True:\n"
        "            kept.append(b'x' * 10_000_000)\n"
        "            time.sleep(0.02)\n"
        "    return os.getpid()\n"
    )
    environment = await bench.start(source)
    _, pid = await ask(environment)
    await wait_until(lambda: environment._generation is None)
    assert not alive(pid)
    error, again = await ask(environment)
    assert (error, again != pid) == (None, True)
