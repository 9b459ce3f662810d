"""The thread around a server, with a stand-in for the server."""

from __future__ import annotations

import asyncio
import sys
import types
from typing import Any

import pytest

from lambent.core.clock import SystemClock
from lambent.core.config import ServerConfig
from lambent.core.errors import UserFacingError
from lambent.testing.holding import Holding
from lambent.testing.server import ServerFailed, ThreadedServer


class StandIn:
    """Does nothing but count the seconds of its clock."""

    endpoint = "http://127.0.0.1:1"
    started: list[StandIn]
    fails: Exception | None = None
    slow_thread: Any = None

    def __init__(self, config: ServerConfig, *, clock: Any = None, decorator: Holding | None = None) -> None:
        self.config, self.clock, self.decorator, self.seconds, self.stopped = config, clock, decorator, 0, False
        type(self).started.append(self)

    async def start(self) -> None:
        if self.fails is not None:
            raise self.fails
        self.task = asyncio.create_task(self.count())

    async def count(self) -> None:
        while True:
            await self.clock.sleep(1)
            await asyncio.to_thread(int, "1")  # work on a thread, which time must wait for
            self.seconds += 1

    async def stop(self) -> None:
        self.stopped = True
        if not self.fails:
            self.task.cancel()
            await asyncio.wait([self.task])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    class Fresh(StandIn):
        started: list[StandIn] = []  # noqa: RUF012

    module = types.ModuleType("lambent.platform")
    module.Platform = Fresh  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lambent.platform", module)
    return Fresh


def test_its_clock_is_turned_from_the_test(stand_in: type[StandIn]) -> None:
    with ThreadedServer() as server:
        assert server.endpoint == "http://127.0.0.1:1"
        before = server.clock.now()
        server.clock.advance(100)
        assert server.clock.now() - before == 100.0
        assert stand_in.started[0].seconds == 100
        assert stand_in.started[0].decorator is not None
    assert stand_in.started[0].stopped
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.endpoint


def test_it_starts_again_on_the_same_data(stand_in: type[StandIn]) -> None:
    server = ThreadedServer()
    try:
        server.start()
        server.clock.advance(1)
        server.stop()
        server.start()
        server.clock.advance(1)
        server.stop()
    finally:
        server.close()
    first, second = stand_in.started
    assert first.config.data == second.config.data
    assert second.clock.monotonic() == 2.0
    assert not first.config.data.parent.exists()


def test_what_its_start_raises_is_raised_here(stand_in: type[StandIn]) -> None:
    stand_in.fails = UserFacingError("the port is taken")
    server = ThreadedServer()
    with pytest.raises(UserFacingError, match="port is taken"):
        server.start()
    assert stand_in.started[0].stopped
    stand_in.fails = None
    with server:
        server.clock.advance(1)


def test_a_real_clock_cannot_be_turned(stand_in: type[StandIn]) -> None:
    with ThreadedServer(clock=SystemClock()) as server, pytest.raises(RuntimeError, match="virtual"):
        _ = server.clock
    assert stand_in.started[0].decorator is None


def test_a_start_that_takes_too_long(stand_in: type[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    release = asyncio.Event()

    async def never(self: StandIn) -> None:
        self.task = asyncio.create_task(release.wait())
        await release.wait()

    monkeypatch.setattr(stand_in, "start", never)
    server = ThreadedServer()
    with pytest.raises(ServerFailed, match=r"not ready after 0\.05 s"):
        server.start(timeout_s=0.05)
    assert server._loop is not None
    server._loop.call_soon_threadsafe(release.set)
    server.close()


def test_it_runs_once(stand_in: type[StandIn]) -> None:
    with ThreadedServer() as server, pytest.raises(RuntimeError, match="running already"):
        server.start()
