"""SnapStart on one machine: environments that are forked from a version's initialised process."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lambent.sandbox.isolation import probe
from lambent.sandbox.isolation.launcher import SandboxLauncher
from lambent.sandbox.protocol import Environment, RestoreFailed, SnapshotFailed
from tests.unit.sandbox.support import Bench, ask, invoke, python_versions

PYTHON = next((version for version in reversed(python_versions()) if version >= "python3.12"), "python3.11")
OPTIONS = {
    "runtime": PYTHON,
    "function_version": "1",
    "initialization_type": "snap-start",
    "snapshot": "arn#1",
    "memory_mb": 256,
}

HEAVY = """
import os, random, sys, tempfile, time, uuid
time.sleep(0.5)
INIT = uuid.uuid4().hex
RANDOM = [random.random() for _ in range(3)]
open(os.path.join(tempfile.gettempdir(), "model"), "w").write("weights")
os.environ["SET_BY_INIT"] = "yes"
def handler(event, context):
    names = ("AWS_ACCESS_KEY_ID", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_INITIALIZATION_TYPE", "SET_BY_INIT")
    print("handled")
    return {
        "init": INIT, "before": RANDOM, "now": random.random(), "stream": context.log_stream_name,
        "model": open(os.path.join(tempfile.gettempdir(), "model")).read(),
        "private": [name for name in os.environ if name.startswith("_LAMBENT")],
        **{name: os.environ.get(name) for name in names},
    }
"""


@pytest.fixture(scope="module")
def ability() -> probe.Ability:
    return asyncio.run(probe.probe())


@pytest.fixture(params=["process", "sandbox"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path, ability: probe.Ability) -> AsyncIterator[Bench]:
    if request.param == "process":
        bench = Bench(tmp_path)
    elif ability.lack is not None:
        pytest.skip(f"no sandboxes on this machine: {ability.lack.what}")
    else:
        bench = Bench(tmp_path, launcher=SandboxLauncher(prepared=0), sandboxed=True)
    yield bench
    await bench.sandbox.close()


async def snapshot(bench: Bench, source: str, **options: object) -> str:
    bench.code.add("function", {"h.py": source})
    return await bench.sandbox.take_snapshot(bench.spec(**{**OPTIONS, "log_stream": "zygote", **options}))


async def restore(bench: Bench, **options: object) -> Environment:
    return await bench.sandbox.start(bench.spec(**{**OPTIONS, **options}))


async def test_environments_share_an_init_and_nothing_else(bench: Bench) -> None:
    assert await snapshot(bench, HEAVY) == ""
    first = await restore(bench, log_stream="a", credentials={"AWS_ACCESS_KEY_ID": "FIRST"})
    second = await restore(bench, log_stream="b", credentials={"AWS_ACCESS_KEY_ID": "SECOND"})
    (_, one), (_, two) = await ask(first), await ask(second)
    assert one["init"] == two["init"]
    assert one["before"] == two["before"]
    assert one["now"] != two["now"]
    assert (one["AWS_ACCESS_KEY_ID"], two["AWS_ACCESS_KEY_ID"]) == ("FIRST", "SECOND")
    assert (one["stream"], two["stream"]) == ("a", "b")
    assert one["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start"
    assert one["SET_BY_INIT"] == "yes"
    assert one["model"] == two["model"] == "weights"
    assert one["private"] == []


async def test_restores_are_logged_as_aws_logs_them(bench: Bench) -> None:
    await snapshot(bench, HEAVY)
    environment = await restore(bench)
    response = await invoke(environment)
    report = await response.report()
    assert report.init_duration_ms is not None
    assert report.init_duration_ms < 500
    starts = [line for line in bench.logs.lines if line.startswith(("INIT_START", "RESTORE_START"))]
    assert [line.split(" ")[0] for line in starts] == ["INIT_START", "RESTORE_START"]
    assert any(line.startswith("RESTORE_REPORT Restore Duration: ") for line in bench.logs.lines)
    [line] = [line for line in bench.logs.lines if line.startswith("REPORT")]
    assert "\tRestore Duration: " in line
    assert "\tBilled Restore Duration: " in line
    assert "Init Duration" not in line
    assert "handled\n" in bench.logs.lines


HOOKS = """
import snapshot_restore_py as hooks
SEEN = []
hooks.register_before_snapshot(SEEN.append, "before 1")
@hooks.register_before_snapshot
def before():
    SEEN.append("before 2")
hooks.register_after_restore(SEEN.append, "after 1")
hooks.register_after_restore(lambda text: SEEN.append(text), text="after 2")
def handler(event, context):
    return SEEN
"""


async def test_hooks_run_in_the_order_of_aws(bench: Bench) -> None:
    await snapshot(bench, HOOKS)
    for _ in range(2):
        assert (await ask(await restore(bench)))[1] == ["before 2", "before 1", "after 1", "after 2"]


async def test_hooks_run_without_a_snapshot_too(bench: Bench) -> None:
    bench.code.add("function", {"h.py": HOOKS})
    assert (await ask(await restore(bench)))[1] == ["before 2", "before 1", "after 1", "after 2"]
    assert not any("RESTORE" in line for line in bench.logs.lines)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='pump', daemon=True).start()",
            "pump",
        ),
        ("import subprocess\nCHILD = subprocess.Popen(['sleep', '60'])", "processes running"),
        ("import asyncio\nLOOP = asyncio.new_event_loop()", "event loop"),
    ],
)
async def test_what_cannot_be_forked_is_started_each_time_and_says_so(bench: Bench, source: str, reason: str) -> None:
    source += "\ndef handler(event, context):\n    return 'fine'\n"
    assert reason in await snapshot(bench, source)
    assert bench.sandbox.has_snapshot("arn#1")
    assert await ask(await restore(bench, log_stream="plain")) == (None, "fine")
    lines = [event.message for _, stream, event in bench.logs.events if stream == "plain"]
    assert any("SnapStart takes no snapshot" in line and reason in line for line in lines)


@pytest.fixture(scope="module")
def numpy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with numpy for the version of Python that is used here."""
    folder = tmp_path_factory.mktemp("numpy")
    folder.chmod(0o755)  # environments run as other users
    argv = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(folder)]
    argv += ["--python-version", PYTHON.removeprefix("python"), "--only-binary", ":all:", "numpy"]
    if subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("numpy cannot be installed here: pip reaches no package index")
    return folder


