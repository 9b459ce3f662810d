"""Whatever happens in whatever order, nothing is leaked: checked on random histories in virtual time.

The fake environments assert by themselves that nobody invokes one that has ended or serves two events at a time.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.execution.admission import HostRules
from lambent.execution.model import Throttled
from lambent.execution.pool import TRANSITIONS, State
from lambent.sandbox.protocol import CannotRun, Invocation, StartRefused
from lambent.testing.clock import VirtualClock
from tests.unit.execution.fakes import FakeEnvironment, FakeResponse, FakeSandbox, engine, function, host, request


class World:
    """An engine whose events take a while, answer before they are ready, die, break, and stream."""

    def __init__(self, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.clock = VirtualClock()
        self.sandbox = FakeSandbox(self.behave)
        # Few may start at a time, so that starts wait, are given up, and are refused.
        admission = host(self.clock, rules=HostRules(starts_per_s=1000, starting=2))
        self.engine = engine(self.sandbox, self.clock, idle_timeout_s=20, account_concurrency=6, host=admission)
        self.calls: list[asyncio.Future[Any]] = []
        self.revision = {"a": 1, "b": 1}
        self.next = ("answer", 1.0)

    async def behave(self, environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
        what, seconds = invocation.payload.decode().split()
        await self.clock.sleep(float(seconds))
        if what == "die":
            environment.dead = True
            return FakeResponse([b"{}"], error="Unhandled")
        if what == "break":
            raise ConnectionResetError("gone")
        if what == "stream":
            return FakeResponse([b"1", b"2"], streaming=True)
        response = FakeResponse([b"{}"])
        if what == "late":
            response.ready.clear()
            self.clock_later(response)
        return response

    def clock_later(self, response: FakeResponse) -> None:
        async def later() -> None:
            await self.clock.sleep(0.5)
            response.ready.set()

        self.calls.append(asyncio.ensure_future(later()))

    async def call(self, name: str, payload: bytes) -> str:
        version = function(name, key=f"{name}#{self.revision[name]}", max_concurrency=self.concurrency)
        try:
            await (await self.engine.invoke(version, request(payload=payload))).read()
        except (Throttled, CannotRun, ConnectionResetError) as error:
            return type(error).__name__
        return "answered"

    async def step(self, what: str, name: str, number: int) -> None:
        if what in ("answer", "late", "die", "break", "stream"):
            self.calls.append(asyncio.ensure_future(self.call(name, f"{what} {number / 10}".encode())))
            await asyncio.sleep(0)
        elif what == "cancel" and self.calls:
            self.calls[number % len(self.calls)].cancel()
        elif what == "advance":
            await self.clock.advance(number / 4)
        elif what == "update":
            self.engine.retire(f"{name}#{self.revision[name]}")
            self.revision[name] += 1
        elif what == "refuse":
            self.sandbox.refuse += [StartRefused("full")] * 2 if number % 2 else [CannotRun("no")]
        elif what == "gate":
            self.sandbox.gate.clear() if number % 2 else self.sandbox.gate.set()
        elif what == "kill" and self.sandbox.environments:
            self.sandbox.environments[number % len(self.sandbox.environments)].dead = True
        elif what == "provision" and self.concurrency == 1:
            self.provision(name, number % 4)
        elif what == "init":
            self.sandbox.init_fails = number % 4 == 0
        elif what == "reserve":
            self.engine.set_reserved_concurrency(function(name).arn, number % 4 or None)

    def provision(self, name: str, wanted: int) -> None:
        self.engine.set_provisioned_concurrency(function(name, key=f"{name}#{self.revision[name]}"), wanted)

    def total(self, state: State) -> int:
        functions: Any = self.engine.status()["functions"]
        return sum(entry["environments"][state.name.lower()] for entry in functions)


WHAT = "answer late die break stream cancel advance update refuse gate kill reserve provision provision init"
STEPS = st.tuples(
    st.sampled_from(WHAT.split(" ")),
    st.sampled_from("ab"),
    st.integers(0, 40),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40), st.sampled_from([1, 3]))
def test_every_event_ends_and_nothing_is_left_over(steps: list[tuple[str, str, int]], concurrency: int) -> None:
    async def history() -> None:
        world = World(concurrency)
        for step in steps:
            await world.step(*step)
            host: Any = world.engine.status()["host"]
            running = sum(world.total(state) for state in (State.IDLE, State.BUSY, State.FINISHING, State.STOPPING))
            assert host["environments"] == running + host["starting"]
            assert len(world.sandbox.credentials) == host["environments"]
        world.sandbox.gate.set()
        world.sandbox.init_fails = False
        world.sandbox.refuse.clear()
        for name in "ab":
            world.engine.set_reserved_concurrency(function(name).arn, None)
            if concurrency == 1:
                world.provision(name, 2)
        await world.clock.advance(15)
        for name in "ab" if concurrency == 1 else "":
            status = world.engine.provisioned_concurrency(f"{name}#{world.revision[name]}")
            assert status is not None
            assert (status.available, status.status) == (2, "READY")
            world.provision(name, 0)
        await world.clock.advance(1)
        assert all(call.done() for call in world.calls)
        for call in world.calls:
            assert call.cancelled() or call.exception() is None
        scopes: Any = world.engine.status()["scopes"]
        assert all(use["concurrency"] == 0 for use in scopes)
        assert world.total(State.BUSY) == world.total(State.FINISHING) == world.total(State.STARTING) == 0
        assert world.total(State.IDLE) == sum(not environment.stopped for environment in world.sandbox.environments)
        await world.clock.advance(60)
        assert not world.sandbox.alive
        host = world.engine.status()["host"]
        assert (host["environments"], host["memory_promised_bytes"], host["starting"]) == (0, 0, 0)
        assert not world.sandbox.credentials
        await world.engine.drain(1)

    asyncio.run(history())


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25), st.integers(0, 5), st.sampled_from([1, 3]))
def test_drain_ends_every_environment_and_answers_everybody(
    steps: list[tuple[str, str, int]], grace_s: int, concurrency: int
) -> None:
    async def history() -> None:
        world = World(concurrency)
        for step in steps:
            await world.step(*step)
        draining = asyncio.ensure_future(world.engine.drain(grace_s))
        await world.clock.advance(grace_s + 2)
        await draining
        await world.clock.advance(10)
        assert all(call.done() for call in world.calls)
        for call in world.calls:
            assert call.cancelled() or call.exception() is None
        assert all(environment.stopped for environment in world.sandbox.environments)
        assert not world.sandbox.credentials

    asyncio.run(history())


def test_every_state_can_end_and_an_end_is_final() -> None:
    assert set(TRANSITIONS) == set(State)
    assert not TRANSITIONS[State.STOPPED]
    for state in set(State) - {State.STOPPED, State.STOPPING}:
        assert State.STOPPING in TRANSITIONS[state]
