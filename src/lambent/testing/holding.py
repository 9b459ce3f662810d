"""Virtual time waits for real work: what stands between a server and its database and environments in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

from lambent.sandbox.protocol import (
    Environment,
    EnvironmentSpec,
    Invocation,
    InvocationReport,
    Response,
    Sandbox,
    ShutdownReason,
)
from lambent.storage.database import Database, Transaction
from lambent.testing.clock import VirtualClock

T = TypeVar("T")

Hold = Callable[[str], AbstractContextManager[None]]


class Holding:
    """A `platform.Decorator`: commits, starting environments and running events hold the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def database(self, database: Database) -> Database:
        return _HeldDatabase(database, self._clock.hold)

    def sandbox(self, sandbox: Sandbox) -> Sandbox:
        return _HeldSandbox(sandbox, self._clock.hold)


class _HeldDatabase:
    def __init__(self, inner: Database, hold: Hold) -> None:
        self._inner = inner
        self._hold = hold

    @property
    def generation(self) -> int:
        return self._inner.generation

    async def run(self, work: Callable[[Transaction], T], *, key: Hashable | None = None) -> T:
        with self._hold("a unit of work"):
            return await self._inner.run(work, key=key)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        with self._hold("a read"):
            return await self._inner.read(work)

    async def close(self) -> None:
        await self._inner.close()


class _HeldSandbox:
    def __init__(self, inner: Sandbox, hold: Hold) -> None:
        self._inner = inner
        self._hold = hold

    async def start(self, spec: EnvironmentSpec) -> Environment:
        with self._hold(f"starting an environment of {spec.function_name}"):
            return _HeldEnvironment(await self._inner.start(spec), self._hold, spec.function_name)

    async def close(self) -> None:
        await self._inner.close()


class _HeldEnvironment:
    def __init__(self, inner: Environment, hold: Hold, function_name: str) -> None:
        self._inner = inner
        self._hold = hold
        self._function_name = function_name
        self._running: set[ExitStack] = set()

    @property
    def environment_id(self) -> str:
        return self._inner.environment_id

    @property
    def alive(self) -> bool:
        return self._inner.alive

    @property
    def initialised(self) -> bool:
        return self._inner.initialised

    @property
    def places(self) -> int:
        return self._inner.places

    async def invoke(self, invocation: Invocation) -> Response:
        running = ExitStack()
        self._running.add(running)
        running.callback(self._running.discard, running)
        running.enter_context(self._hold(f"an event of {self._function_name}"))
        try:
            return _HeldResponse(await self._inner.invoke(invocation), running)
        except BaseException:
            running.close()
            raise

    async def stop(self, reason: ShutdownReason) -> None:
        for running in list(self._running):
            running.close()  # nobody may ask for the report any more
        with self._hold(f"stopping an environment of {self._function_name}"):
            await self._inner.stop(reason)


class _HeldResponse:
    """The event is over when its report is there."""

    def __init__(self, inner: Response, running: ExitStack) -> None:
        self._inner = inner
        self._running = running

    @property
    def function_error(self) -> str | None:
        return self._inner.function_error

    @property
    def content_type(self) -> str:
        return self._inner.content_type

    @property
    def streaming(self) -> bool:
        return self._inner.streaming

    def body(self) -> AsyncIterator[bytes]:
        return self._inner.body()

    async def read(self) -> bytes:
        return await self._inner.read()

    async def report(self) -> InvocationReport:
        try:
            return await self._inner.report()
        finally:
            self._running.close()
