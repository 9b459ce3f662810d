from __future__ import annotations

import asyncio

import pytest

from lambent.core.limits import MIB
from lambent.execution.admission import HostRules
from lambent.execution.engine import LocalEngine
from lambent.execution.host import HostReading
from lambent.execution.model import Throttled
from lambent.sandbox.protocol import CannotRun, Invocation, StartRefused, StreamBroken
from lambent.testing.clock import VirtualClock
from tests.unit.execution.fakes import (
    PLENTY,
    RULES,
    SCOPE,
    FakeEnvironment,
    FakeResponse,
    FakeSandbox,
    Gate,
    engine,
    function,
    host,
    request,
)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def run(lambent: LocalEngine, **changes: object) -> bytes:
    return await (await lambent.invoke(function(**changes), request())).read()


def environments(lambent: LocalEngine) -> dict[str, int]:
    [entry] = lambent.status()["functions"]  # type: ignore[misc]
    return {state: count for state, count in entry["environments"].items() if count}  # type: ignore[attr-defined]


async def test_the_environment_is_told_all_about_the_function(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock)
    version = function(version="7", role_arn="arn:aws:iam::1:role/r", memory_mb=512, timeout_s=9.0, layers=("aa",))
    await lambent.invoke(version, request(trace_id="Root=1", client_context="{}", streaming=True))
    [environment] = sandbox.environments
    spec = environment.spec
    assert spec.environment_id == "env-0"
    assert (spec.account, spec.region, spec.function_arn) == (SCOPE.account, SCOPE.region, version.arn)
    assert (spec.memory_mb, spec.timeout_s, spec.layers, spec.code) == (512, 9.0, ("aa",), "00")
    assert spec.log_stream == "2026/01/01/[7]" + "ab" * 16
    assert spec.credentials == {"AWS_ACCESS_KEY_ID": "arn:aws:iam::1:role/r"}
    assert spec.endpoint_url == "http://localhost:4566"
    [invocation] = environment.invocations
    assert invocation.deadline_ms == int((clock.now() + 9) * 1000)
    assert (invocation.trace_id, invocation.client_context, invocation.streaming) == ("Root=1", "{}", True)


