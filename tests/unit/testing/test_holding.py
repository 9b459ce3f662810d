from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Any

import pytest

from lambent.sandbox.protocol import (
    Environment,
    EnvironmentSpec,
    Invocation,
    InvocationReport,
    Response,
    ShutdownReason,
    StartRefused,
)
from lambent.testing.clock import ClockStuck, VirtualClock
from lambent.testing.holding import Holding

REPORT = InvocationReport(duration_ms=1, billed_duration_ms=1, memory_mb=128, max_memory_used_mb=1)


class Gate:
    """Work that ends when the test says so."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def run(self, work: Callable[[Any], Any], *, key: Hashable | None = None) -> Any:
        await self.open.wait()
        return work(key)

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return await self.run(work)

    async def close(self) -> None:
        pass


class FakeResponse:
    function_error = None
    content_type = "application/json"
    streaming = False

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        yield b"answer"

    async def read(self) -> bytes:
        return b"answer"

    async def report(self) -> InvocationReport:
        await self.ended.wait()
        return REPORT


class FakeEnvironment:
    environment_id = "e"
    alive = True
    initialised = True
    fails = False

    def __init__(self) -> None:
        self.response = FakeResponse()

    async def invoke(self, invocation: Invocation) -> Response:
        if self.fails:
            raise RuntimeError("no")
        return self.response

    async def stop(self, reason: ShutdownReason) -> None:
        pass


class FakeSandbox:
    refuses = False

    def __init__(self) -> None:
        self.environment = FakeEnvironment()

    async def start(self, spec: EnvironmentSpec) -> Environment:
        if self.refuses:
            raise StartRefused("full")
        return self.environment

    async def close(self) -> None:
        pass


SPEC = EnvironmentSpec(
    environment_id="e", account="0", region="r", function_name="f", function_version="1", function_arn="a",
    runtime="python3.13", handler="h", code="c",
)  # fmt: skip
EVENT = Invocation(request_id="r", payload=b"{}", invoked_function_arn="a", deadline_ms=0, timeout_s=3)


async def is_held(clock: VirtualClock) -> str:
    """What holds the clock, empty when nothing does."""
    try:
        await clock.advance(1)
    except ClockStuck as stuck:
        return str(stuck)
    return ""


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(patience_s=0.02)


async def test_a_unit_of_work_holds_the_clock(clock: VirtualClock) -> None:
    gate = Gate()
    database = Holding(clock).database(gate)
    running = asyncio.create_task(database.run(lambda key: key, key="k"))
    reading = asyncio.create_task(database.read(lambda tx: "read"))
    assert "a unit of work" in await is_held(clock)
    gate.open.set()
    assert await asyncio.gather(running, reading) == ["k", "read"]
    assert not await is_held(clock)


async def test_an_event_holds_the_clock_until_its_report(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    environment = await Holding(clock).sandbox(sandbox).start(SPEC)
    response = await environment.invoke(EVENT)
    assert await response.read() == b"answer"
    assert "an event of f" in await is_held(clock)
    sandbox.environment.response.ended.set()
    assert await response.report() is REPORT
    assert not await is_held(clock)


async def test_an_environment_that_is_stopped_holds_nothing(clock: VirtualClock) -> None:
    environment = await Holding(clock).sandbox(FakeSandbox()).start(SPEC)
    await environment.invoke(EVENT)
    await environment.stop("failure")
    assert not await is_held(clock)


async def test_failures_hold_nothing(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    held = Holding(clock).sandbox(sandbox)
    environment = await held.start(SPEC)
    sandbox.environment.fails = True
    with pytest.raises(RuntimeError):
        await environment.invoke(EVENT)
    sandbox.refuses = True
    with pytest.raises(StartRefused):
        await held.start(SPEC)
    assert not await is_held(clock)
