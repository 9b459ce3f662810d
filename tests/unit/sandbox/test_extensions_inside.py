"""Extensions behind the walls of a sandbox: AWS's own paths, and telemetry that is delivered inside."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lambent.sandbox.isolation import probe
from lambent.sandbox.isolation.launcher import SandboxLauncher
from tests.unit.sandbox.extension_programs import FOLLOWER, layer
from tests.unit.sandbox.support import Bench, ask, wait_until
from tests.unit.sandbox.test_telemetry import OLD_SUBSCRIBER, SUBSCRIBER, said

VERSION = f"python3.{sys.version_info[1]}"


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


def inside(program: str) -> str:
    """The program, run by the interpreter as it is called inside."""
    return f"#!/var/lang/bin/{VERSION} -Su\n" + program.partition("\n")[2]


async def test_extensions_in_a_sandbox(sandbox: Bench) -> None:
    sandbox.code.add("one", layer(follower=inside(FOLLOWER + "say(sys.argv[0], os.getcwd())\n")))
    sandbox.code.add("two", layer(sub=inside(SUBSCRIBER), old=inside(OLD_SUBSCRIBER)))
    source = "import time\ndef handler(e, c): return time.sleep(60) if e == 'sleep' else e\n"
    environment = await sandbox.start(source, runtime=VERSION, layers=("one", "two"), memory_mb=512)
    assert await ask(environment, "x") == (None, "x")
    for name in ("sub", "old"):
        await wait_until(lambda: "platform.report" in [event["type"] for event in said(sandbox, name, "got")])  # noqa: B023
    assert (await ask(environment, "sleep", timeout_s=0.5))[1]["errorType"] == "Sandbox.Timedout"
    assert '"shutdownReason": "timeout"' in sandbox.logs.text or '"shutdownReason":"timeout"' in sandbox.logs.text
    assert "follower /opt/extensions/follower /\n" in sandbox.logs.lines
    assert await ask(environment, "y") == (None, "y")
    await environment.stop("spindown")
    assert "spindown" in sandbox.logs.text
