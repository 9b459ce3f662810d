from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lambent.execution.concurrency import RESERVED_EXCEEDED
from lambent.execution.engine import LocalEngine
from lambent.execution.model import FunctionVersion, ProvisionedStatus, Throttled
from lambent.execution.provisioned import INIT_FAILURE
from lambent.sandbox.protocol import CannotRun, StartRefused
from lambent.testing.clock import VirtualClock
from tests.unit.execution.fakes import FakeSandbox, Gate, engine, function, request

ONE = function(version="1", key="f:1#1")
KEPT = "provisioned-concurrency"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def state(lambent: LocalEngine, version: FunctionVersion = ONE) -> ProvisionedStatus:
    status = lambent.provisioned_concurrency(version.key)
    assert status is not None
    return status


def entry(lambent: LocalEngine) -> Any:
    functions: Any = lambent.status()["functions"]
    return functions[0]


def kinds(sandbox: FakeSandbox) -> list[str]:
    return [environment.spec.initialization_type for environment in sandbox.alive]


async def run(lambent: LocalEngine, version: FunctionVersion = ONE) -> bytes:
    return await (await lambent.invoke(version, request())).read()


async def test_environments_are_initialised_before_any_event_and_serve_it(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock)
    lambent.set_provisioned_concurrency(ONE, 10)
    assert state(lambent) == ProvisionedStatus(requested=10, available=0, in_use=0, status="IN_PROGRESS")
    await clock.advance(0)
    assert state(lambent) == ProvisionedStatus(requested=10, available=10, in_use=0, status="READY")
    assert kinds(sandbox) == [KEPT] * 10

    await asyncio.gather(*(run(lambent) for _ in range(10)))

    assert len(sandbox.environments) == 10
    counters = lambent.metrics.of(ONE.arn)
    assert (counters.provisioned_invocations, counters.spillover_invocations, counters.cold_starts) == (10, 0, 0)


