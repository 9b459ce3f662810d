"""A sandbox in memory whose environments do what a test tells them, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from lambent.core.arns import function_arn
from lambent.core.clock import Clock
from lambent.core.limits import MIB
from lambent.core.operations import Scope
from lambent.execution.admission import HostAdmission, HostRules
from lambent.execution.engine import LocalEngine
from lambent.execution.host import HostReading
from lambent.execution.model import EnvironmentCredentials, FunctionVersion, InvokeRequest
from lambent.sandbox.protocol import EnvironmentSpec, Invocation, InvocationReport, ShutdownReason

SCOPE = Scope(account="000000000000", region="us-east-1")
PLENTY = HostReading(
    total_bytes=1024 * 1024 * MIB,
    available_bytes=1000 * 1024 * MIB,
    memory_of="this machine",
    swapped_out_bytes=0,
    processes=100,
    processes_limit=1_000_000,
    processes_of="this machine",
)
RULES = HostRules(starts_per_s=10_000, starting=10_000)


def function(name: str = "f", **changes: Any) -> FunctionVersion:
    arn = function_arn(SCOPE, name)
    values: dict[str, Any] = {
        "key": f"{arn}:$LATEST#1",
        "scope": SCOPE,
        "name": name,
        "version": "$LATEST",
        "arn": arn,
        "runtime": "python3.13",
        "handler": "app.handler",
        "code": "00",
    }
    return FunctionVersion(**{**values, **changes})


def request(request_id: str = "r", payload: bytes = b"{}", **more: Any) -> InvokeRequest:
    return InvokeRequest(request_id=request_id, payload=payload, invoked_function_arn=function_arn(SCOPE, "f"), **more)


class FakeResponse:
    """`ready` may be held back: the runtime answers first and is ready for its next event later."""

    def __init__(
        self, chunks: list[bytes], *, error: str | None = None, streaming: bool = False, cold: bool = False
    ) -> None:
        self._chunks = chunks
        self._error = error
        self._streaming = streaming
        self._cold = cold
        self.ready = asyncio.Event()
        self.taken = 0
        self.more = asyncio.Event()  # gate before every chunk of a streamed body
        self.more.set()
        if not streaming:
            self.ready.set()

    @property
    def function_error(self) -> str | None:
        return self._error

    @property
    def content_type(self) -> str:
        return "application/json"

    @property
    def streaming(self) -> bool:
        return self._streaming

    async def body(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            await self.more.wait()
            self.taken += 1
            yield chunk
        if self._streaming:
            self.ready.set()

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.body()])

    async def report(self) -> InvocationReport:
        await self.ready.wait()
        return InvocationReport(
            duration_ms=3.0,
            billed_duration_ms=3,
            memory_mb=128,
            max_memory_used_mb=40,
            init_duration_ms=100.0 if self._cold else None,
        )


Behaviour = Callable[["FakeEnvironment", Invocation], Awaitable[FakeResponse]]


async def echo(environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
    return FakeResponse([invocation.payload], cold=len(environment.invocations) == 1)


class FakeEnvironment:
    def __init__(self, spec: EnvironmentSpec, behave: Behaviour) -> None:
        self.spec = spec
        self.invocations: list[Invocation] = []
        self.stopped: list[ShutdownReason] = []
        self.dead = False
        self.init_failed = False
        self.cancelled = 0
        self.most_at_once = 0
        self.lost_places = 0
        self._behave = behave
        self._busy = 0
        self._stop = asyncio.Event()

    @property
    def environment_id(self) -> str:
        return self.spec.environment_id

    @property
    def alive(self) -> bool:
        return not self.dead and not self.stopped

    @property
    def initialised(self) -> bool:
        return self.alive and not self.init_failed

    @property
    def places(self) -> int:
        return self.spec.max_concurrency - self.lost_places if self.alive else 0

    async def invoke(self, invocation: Invocation) -> FakeResponse:
        assert not self.stopped, "an event for an environment that was ended"
        assert self._busy < self.spec.max_concurrency, "more events at a time than it has places"
        if self.dead:
            assert not self.invocations, "an event for an environment that is known to be dead"
            return FakeResponse([b'{"errorType":"Runtime.ExitError"}'], error="Unhandled")
        self._busy += 1
        self.most_at_once = max(self.most_at_once, self._busy)
        self.invocations.append(invocation)
        running = asyncio.ensure_future(self._behave(self, invocation))
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                return FakeResponse([b'{"errorType":"Runtime.ExitError"}'], error="Unhandled")
            return running.result()
        except asyncio.CancelledError:
            self.cancelled += 1
            self.dead = True
            raise
        finally:
            self._busy -= 1
            running.cancel()
            stopped.cancel()

    async def stop(self, reason: ShutdownReason) -> None:
        self.stopped.append(reason)
        self._stop.set()


class FakeSandbox:
    """`starting` gates starts; `refuse` makes the next ones fail."""

    def __init__(self, behave: Behaviour = echo) -> None:
        self.behave = behave
        self.environments: list[FakeEnvironment] = []
        self.specs: list[EnvironmentSpec] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuse: list[Exception] = []
        self.credentials: set[object] = set()  # minted and not revoked
        self.closed = False
        self.init_fails = False
        self.born_dead = False

    async def start(self, spec: EnvironmentSpec) -> FakeEnvironment:
        self.specs.append(spec)
        refusal = self.refuse.pop(0) if self.refuse else None
        await self.gate.wait()
        if refusal is not None:
            raise refusal
        environment = FakeEnvironment(spec, self.behave)
        environment.init_failed = self.init_fails
        environment.dead = self.born_dead
        self.environments.append(environment)
        return environment

    async def close(self) -> None:
        self.closed = True

    @property
    def alive(self) -> list[FakeEnvironment]:
        return [environment for environment in self.environments if environment.alive]


class Gate:
    """A behaviour that holds every event until told."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.running = 0
        self._changed = asyncio.Event()

    async def __call__(self, environment: FakeEnvironment, invocation: Invocation) -> FakeResponse:
        self.running += 1
        self._changed.set()
        await self.open.wait()
        self.running -= 1
        return FakeResponse([invocation.payload])

    async def wait_running(self, count: int) -> None:
        while self.running != count:
            self._changed.clear()
            await self._changed.wait()


def host(
    clock: Clock, *, reading: Callable[[], HostReading] = lambda: PLENTY, rules: HostRules = RULES
) -> HostAdmission:
    return HostAdmission(read=reading, rules=rules, clock=clock)


def minter(sandbox: FakeSandbox) -> Callable[[FunctionVersion], EnvironmentCredentials]:
    """Notes in the sandbox which credentials are valid."""

    def mint(function: FunctionVersion) -> EnvironmentCredentials:
        one = object()
        sandbox.credentials.add(one)
        return EnvironmentCredentials(
            variables={"AWS_ACCESS_KEY_ID": function.role_arn}, revoke=lambda: sandbox.credentials.discard(one)
        )

    return mint


def engine(sandbox: FakeSandbox, clock: Clock, **changes: Any) -> LocalEngine:
    counter = iter(range(10_000_000))
    values: dict[str, Any] = {
        "clock": clock,
        "endpoint_url": lambda: "http://localhost:4566",
        "mint_credentials": minter(sandbox),
        "host": host(clock),
        "idle_timeout_s": 600.0,
        "new_uuid": lambda: f"env-{next(counter)}",
        "new_hex": lambda: "ab" * 16,
    }
    return LocalEngine(sandbox, **{**values, **changes})
