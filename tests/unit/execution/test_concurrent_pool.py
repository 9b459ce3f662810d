"""Environments that serve several events at once: which one an event goes to, and how many are started."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.execution import placement
from lambent.execution.placement import Load
from lambent.sandbox.protocol import Invocation
from lambent.testing.clock import VirtualClock
from tests.unit.execution.fakes import FakeEnvironment, FakeResponse, FakeSandbox, Gate, engine, function, request

LOADS = st.lists(
    st.builds(lambda running, places: Load(running=running, places=places), st.integers(0, 9), st.integers(0, 8))
)


@given(LOADS)
def test_an_event_goes_to_the_least_loaded_environment_and_never_to_a_full_one(loads: list[Load]) -> None:
    chosen = placement.choose(loads)
    free = [load for load in loads if load.running < load.places]
    if chosen is None:
        assert not free
        return
    share = loads[chosen].running / loads[chosen].places
    assert loads[chosen] in free
    assert share == min(load.running / load.places for load in free)
    assert all(load.running / load.places > share for load in loads[chosen + 1 :] if load in free)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 30))
def test_events_placed_one_by_one_never_exceed_any_maximum(maxima: list[int], events: int) -> None:
    running = [0] * len(maxima)
    refused = 0
    for _ in range(events):
        chosen = placement.choose([Load(running=r, places=m) for r, m in zip(running, maxima, strict=True)])
        if chosen is None:
            refused += 1
        else:
            running[chosen] += 1
    assert all(r <= m for r, m in zip(running, maxima, strict=True))
    assert refused == max(0, events - sum(maxima))


@given(st.integers(0, 100), st.integers(0, 20), st.integers(1, 16))
def test_as_many_start_as_are_needed_for_those_that_wait(waiting: int, starting: int, places: int) -> None:
    more = placement.starts(waiting, starting, places)
    assert (starting + more) * places >= waiting
    assert more == 0 or (starting + more - 1) * places < waiting


def versions(**changes: Any) -> Any:
    return function(max_concurrency=4, **changes)


async def call(lambent: Any, version: Any, request_id: str) -> bytes:
    return bytes(await (await lambent.invoke(version, request(request_id))).read())


async def test_a_burst_starts_no_more_environments_than_it_fills() -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, VirtualClock())
    version = versions()
    calls = [asyncio.ensure_future(call(lambent, version, f"{n}")) for n in range(10)]
    await gate.wait_running(10)
    assert sorted(environment.most_at_once for environment in sandbox.environments) == [2, 4, 4]
    assert lambent.concurrency_of(version.arn) == 10  # each event counts
    gate.open.set()
    await asyncio.gather(*calls)
    assert lambent.concurrency_of(version.arn) == 0
    await lambent.drain(1)


async def test_events_spread_over_the_environments_that_there_are() -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, VirtualClock())
    version = versions()
    calls = [asyncio.ensure_future(call(lambent, version, f"{n}")) for n in range(8)]
    await gate.wait_running(8)
    gate.open.set()
    await asyncio.gather(*calls)
    gate.open.clear()
    calls = [asyncio.ensure_future(call(lambent, version, f"{n}")) for n in range(4)]
    await gate.wait_running(4)
    assert [len(environment.invocations) for environment in sandbox.environments] == [6, 6]
    gate.open.set()
    await asyncio.gather(*calls)
    await lambent.drain(1)


async def test_an_environment_with_fewer_places_takes_fewer_events() -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, VirtualClock())
    version = versions()
    first = asyncio.ensure_future(call(lambent, version, "first"))
    await gate.wait_running(1)
    sandbox.environments[0].lost_places = 2
    calls = [asyncio.ensure_future(call(lambent, version, f"{n}")) for n in range(3)]
    await gate.wait_running(4)
    assert [len(environment.invocations) for environment in sandbox.environments] == [2, 2]
    gate.open.set()
    await asyncio.gather(first, *calls)
    await lambent.drain(1)


async def test_one_after_the_other_stays_on_one_environment() -> None:
    sandbox = FakeSandbox()
    lambent = engine(sandbox, VirtualClock())
    for n in range(20):
        await call(lambent, versions(), f"{n}")
    assert len(sandbox.environments) == 1
    await lambent.drain(1)


async def test_an_environment_that_dies_ends_after_the_last_of_its_events() -> None:
    gate = Gate()

    async def behave(environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
        if invocation.request_id == "die":
            environment.dead = True
            return FakeResponse([b"{}"], error="Unhandled")
        return await gate(environment, invocation)

    sandbox = FakeSandbox(behave)
    lambent = engine(sandbox, VirtualClock())
    version = versions()
    other = asyncio.ensure_future(call(lambent, version, "other"))
    await gate.wait_running(1)
    await call(lambent, version, "die")
    assert not sandbox.environments[0].stopped
    again = asyncio.ensure_future(call(lambent, version, "again"))
    await gate.wait_running(2)
    assert len(sandbox.environments) == 2
    gate.open.set()
    await asyncio.gather(other, again)
    await lambent.drain(1)
    assert sandbox.environments[0].stopped == ["failure"]


async def test_a_failed_init_is_the_answer_to_all_that_waited_for_it() -> None:
    sandbox = FakeSandbox()
    sandbox.gate.clear()
    lambent = engine(sandbox, VirtualClock())
    version = versions()
    calls = [asyncio.ensure_future(lambent.invoke(version, request(f"{n}"))) for n in range(4)]
    await asyncio.sleep(0)
    sandbox.born_dead = True
    sandbox.gate.set()
    results = await asyncio.gather(*calls)
    assert [result.function_error for result in results] == ["Unhandled"] * 4
    assert len(sandbox.environments) == 1
    await lambent.drain(1)


async def test_retired_environments_end_when_their_events_have() -> None:
    gate = Gate()
    sandbox = FakeSandbox(gate)
    lambent = engine(sandbox, VirtualClock())
    version = versions()
    calls = [asyncio.ensure_future(call(lambent, version, f"{n}")) for n in range(3)]
    await gate.wait_running(3)
    lambent.retire(version.key)
    assert not sandbox.environments[0].stopped
    gate.open.set()
    await asyncio.gather(*calls)
    await asyncio.sleep(0)
    await lambent.drain(1)
    assert sandbox.environments[0].stopped == ["spindown"]


async def test_provisioned_concurrency_is_not_for_them() -> None:
    lambent = engine(FakeSandbox(), VirtualClock())
    with pytest.raises(ValueError, match="several events at once"):
        lambent.set_provisioned_concurrency(versions(), 1)
    await lambent.drain(1)