async def test_the_deadline_counts_from_the_start_of_the_event_not_of_the_environment(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.gate.clear()
    lambent = engine(sandbox, clock)
    waiting = asyncio.ensure_future(run(lambent, timeout_s=3.0))
    await clock.advance(5)
    sandbox.gate.set()
    await waiting
    assert sandbox.environments[0].invocations[0].deadline_ms == int((clock.now() + 3) * 1000)


async def test_a_warm_environment_is_used_again(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock)
    for _ in range(5):
        assert await run(lambent) == b"{}"
    assert len(sandbox.environments) == 1
    counters = lambent.metrics.of(function().arn)
    assert (counters.invocations, counters.cold_starts, counters.errors) == (5, 1, 0)
    assert counters.durations.count == 5
    assert counters.inits.count == 1


async def test_the_one_used_last_serves_first(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, clock)
    events = [asyncio.ensure_future(run(lambent)) for _ in range(2)]
    await gate.wait_running(2)
    gate.open.set()
    await asyncio.gather(*events)
    for _ in range(3):
        await run(lambent)
    assert sorted(len(environment.invocations) for environment in sandbox.environments) == [1, 4]


async def test_versions_do_not_share_environments_nor_do_tenants(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock)
    await lambent.invoke(function(), request())
    await lambent.invoke(function(key="other"), request())
    await lambent.invoke(function(), request(tenant_id="blue"))
    await lambent.invoke(function(), request(tenant_id="blue"))
    assert [len(environment.invocations) for environment in sandbox.environments] == [1, 1, 2]


async def test_an_environment_that_becomes_free_takes_the_event_that_waits_for_a_start(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, clock)
    first = asyncio.ensure_future(run(lambent))
    await gate.wait_running(1)
    sandbox.gate.clear()
    second = asyncio.ensure_future(run(lambent))
    await clock.settle()
    assert len(sandbox.specs) == 2
    gate.open.set()
    await asyncio.gather(first, second)
    assert len(sandbox.environments) == 1  # the second event did not wait for its start
    sandbox.gate.set()
    await clock.settle()
    assert environments(lambent) == {"idle": 2}


async def test_one_after_the_other_needs_one_environment_though_it_is_ready_late(clock: VirtualClock) -> None:
    responses: list[FakeResponse] = []

    async def answers_early(environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
        response = FakeResponse([b"1"])
        response.ready.clear()
        responses.append(response)
        return response

    sandbox = FakeSandbox(answers_early)
    lambent = engine(sandbox, clock)
    lambent.set_reserved_concurrency(function().arn, 1)
    assert await run(lambent) == b"1"
    assert environments(lambent) == {"finishing": 1}
    second = asyncio.ensure_future(run(lambent))
    await clock.settle()
    responses[0].ready.set()
    assert await second == b"1"
    assert len(sandbox.specs) == 1


async def test_an_environment_that_takes_long_to_be_ready_is_not_waited_for(clock: VirtualClock) -> None:
    async def never_ready(environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
        response = FakeResponse([b"1"])
        response.ready.clear()
        return response

    sandbox = FakeSandbox(never_ready)
    lambent = engine(sandbox, clock)
    await run(lambent)
    second = asyncio.ensure_future(run(lambent))
    await clock.advance(0.02)
    assert await second == b"1"
    assert len(sandbox.environments) == 2


async def test_a_caller_that_goes_away_does_not_end_the_event(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, clock)
    call = asyncio.ensure_future(run(lambent))
    await gate.wait_running(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.open.set()
    await clock.settle()
    assert sandbox.environments[0].cancelled == 0
    assert environments(lambent) == {"idle": 1}
    counters = lambent.metrics.of(function().arn)
    assert (counters.abandoned, counters.durations.count) == (1, 1)
    await run(lambent)
    assert len(sandbox.environments) == 1


@pytest.mark.parametrize("read_first", [0, 1])
async def test_a_stream_that_nobody_reads_on_is_read_to_its_end(clock: VirtualClock, read_first: int) -> None:
    responses: list[FakeResponse] = []

    async def streams(environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
        responses.append(FakeResponse([b"a", b"b", b"c"], streaming=True))
        return responses[-1]

    lambent = engine(FakeSandbox(streams), clock)
    result = await lambent.invoke(function(), request())
    responses[0].more.clear()
    body = result.body()
    if read_first:
        responses[0].more.set()
        assert await anext(body) == b"a"
        responses[0].more.clear()
    reading = asyncio.ensure_future(anext(body))
    await clock.settle()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    responses[0].more.set()
    await clock.settle()
    assert responses[0].taken == 3
    assert environments(lambent) == {"idle": 1}


async def test_a_streamed_answer_holds_its_place_until_its_end(clock: VirtualClock) -> None:
    async def streams(environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
        return FakeResponse([b"a", b"b"], streaming=True)

    lambent = engine(FakeSandbox(streams), clock)
    lambent.set_reserved_concurrency(function().arn, 1)
    result = await lambent.invoke(function(), request())
    with pytest.raises(Throttled):
        await lambent.invoke(function(), request())
    assert await result.read() == b"ab"
    await clock.settle()
    assert await (await lambent.invoke(function(), request())).read() == b"ab"


async def test_a_stream_that_breaks_tells_the_reader_and_frees_the_environment(clock: VirtualClock) -> None:
    class Broken(FakeResponse):
        async def body(self):  # type: ignore[no-untyped-def, override]
            yield b"a"
            self.ready.set()
            raise StreamBroken("Function.Error", b"{}")

    async def breaks(environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
        return Broken([], streaming=True)

    lambent = engine(FakeSandbox(breaks), clock)
    result = await lambent.invoke(function(), request())
    with pytest.raises(StreamBroken):
        await result.read()
    await clock.settle()
    assert environments(lambent) == {"idle": 1}


async def test_a_blocked_function_starts_nothing(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock)
    lambent.set_reserved_concurrency(function().arn, 0)
    with pytest.raises(Throttled) as throttled:
        await run(lambent)
    assert throttled.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert not sandbox.specs
    [entry] = lambent.status()["functions"]  # type: ignore[misc]
    assert entry["throttles"] == {"ReservedFunctionConcurrentInvocationLimitExceeded": 1}  # type: ignore[index]
    assert "reserved concurrency is 0" in entry["limited_by"]  # type: ignore[index]
    await clock.advance(11)
    [entry] = lambent.status()["functions"]  # type: ignore[misc]
    assert entry["limited_by"] is None  # type: ignore[index]


async def test_the_account_limit_throttles_and_lets_through_again(clock: VirtualClock) -> None:
    gate = Gate()
    lambent = engine(FakeSandbox(gate), clock, account_concurrency=2)
    events = [asyncio.ensure_future(run(lambent)) for _ in range(2)]
    await gate.wait_running(2)
    with pytest.raises(Throttled) as throttled:
        await run(lambent)
    assert throttled.value.reason == "ConcurrentInvocationLimitExceeded"
    lambent.set_account_concurrency(SCOPE, 3)
    events.append(asyncio.ensure_future(run(lambent)))
    await gate.wait_running(3)
    gate.open.set()
    await asyncio.gather(*events)


async def test_the_sandbox_refusing_is_a_throttle_with_its_reason(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.refuse = [StartRefused("no file descriptors are left")] * 2  # the first is tried again
    lambent = engine(sandbox, clock)
    with pytest.raises(Throttled) as throttled:
        await run(lambent)
    assert throttled.value.detail == "this machine: no file descriptors are left"
    assert throttled.value.retry_after_s == 1
    assert await run(lambent) == b"{}"


async def test_a_start_that_fails_once_is_nobodys_loss(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.refuse = [StartRefused("what was prepared has died")]
    assert await run(engine(sandbox, clock)) == b"{}"


async def test_a_function_that_cannot_run_here_says_so_every_time(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.refuse = [CannotRun("no java"), CannotRun("no java")]
    lambent = engine(sandbox, clock)
    for _ in range(2):
        with pytest.raises(CannotRun, match="no java"):
            await run(lambent)
    assert lambent.status()["host"]["environments"] == 0  # type: ignore[index]
    assert lambent.status()["scopes"][0]["concurrency"] == 0  # type: ignore[index]


async def test_a_start_that_fails_fails_the_newest_event_that_waits(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.gate.clear()
    sandbox.refuse = [StartRefused("full")] * 3  # each start is tried again once
    lambent = engine(sandbox, clock)
    first = asyncio.ensure_future(run(lambent))
    await clock.settle()
    second = asyncio.ensure_future(run(lambent))
    await clock.settle()
    sandbox.gate.set()
    assert await first == b"{}"
    with pytest.raises(Throttled):
        await second


async def test_idle_environments_end_after_the_timeout(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock, idle_timeout_s=60)
    await run(lambent)
    await clock.advance(30)
    await run(lambent)
    await clock.advance(59)
    assert len(sandbox.alive) == 1
    await clock.advance(2)
    assert sandbox.environments[0].stopped == ["spindown"]
    assert environments(lambent) == {}
    await run(lambent)
    assert len(sandbox.alive) == 1


async def test_a_busy_environment_is_never_idle(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, clock, idle_timeout_s=10)
    event = asyncio.ensure_future(run(lambent))
    await clock.advance(100)
    assert len(sandbox.alive) == 1
    gate.open.set()
    await event
    await clock.advance(9)
    assert len(sandbox.alive) == 1
    await clock.advance(12)
    assert not sandbox.alive


async def test_a_dead_environment_serves_nobody(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock)
    await run(lambent)
    sandbox.environments[0].dead = True
    await run(lambent)
    await clock.settle()
    assert [len(environment.invocations) for environment in sandbox.environments] == [1, 1]
    assert sandbox.environments[0].stopped == ["failure"]
    assert lambent.status()["host"]["environments"] == 1  # type: ignore[index]


async def test_an_environment_that_misbehaves_is_ended_and_the_caller_told(clock: VirtualClock) -> None:
    async def broken(environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
        raise ConnectionResetError("the control socket is gone")

    sandbox = FakeSandbox(broken)
    lambent = engine(sandbox, clock)
    with pytest.raises(ConnectionResetError):
        await run(lambent)
    await clock.settle()
    assert sandbox.environments[0].stopped == ["failure"]
    assert lambent.status()["scopes"][0]["concurrency"] == 0  # type: ignore[index]


async def test_retired_environments_end_now_when_idle_and_after_their_event_when_busy(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, clock)
    events = [asyncio.ensure_future(run(lambent)) for _ in range(2)]
    await gate.wait_running(2)
    gate.open.set()
    await asyncio.gather(*events)
    gate.open.clear()
    busy = asyncio.ensure_future(run(lambent))
    await gate.wait_running(1)
    lambent.retire(function().key)
    await clock.settle()
    assert len(sandbox.alive) == 1
    gate.open.set()
    assert await busy == b"{}"
    await clock.settle()
    assert not sandbox.alive
    assert environments(lambent) == {}


async def test_an_event_that_waits_while_its_version_is_retired_is_served(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.gate.clear()
    lambent = engine(sandbox, clock)
    event = asyncio.ensure_future(run(lambent))
    await clock.settle()
    lambent.retire(function().key)
    sandbox.gate.set()
    assert await event == b"{}"
    await clock.settle()
    assert not sandbox.alive


async def test_drain_waits_for_events_then_ends_everything(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, clock)
    event = asyncio.ensure_future(run(lambent))
    await gate.wait_running(1)
    draining = asyncio.ensure_future(lambent.drain(10))
    await clock.advance(5)
    with pytest.raises(Throttled, match="shutting down"):
        await run(lambent)
    assert not draining.done()
    gate.open.set()
    assert await event == b"{}"
    await draining
    assert not sandbox.alive


async def test_drain_ends_what_overstays_its_grace_and_its_caller_is_answered(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, clock)
    event = asyncio.ensure_future(lambent.invoke(function(), request()))
    await gate.wait_running(1)
    draining = asyncio.ensure_future(lambent.drain(10))
    await clock.advance(10.5)
    await draining
    assert (await event).function_error == "Unhandled"
    assert not sandbox.alive


async def test_drain_answers_events_that_still_wait_for_an_environment(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.gate.clear()
    lambent = engine(sandbox, clock)
    event = asyncio.ensure_future(run(lambent))
    await clock.settle()
    draining = asyncio.ensure_future(lambent.drain(0))
    await clock.advance(2)
    await draining
    with pytest.raises(Throttled, match="shutting down"):
        await event


async def test_no_room_on_the_machine_is_a_throttle_that_says_so(clock: VirtualClock) -> None:
    low = HostReading(
        total_bytes=8192 * MIB,
        available_bytes=520 * MIB,
        memory_of="this machine",
        swapped_out_bytes=0,
        processes=10,
        processes_limit=None,
        processes_of="this machine",
    )
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock, host=host(clock, reading=lambda: low))
    with pytest.raises(Throttled) as throttled:
        await run(lambent)
    assert throttled.value.reason == "ConcurrentInvocationLimitExceeded"
    assert throttled.value.detail.startswith("this machine: a new environment needs about 64 MB")
    assert throttled.value.retry_after_s == 1
    assert not sandbox.specs
    assert "kept free" in lambent.status()["host"]["refuses_because"]  # type: ignore[index, operator]


async def test_idle_environments_of_others_give_way(clock: VirtualClock) -> None:
    rules = HostRules(starts_per_s=100, starting=100, environments=2)
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock, host=host(clock, rules=rules))
    await run(lambent, key="a")
    await clock.advance(1)
    await run(lambent, key="b")
    await clock.advance(1)
    await run(lambent, key="c")
    assert [environment.alive for environment in sandbox.environments] == [False, True, True]


async def test_busy_environments_of_others_do_not_give_way(clock: VirtualClock) -> None:
    gate = Gate()
    rules = HostRules(starts_per_s=100, starting=100, environments=1)
    lambent = engine(FakeSandbox(gate), clock, host=host(clock, rules=rules))
    event = asyncio.ensure_future(run(lambent, key="a"))
    await gate.wait_running(1)
    with pytest.raises(Throttled, match="this machine: 1 environments are running"):
        await run(lambent, key="b")
    gate.open.set()
    await event


async def test_a_burst_waits_for_its_turn_to_start(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    rules = HostRules(starts_per_s=100, starting=20)
    lambent = engine(sandbox, clock, host=host(clock, rules=rules))
    events = [asyncio.ensure_future(run(lambent)) for _ in range(200)]
    await clock.settle()
    assert len(sandbox.environments) == 100
    await clock.advance(1.1)
    assert len(sandbox.environments) == 200
    gate.open.set()
    await asyncio.gather(*events)
    await lambent.drain(1)


async def test_the_wait_for_a_turn_is_short(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.gate.clear()
    rules = HostRules(starts_per_s=100, starting=3)
    lambent = engine(sandbox, clock, host=host(clock, rules=rules))
    events = [asyncio.ensure_future(run(lambent)) for _ in range(10)]
    await clock.advance(1.9)
    assert not any(event.done() for event in events)
    await clock.advance(0.2)
    throttled = [event.exception() for event in events if event.done()]
    assert len(throttled) == 7
    assert all(
        isinstance(error, Throttled) and "3 environments are already starting" in str(error) for error in throttled
    )
    sandbox.gate.set()
    await clock.settle()
    assert len([event for event in events if event.done() and event.exception() is None]) == 3


async def test_what_is_served_meanwhile_starts_nothing(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.gate.clear()
    rules = HostRules(starts_per_s=100, starting=3)
    lambent = engine(sandbox, clock, host=host(clock, rules=rules))
    events = [asyncio.ensure_future(run(lambent)) for _ in range(50)]
    await clock.settle()
    sandbox.gate.set()
    await asyncio.gather(*events)
    await clock.advance(1)
    assert len(sandbox.environments) < 10
    assert environments(lambent) == {"idle": len(sandbox.environments)}


async def test_only_strict_aws_limits_how_fast_a_function_grows(clock: VirtualClock) -> None:
    for strict, served in ((True, 1000), (False, 1010)):
        sandbox = FakeSandbox(Gate())
        lambent = engine(sandbox, clock, account_concurrency=2000, strict_aws=strict)
        events = [asyncio.ensure_future(run(lambent)) for _ in range(1010)]
        await clock.settle()
        throttled = [event.exception() for event in events if event.done()]
        assert len(sandbox.environments) == served
        assert len(throttled) == 1010 - served
        assert all(isinstance(error, Throttled) and "per 10 s" in error.detail for error in throttled)
        draining = asyncio.ensure_future(lambent.drain(0))
        await clock.advance(2)
        await draining
        await asyncio.gather(*events, return_exceptions=True)


async def test_strict_aws_limits_requests_to_ten_a_second_for_each_reserved_execution(clock: VirtualClock) -> None:
    lambent = engine(FakeSandbox(), clock, strict_aws=True)
    lambent.set_reserved_concurrency(function().arn, 1)
    for _ in range(10):
        await run(lambent)
    with pytest.raises(Throttled) as throttled:
        await run(lambent)
    assert throttled.value.reason == "ReservedFunctionInvocationRateLimitExceeded"
    await clock.advance(0.2)
    await run(lambent)


async def test_a_burst_takes_one_look_at_the_machine(clock: VirtualClock) -> None:
    looks = 0

    def look() -> HostReading:
        nonlocal looks
        looks += 1
        return PLENTY

    gate = Gate()
    lambent = engine(FakeSandbox(gate), clock, host=host(clock, reading=look, rules=RULES))
    events = [asyncio.ensure_future(run(lambent)) for _ in range(200)]
    await gate.wait_running(200)
    assert looks == 1
    gate.open.set()
    await asyncio.gather(*events)
