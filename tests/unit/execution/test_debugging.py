"""Whose events stop in a debugger, in what order, and what ends them: over an engine and ports that only pretend."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from lambent.core.operations import Scope
from lambent.execution.debugging import TIME_LIMIT_S, Debugging, PortTaken, Wish
from lambent.execution.model import FunctionVersion, InvokeRequest, InvokeResult
from lambent.sandbox.protocol import CannotRun, InvocationReport

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
FUNCTION = FunctionVersion(
    key="f#1",
    scope=Scope(account="000000000000", region="us-east-1"),
    name="f",
    version="$LATEST",
    arn=ARN,
    runtime="python3.13",
    handler="h.handler",
    code="0" * 64,
    max_concurrency=8,
    initialization_type="lambda-managed-instances",
)
REQUEST = InvokeRequest(request_id="1", payload=b"{}", invoked_function_arn=ARN)
REPORT = InvocationReport(duration_ms=1, billed_duration_ms=1, memory_mb=128, max_memory_used_mb=1)


class FakeResult:
    streaming = False
    function_error = None
    content_type = "application/json"

    async def report(self) -> InvocationReport:
        return REPORT


class FakeEngine:
    """Events run until the test answers them, in the order in which they came."""

    def __init__(self) -> None:
        self.running: list[tuple[FunctionVersion, asyncio.Future[InvokeResult]]] = []
        self.retired: list[str] = []
        self.came = asyncio.Event()

    async def invoke(self, function: FunctionVersion, request: InvokeRequest) -> InvokeResult:
        answer: asyncio.Future[InvokeResult] = asyncio.get_running_loop().create_future()
        self.running.append((function, answer))
        self.came.set()
        return await answer

    def retire(self, key: str) -> None:
        self.retired.append(key)

    async def next(self, number: int) -> FunctionVersion:
        while len(self.running) <= number:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 5)
        return self.running[number][0]

    def answer(self, number: int) -> None:
        self.running[number][1].set_result(cast(InvokeResult, FakeResult()))


class FakePort:
    debugger = "debugpy"
    folder = "/var/task"

    def __init__(self, engine: FakeEngine, port: int) -> None:
        self.id = f"port-{port}"
        self.port = port
        self.attached = self.closed = False
        self.ends = self.freed = 0
        self._engine = engine

    async def wait_environment(self) -> None: ...
    async def wait_attached(self) -> None: ...

    def free(self) -> None:
        self.freed += 1

    async def end(self) -> None:
        """The environment ends, and its event fails."""
        self.ends += 1
        for _, answer in self._engine.running:
            if not answer.done():
                answer.set_result(cast(InvokeResult, FakeResult()))

    async def close(self) -> None:
        self.closed = True


class FakePorts:
    def __init__(self, engine: FakeEngine) -> None:
        self.opened: list[FakePort] = []
        self._engine = engine

    async def open(self, debugger: str, port: int) -> FakePort:
        if port == 1:
            raise OSError("taken")
        self.opened.append(FakePort(self._engine, port or 5678))
        return self.opened[-1]


def debugger_for(runtime: str) -> str:
    if runtime != "python3.13":
        raise CannotRun("no debugger")
    return "debugpy"


class Bench:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.ports = FakePorts(self.engine)
        self.debugging = Debugging(self.engine, self.ports, debugger_for=debugger_for)
        self.told: list[Any] = []

    def invoke(self, wish: bool = False, port: int = 0) -> asyncio.Task[InvokeResult]:
        wanted = Wish(port=port, on_open=self.told.append) if wish else None
        return asyncio.ensure_future(self.debugging.invoke(FUNCTION, REQUEST, wanted))


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_one_event_has_an_environment_of_its_own(bench: Bench) -> None:
    event = bench.invoke(wish=True)
    function = await bench.engine.next(0)
    assert function.key.startswith("f#1#debug-")
    assert (function.timeout_s, function.debug_port, function.concurrent) == (TIME_LIMIT_S, "port-5678", False)
    assert bench.told == bench.ports.opened
    bench.engine.answer(0)
    assert isinstance(await event, FakeResult)
    await bench.debugging.close()
    assert bench.engine.retired == [function.key]
    assert bench.ports.opened[0].closed


async def test_a_switch_lets_events_in_one_by_one(bench: Bench) -> None:
    await bench.debugging.switch_on(FUNCTION, 0)
    assert bench.debugging.wants(ARN)
    first, second = bench.invoke(), bench.invoke()
    one = await bench.engine.next(0)
    assert len(bench.engine.running) == 1
    bench.engine.answer(0)
    await first
    two = await bench.engine.next(1)
    assert one.key != two.key
    assert one.debug_port == two.debug_port
    bench.engine.answer(1)
    await second
    await bench.debugging.close()
    assert bench.ports.opened[0].freed == 2


async def test_switching_on_again_keeps_or_changes_the_port(bench: Bench) -> None:
    first = await bench.debugging.switch_on(FUNCTION, 0)
    assert await bench.debugging.switch_on(FUNCTION, 0) is first
    second = await bench.debugging.switch_on(FUNCTION, 7000)
    assert second.port == 7000
    assert bench.ports.opened[0].closed
    with pytest.raises(PortTaken, match="port 1 of this machine is taken"):
        await bench.debugging.switch_on(FUNCTION, 1)


async def test_switching_off_ends_the_event_that_waits_and_lets_the_others_run(bench: Bench) -> None:
    await bench.debugging.switch_on(FUNCTION, 0)
    first, second = bench.invoke(), bench.invoke()
    await bench.engine.next(0)
    assert await bench.debugging.switch_off(ARN)
    await first
    assert (await bench.engine.next(1)).key == "f#1"  # as always
    bench.engine.answer(1)
    await second
    assert not await bench.debugging.switch_off(ARN)
    assert bench.ports.opened[0].closed


async def test_an_event_without_its_caller_ends_unless_somebody_debugs_it(bench: Bench) -> None:
    waiting = bench.invoke(wish=True)
    await bench.engine.next(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert bench.ports.opened[0].ends == 1

    attached = bench.invoke(wish=True)
    await bench.engine.next(1)
    bench.ports.opened[1].attached = True
    attached.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attached
    assert bench.ports.opened[1].ends == 0
    assert not bench.ports.opened[1].closed
    bench.engine.answer(1)
    await bench.debugging.close()


async def test_an_event_that_waits_for_its_turn_may_be_given_up(bench: Bench) -> None:
    await bench.debugging.switch_on(FUNCTION, 0)
    first, second = bench.invoke(), bench.invoke()
    await bench.engine.next(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    bench.engine.answer(0)
    await first
    await bench.debugging.close()
    assert len(bench.engine.running) == 1


async def test_the_end_of_the_server_is_told_to_callers(bench: Bench) -> None:
    await bench.debugging.switch_on(FUNCTION, 0)
    events = [bench.invoke(), bench.invoke(wish=True, port=7000)]
    await bench.engine.next(1)
    await bench.debugging.close()
    assert [isinstance(await event, FakeResult) for event in events] == [True, True]
    assert all(port.closed and port.ends for port in bench.ports.opened)


async def test_what_has_no_debugger_and_ports_that_are_taken(bench: Bench) -> None:
    with pytest.raises(PortTaken):
        await bench.invoke(wish=True, port=1)
    native = FunctionVersion(
        key="n", scope=FUNCTION.scope, name="n", version="1", arn="n", runtime="provided", handler="x", code="0"
    )
    with pytest.raises(CannotRun):
        await bench.debugging.invoke(native, REQUEST, Wish(on_open=bench.told.append))
    assert not bench.told
