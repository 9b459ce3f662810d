"""Several events at once behind the walls of a sandbox, where the platform is reached by the address that AWS uses."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from tests.unit.sandbox import test_concurrent_node, test_concurrent_python
from tests.unit.sandbox.support import Bench, ask, wait_until
from tests.unit.sandbox.test_extensions_inside import _able, sandbox  # noqa: F401 - fixtures

VERSION = f"python3.{sys.version_info[1]}"
RUNTIMES = [
    (VERSION, {"h.py": test_concurrent_python.HANDLER}),
    ("nodejs24.x", {"h.js": test_concurrent_node.HANDLER}),
]


@pytest.mark.parametrize(("runtime", "files"), RUNTIMES)
async def test_events_run_at_once_in_a_sandbox(sandbox: Bench, runtime: str, files: dict[str, Any]) -> None:  # noqa: F811
    environment = await sandbox.start(
        files,
        runtime=runtime,
        memory_mb=512,
        max_concurrency=3,
        initialization_type="lambda-managed-instances",
        environment={"AWS_LAMBDA_NODEJS_WORKER_COUNT": "2"},
    )
    await wait_until(lambda: environment.places == 3)
    outcomes = await asyncio.gather(
        ask(environment, {"sleep": 5 if runtime == VERSION else 5000}, timeout_s=0.4),
        ask(environment, {"fail": 1}),
        ask(environment, {}, request_id="well"),
    )
    assert [error for error, _ in outcomes] == ["Unhandled", "Unhandled", None]
    assert outcomes[0][1]["errorType"] == "Sandbox.Timedout"
    assert outcomes[2][1]["id"] == "well"
    assert environment.alive
    error, answer = await ask(environment, {"exit": 1})
    assert (error, answer["errorType"]) == ("Unhandled", "Runtime.ExitError")


async def test_the_kernel_ends_the_process_that_takes_too_much_memory(sandbox: Bench) -> None:  # noqa: F811
    environment = await sandbox.start(test_concurrent_python.GROWS, runtime=VERSION, memory_mb=128, max_concurrency=2)
    await wait_until(lambda: environment.places == 2)
    (_, waited), (error, answer) = await asyncio.gather(ask(environment, "wait"), ask(environment, "grow"))
    assert (error, answer["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert waited == "waited"
    assert environment.places == 1
