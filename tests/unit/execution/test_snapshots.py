"""Which versions keep a snapshot, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from lambent.core.clock import SystemClock
from lambent.core.operations import Scope
from lambent.core.tasks import Supervisor
from lambent.execution.model import EnvironmentCredentials, FunctionVersion
from lambent.execution.snapshots import Snapshots
from lambent.sandbox.protocol import EnvironmentSpec, SnapshotFailed

FUNCTION = FunctionVersion(
    key="f#1",
    scope=Scope(account="111122223333", region="eu-west-1"),
    name="f",
    version="1",
    arn="arn:aws:lambda:eu-west-1:111122223333:function:f",
    runtime="python3.13",
    handler="h.handler",
    code="00",
    initialization_type="snap-start",
)


class Reservation:
    held = 0

    def __init__(self) -> None:
        Reservation.held += 1

    def started(self) -> None:
        return

    def release(self) -> None:
        Reservation.held -= 1


class Room:
    async def reserve(self, function: FunctionVersion, wanted: Callable[[], bool]) -> Reservation:
        return Reservation()


class Sandbox:
    """Its inits take until `go` is set."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.taken = 0
        self.go = asyncio.Event()
        self.go.set()
        self.again = asyncio.Event()
        self.error: SnapshotFailed | None = None

    async def take_snapshot(self, spec: EnvironmentSpec) -> str:
        await self.go.wait()
        self.taken += 1
        if self.error is not None:
            raise self.error
        self.kept.add(spec.snapshot)
        self.again.set()
        return ""

    def has_snapshot(self, key: str) -> bool:
        return key in self.kept

    def drop_snapshot(self, key: str) -> None:
        self.kept.discard(key)


class Bench:
    def __init__(self, idle_s: float = 3600.0) -> None:
        Reservation.held = 0
        self.revoked = 0
        self.sandbox = Sandbox()
        self.tasks = Supervisor("test")
        self.snapshots = Snapshots(
            self.sandbox,
            spec=_spec,
            mint_credentials=lambda function: EnvironmentCredentials(variables={}, revoke=self._revoke),
            room=Room(),  # type: ignore[arg-type]
            clock=SystemClock(),
            tasks=self.tasks,
            idle_s=idle_s,
        )

    def _revoke(self) -> None:
        self.revoked += 1


def _spec(function: FunctionVersion, credentials: Mapping[str, str]) -> EnvironmentSpec:
    return EnvironmentSpec(
        environment_id="e",
        account="",
        region="",
        function_name=function.name,
        function_version=function.version,
        function_arn=function.arn,
        runtime=function.runtime,
        handler=function.handler,
        code=function.code,
        snapshot=function.key,
    )


async def test_a_snapshot_holds_room_and_credentials_until_it_is_dropped() -> None:
    bench = Bench()
    assert await bench.snapshots.take(FUNCTION) == ""
    assert (Reservation.held, bench.revoked) == (1, 0)
    bench.snapshots.drop("f#1")
    assert bench.sandbox.kept == set()
    assert (Reservation.held, bench.revoked) == (0, 1)


async def test_a_failed_init_holds_nothing() -> None:
    bench = Bench()
    bench.sandbox.error = SnapshotFailed("Runtime.ExitError", "status 1")
    with pytest.raises(SnapshotFailed):
        await bench.snapshots.take(FUNCTION)
    assert (Reservation.held, bench.revoked) == (0, 1)


async def test_what_is_not_used_for_long_is_given_up_and_taken_again_on_demand() -> None:
    bench = Bench(idle_s=0.0)
    await bench.snapshots.take(FUNCTION)
    bench.snapshots.sweep()
    assert bench.sandbox.kept == set()
    bench.sandbox.taken = 0
    bench.sandbox.again.clear()
    bench.snapshots.used(FUNCTION)
    bench.snapshots.used(FUNCTION)  # it is under way already
    await asyncio.wait_for(bench.sandbox.again.wait(), 5.0)
    assert bench.sandbox.taken == 1
    await bench.tasks.close()


async def test_a_version_deleted_while_its_snapshot_is_taken_has_none() -> None:
    bench = Bench()
    bench.sandbox.go.clear()
    taking = asyncio.ensure_future(bench.snapshots.take(FUNCTION))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.snapshots.drop("f#1")
    bench.sandbox.go.set()
    await taking
    assert bench.sandbox.kept == set()
    assert (Reservation.held, bench.revoked) == (0, 1)
