"""How many events an environment serves at a time travels from a version's configuration to its environments."""

from __future__ import annotations

import msgspec

from lambent.lambda_.directory import runnable
from lambent.lambda_.model import Configuration
from lambent.testing.clock import VirtualClock
from tests.unit.execution.fakes import FakeSandbox, engine, request
from tests.unit.lambda_.room import version


async def test_the_configuration_reaches_the_environment() -> None:
    one = version()
    assert runnable(one).max_concurrency == 1
    several = msgspec.structs.replace(one, configuration=msgspec.structs.replace(one.configuration, max_concurrency=16))
    sandbox = FakeSandbox()
    lambent = engine(sandbox, VirtualClock())
    await (await lambent.invoke(runnable(several), request())).read()
    [spec] = sandbox.specs
    assert spec.max_concurrency == 16
    assert spec.concurrent
    await lambent.drain(1)


def test_what_was_stored_before_serves_one_event_at_a_time() -> None:
    before = msgspec.json.decode(msgspec.json.encode(version().configuration))
    del before["max_concurrency"]
    assert msgspec.convert(before, Configuration) == version().configuration
