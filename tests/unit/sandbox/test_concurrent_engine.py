"""The engine with real environments that serve several events at once."""

from __future__ import annotations

import asyncio

import msgspec

from lambent.core.clock import SystemClock
from lambent.execution.engine import LocalEngine
from lambent.execution.model import EnvironmentCredentials
from tests.unit.execution.fakes import function, host, request
from tests.unit.sandbox.support import Bench
from tests.unit.sandbox.test_concurrent_python import HANDLER


async def test_a_burst_of_events_runs_in_the_environments_that_it_needs(bench: Bench) -> None:
    bench.code.add("package", {"h.py": HANDLER})
    clock = SystemClock()
    lambent = LocalEngine(
        bench.sandbox,
        clock=clock,
        endpoint_url=lambda: "",
        mint_credentials=lambda _: EnvironmentCredentials(variables={}, revoke=lambda: None),
        host=host(clock),
    )
    version = function(
        runtime="python3.11",
        handler="h.handler",
        code="package",
        log_group="/aws/lambda/f",
        max_concurrency=4,
        timeout_s=10.0,
        memory_mb=512,
    )

    async def call(n: int) -> int:
        result = await lambent.invoke(version, request(f"r{n}", b'{"sleep": 0.5}'))
        answer = msgspec.json.decode(await result.read())
        assert answer["id"] == f"r{n}"
        return int(answer["pid"])

    try:
        pids = await asyncio.gather(*(call(n) for n in range(8)))
        assert len(set(pids)) == 8
        assert lambent.environments()[version.arn]["idle"] == 2
        again = [await call(n) for n in range(3)]
        assert set(again) <= set(pids)
        assert sum(lambent.environments()[version.arn].values()) == 2
    finally:
        await lambent.drain(1)