async def test_they_come_up_a_few_at_a_time(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.gate.clear()
    lambent = engine(sandbox, clock)
    lambent.set_provisioned_concurrency(ONE, 10)
    await clock.advance(1)
    assert len(sandbox.specs) == 4
    assert entry(lambent)["environments"]["starting"] == 4
    sandbox.gate.set()
    await clock.advance(0)
    assert state(lambent).status == "READY"


async def test_what_goes_beyond_spills_over_and_only_that_grows_old(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, clock)
    lambent.set_provisioned_concurrency(ONE, 2)
    await clock.advance(0)
    calls = [asyncio.ensure_future(run(lambent)) for _ in range(3)]
    await gate.wait_running(3)
    assert kinds(sandbox) == [KEPT, KEPT, "on-demand"]
    [provisioned] = entry(lambent)["provisioned_concurrency"]
    assert (provisioned["version"], provisioned["in_use"], provisioned["utilization"]) == ("1", 2, 1.0)
    gate.open.set()
    await asyncio.gather(*calls)
    counters = lambent.metrics.of(ONE.arn)
    assert (counters.provisioned_invocations, counters.spillover_invocations, counters.cold_starts) == (2, 1, 1)
    await clock.advance(3600)
    assert kinds(sandbox) == [KEPT, KEPT]
    assert state(lambent).status == "READY"


async def test_one_that_dies_in_an_event_or_while_idle_is_replaced(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock)
    lambent.set_provisioned_concurrency(ONE, 2)
    await clock.advance(0)
    sandbox.environments[0].dead = True
    await clock.advance(5)
    assert (len(sandbox.environments), state(lambent).status) == (3, "READY")
    sandbox.environments[1].init_failed = True  # as after a timeout: alive, but without a runtime
    sandbox.environments[2].init_failed = True
    await run(lambent)
    await clock.advance(0)
    assert (len(sandbox.alive), state(lambent).status) == (3, "READY")  # two kept ones, and the event's own


async def test_a_failed_init_is_told_and_tried_again_ever_more_seldom(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.init_fails = True
    lambent = engine(sandbox, clock)
    lambent.set_provisioned_concurrency(ONE, 1)
    await clock.advance(0)
    assert state(lambent) == ProvisionedStatus(
        requested=1, available=0, in_use=0, status="FAILED", status_reason=INIT_FAILURE
    )
    assert not sandbox.alive
    await clock.advance(60)
    assert len(sandbox.environments) == 6  # at once, and after 1, 3, 7, 15 and 31 s
    sandbox.init_fails = False
    lambent.set_provisioned_concurrency(ONE, 1)  # asking again does not wait
    await clock.advance(0)
    assert state(lambent).status == "READY"


async def test_a_machine_without_room_is_no_failure_of_the_function(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    sandbox.refuse += [StartRefused("no more processes")] * 2
    lambent = engine(sandbox, clock)
    lambent.set_provisioned_concurrency(ONE, 1)
    await clock.advance(0)
    assert state(lambent) == ProvisionedStatus(
        requested=1, available=0, in_use=0, status="IN_PROGRESS", limited_by="this machine: no more processes"
    )
    await clock.advance(1)
    assert state(lambent).status == "READY"


@pytest.mark.parametrize(
    ("error", "reason"),
    [(CannotRun("no dotnet"), "no dotnet"), (KeyError("00"), "The environment could not be started")],
)
async def test_what_cannot_start_at_all_says_why(clock: VirtualClock, error: Exception, reason: str) -> None:
    sandbox = FakeSandbox()
    sandbox.refuse.append(error)
    lambent = engine(sandbox, clock)
    lambent.set_provisioned_concurrency(ONE, 1)
    await clock.advance(0)
    assert state(lambent).status == "FAILED"
    assert (state(lambent).status_reason or "").startswith(reason)


async def test_fewer_lifted_and_retired(clock: VirtualClock) -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, clock)
    lambent.set_provisioned_concurrency(ONE, 3)
    await clock.advance(0)
    lambent.set_provisioned_concurrency(ONE, 2)
    await clock.advance(0)
    assert len(sandbox.alive) == 2
    call = asyncio.ensure_future(run(lambent))
    await gate.wait_running(1)
    lambent.set_provisioned_concurrency(ONE, 0)
    await clock.advance(0)
    assert len(sandbox.alive) == 1  # it runs its event to the end
    gate.open.set()
    await call
    await clock.advance(0)
    assert not sandbox.alive
    assert lambent.provisioned_concurrency(ONE.key) is None

    lambent.set_provisioned_concurrency(ONE, 1)
    await clock.advance(0)
    lambent.retire(ONE.key)
    await clock.advance(0)
    assert not sandbox.alive
    assert lambent.provisioned_concurrency(ONE.key) is None
    scopes: Any = lambent.status()["scopes"]
    assert scopes[0]["provisioned_concurrency"] == 0


async def test_no_other_version_may_use_what_is_set_aside(clock: VirtualClock) -> None:
    lambent = engine(FakeSandbox(), clock)
    lambent.set_reserved_concurrency(ONE.arn, 2)
    lambent.set_provisioned_concurrency(ONE, 2)
    with pytest.raises(Throttled) as caught:
        await run(lambent, function())
    assert caught.value.reason == RESERVED_EXCEEDED
    assert await run(lambent) == b"{}"


async def test_strict_rates_of_new_environments_are_for_those_on_demand(clock: VirtualClock) -> None:
    lambent = engine(FakeSandbox(), clock, strict_aws=True, account_concurrency=5000)
    lambent.set_provisioned_concurrency(ONE, 1200)
    await clock.advance(0)
    assert state(lambent).status == "READY"


async def test_draining_ends_them(clock: VirtualClock) -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, clock)
    lambent.set_provisioned_concurrency(ONE, 2)
    await clock.advance(0)
    await lambent.drain(1)
    assert not sandbox.alive
    assert not sandbox.credentials
