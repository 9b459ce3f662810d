"""AWS's own Python client, unmodified, runs several events at once here as on AWS's managed instances."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("awslambdaric")

from tests.unit.sandbox.support import Bench, ask, invocation, wait_until
from tests.unit.sandbox.test_awslambdaric import BOOTSTRAP
from tests.unit.sandbox.test_concurrent_python import HANDLER


async def test_awss_client_serves_by_processes(bench: Bench, tmp_path: Path) -> None:
    environment = await bench.start(
        {"bootstrap": BOOTSTRAP, "h.py": HANDLER},
        runtime="provided.al2023",
        max_concurrency=3,
        initialization_type="lambda-managed-instances",
        log_format="JSON",
    )
    await wait_until(lambda: environment.places == 3)
    folder = tmp_path / "meeting"
    folder.mkdir()
    events = [invocation({"meet": 3, "folder": str(folder)}, trace_id=f"Root={n}") for n in range(3)]
    responses = await asyncio.gather(*(environment.invoke(event) for event in events))
    answers = [msgspec.json.decode(await response.read()) for response in responses]
    assert len({answer["pid"] for answer in answers}) == 3
    assert [(answer["id"], answer["trace"]) for answer in answers] == [(e.request_id, e.trace_id) for e in events]
    assert (await ask(environment, {"fail": 1}))[1]["errorType"] == "ValueError"
    assert (await ask(environment, {"sleep": 60}, timeout_s=0.3))[1]["errorType"] == "Sandbox.Timedout"
    assert (await ask(environment, {}))[0] is None


async def test_awss_client_tells_of_one_failed_init_only(bench: Bench) -> None:
    environment = await bench.start(
        {"bootstrap": BOOTSTRAP, "h.py": "raise KeyError('k')"},
        runtime="provided.al2023",
        max_concurrency=2,
        initialization_type="lambda-managed-instances",
    )
    assert (await ask(environment, {}))[1]["errorType"] == "KeyError"
    assert not environment.alive
