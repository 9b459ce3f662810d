"""What the execution engine itself costs a warm event: in-memory environments that answer at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import uvloop

from benchmarks import harness
from lambent.core.arns import function_arn
from lambent.core.clock import SystemClock
from lambent.core.operations import Scope
from lambent.execution.admission import HostAdmission, HostRules
from lambent.execution.engine import LocalEngine
from lambent.execution.host import HostReader
from lambent.execution.model import EnvironmentCredentials, FunctionVersion, InvokeRequest
from lambent.sandbox.protocol import EnvironmentSpec, Invocation, InvocationReport, ShutdownReason

SCOPE = Scope(account="000000000000", region="us-east-1")
REPORT = InvocationReport(duration_ms=1.0, billed_duration_ms=1, memory_mb=128, max_memory_used_mb=30)
EVENTS = 30_000


class Answer:
    function_error = None
    content_type = "application/json"
    streaming = False

    async def body(self) -> AsyncIterator[bytes]:
        yield b"{}"

    async def read(self) -> bytes:
        return b"{}"

    async def report(self) -> InvocationReport:
        return REPORT


class Environment:
    """Waits one turn of the loop, as for a socket, and answers."""

    alive = True

    def __init__(self, environment_id: str) -> None:
        self.environment_id = environment_id
        self._answer = Answer()

    async def invoke(self, invocation: Invocation) -> Answer:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
        return self._answer

    async def stop(self, reason: ShutdownReason) -> None:
        self.alive = False


class Sandbox:
    async def start(self, spec: EnvironmentSpec) -> Environment:
        return Environment(spec.environment_id)

    async def close(self) -> None:
        pass


async def measure() -> None:
    clock = SystemClock()
    arn = function_arn(SCOPE, "f")
    function = FunctionVersion(
        key=f"{arn}#1", scope=SCOPE, name="f", version="$LATEST", arn=arn, runtime="python3.13", handler="a.b", code="0"
    )
    request = InvokeRequest(request_id="r", payload=b"{}", invoked_function_arn=arn)
    bare = Environment("bare")
    invocation = Invocation(
        request_id="r", payload=b"{}", invoked_function_arn=arn, deadline_ms=int(clock.now() * 1000), timeout_s=3.0
    )
    for strict_aws in (False, True):
        engine = LocalEngine(
            Sandbox(),
            clock=clock,
            endpoint_url=lambda: "",
            mint_credentials=lambda function: EnvironmentCredentials(variables={}, revoke=lambda: None),
            host=HostAdmission(read=HostReader().read, rules=HostRules.for_cores(2), clock=clock),
            account_concurrency=100_000,
            strict_aws=strict_aws,
        )
        await (await engine.invoke(function, request)).read()
        direct_us, engine_us = [], []
        for _ in range(3):
            started = time.perf_counter()
            for _ in range(EVENTS):
                await (await bare.invoke(invocation)).read()
            direct_us.append((time.perf_counter() - started) / EVENTS * 1e6)
            started = time.perf_counter()
            for _ in range(EVENTS):
                await (await engine.invoke(function, request)).read()
            engine_us.append((time.perf_counter() - started) / EVENTS * 1e6)
        what = "warm event through the engine" + (", strict AWS" if strict_aws else "")
        harness.report(what, min(engine_us), "us", floor=min(direct_us), floor_is="the environment alone")
        await engine.drain(1.0)
    reader = HostReader()
    started = time.perf_counter()
    for _ in range(200):
        reader.read()
    print(
        f"  {'one reading of the machine (at most 10 a second)':<52} {(time.perf_counter() - started) * 5e3:>11,.2f} us"
    )


def main() -> None:
    harness.heading("Execution engine")
    uvloop.run(measure())


if __name__ == "__main__":
    main()