async def test_numpy_can_be_forked(bench: Bench, numpy: Path) -> None:
    """Its OpenBLAS would start threads of its own."""
    source = (
        "import numpy\ndef handler(e, c):\n"
        "    return [float((numpy.ones((9, 9)) @ numpy.ones(9)).sum()), numpy.random.rand()]\n"
    )
    shutil.copytree(numpy, bench.code.add("function", {}), dirs_exist_ok=True)
    assert await snapshot(bench, source) == ""
    answers = [(await ask(await restore(bench)))[1] for _ in range(2)]
    assert [total for total, _ in answers] == [81.0, 81.0]
    assert answers[0][1] != answers[1][1]


async def test_a_failing_init_fails_the_snapshot(bench: Bench) -> None:
    with pytest.raises(SnapshotFailed, match="no model"):
        await snapshot(bench, "raise RuntimeError('no model')\n")
    assert not bench.sandbox.has_snapshot("arn#1")


async def test_a_failing_before_hook_fails_the_snapshot(bench: Bench) -> None:
    source = "import snapshot_restore_py as h\nh.register_before_snapshot(lambda: 1 / 0)\ndef handler(e, c): pass\n"
    with pytest.raises(SnapshotFailed) as caught:
        await snapshot(bench, source)
    assert caught.value.error_type == "Runtime.BeforeSnapshotError"


async def test_a_failing_after_hook_fails_the_restore(bench: Bench) -> None:
    source = "import snapshot_restore_py as h\nh.register_after_restore(lambda: 1 / 0)\ndef handler(e, c): pass\n"
    assert await snapshot(bench, source) == ""
    with pytest.raises(RestoreFailed, match=r"Runtime\.AfterRestoreError"):
        await restore(bench)
    assert any("RESTORE_REPORT" in line and "Status: error" in line for line in bench.logs.lines)


async def test_an_environment_is_reset_from_the_snapshot(bench: Bench) -> None:
    source = "import os, uuid\nINIT = uuid.uuid4().hex\ndef handler(e, c):\n    if e: os._exit(3)\n    return INIT\n"
    await snapshot(bench, source)
    environment = await restore(bench)
    _, first = await ask(environment)
    error, told = await ask(environment, "end")
    assert error == "Unhandled"
    assert "exit status 3" in told["errorMessage"]
    assert await ask(environment) == (None, first)


async def test_environments_outlive_their_snapshot(bench: Bench) -> None:
    source = "import uuid\nINIT = uuid.uuid4().hex\ndef handler(e, c): return INIT\n"
    await snapshot(bench, source)
    old = await restore(bench)
    _, first = await ask(old)
    bench.sandbox.drop_snapshot("arn#1")
    assert not bench.sandbox.has_snapshot("arn#1")
    assert await ask(old) == (None, first)
    _, fresh = await ask(await restore(bench))
    assert fresh != first
    assert await snapshot(bench, source) == ""
    await old.stop("spindown")


async def test_connections_of_the_init_are_closed_in_its_environments(bench: Bench) -> None:
    source = (
        "import socket\nONE, OTHER = socket.socketpair()\nOTHER.sendall(b'secret')\n"
        "def handler(e, c): return ONE.recv(10).decode()\n"
    )
    await snapshot(bench, source)
    assert await ask(await restore(bench)) == (None, "")
