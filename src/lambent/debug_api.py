"""The routes behind `lambent invoke --debug` and `lambent debug`: events that stop in a debugger.

    POST /_lambent/debug/invoke   {"function", "payload" (base64), "qualifier"?, "port"?, "account"?, "region"?}
        JSON lines: {"waiting": {...}}, {"attached": true}, then {"answer", "function_error", "log_tail"} or {"error"}
    POST /_lambent/debug          {"function", "on": bool, "port"?, "account"?, "region"?}
    GET  /_lambent/debug          what is switched on

A debugger runs whatever its user types, so all of this is for servers that only this machine's users can reach.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from lambent.core import ids
from lambent.core.clock import Clock
from lambent.core.config import DEFAULT_ACCOUNT, DEFAULT_REGION, ServerConfig
from lambent.core.errors import AwsError, ValidationError
from lambent.core.operations import Scope
from lambent.execution.debugging import Debugging, Port, PortTaken, Wish
from lambent.execution.model import InvokeResult
from lambent.lambda_ import trace
from lambent.lambda_.invocation import Event, Invoked, Invoker
from lambent.lambda_.names import FunctionReference, parse_function
from lambent.sandbox.protocol import CannotRun, StreamBroken
from lambent.server import hosts
from lambent.server.answers import json_response
from lambent.server.http import Endpoint
from lambent.server.internal_routes import InternalRequest
from lambent.server.wire import WireResponse

_STREAM_HEADERS = (("Content-Type", "application/x-ndjson"), ("Cache-Control", "no-store"))


class _Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What both POST routes are told. `payload` is for the one, `on` for the other."""

    function: str
    qualifier: str | None = None
    payload: bytes = b""
    on: bool = True
    port: int = 0
    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION


class DebugApi:
    """The handlers; `mount` puts them on the endpoint."""

    def __init__(self, *, config: ServerConfig, invoker: Invoker, debugging: Debugging, clock: Clock) -> None:
        self._config = config
        self._invoker = invoker
        self._debugging = debugging
        self._clock = clock

    def mount(self, endpoint: Endpoint) -> None:
        endpoint.add_route("GET", "/_lambent/debug", self.list)
        endpoint.add_route("POST", "/_lambent/debug", self.switch)
        endpoint.add_route("POST", "/_lambent/debug/invoke", self.invoke)

    async def list(self, request: InternalRequest) -> WireResponse:
        """`[{function_arn, port, debugger, attached}]` of all functions that are switched to debugging."""
        rows = [
            {"function_arn": arn, "attached": switch.port.attached, **_where(switch.port)}
            for arn, switch in self._debugging.switches().items()
        ]
        return json_response(rows, request_id=request.request_id)

    async def switch(self, request: InternalRequest) -> WireResponse:
        """Switch a function to debugging, or back."""
        ask = self._ask(request)
        reference = _reference(ask)
        if not ask.on:
            was_on = await self._debugging.switch_off(reference.arn)
            return json_response({"was_on": was_on}, request_id=request.request_id)
        target = await self._invoker.find(reference)
        try:
            port = await self._debugging.switch_on(target.primary.function, ask.port)
        except (CannotRun, PortTaken) as error:
            raise ValidationError(str(error)) from error
        return json_response(_where(port), request_id=request.request_id)

    async def invoke(self, request: InternalRequest) -> WireResponse:
        """Run one event in the debugger. What is wrong before the debugger's port is open is an ordinary error."""
        ask = self._ask(request)
        reference = _reference(ask)
        opened: asyncio.Future[Port] = asyncio.get_running_loop().create_future()
        event = Event(
            scope=reference.scope,
            name=reference.name,
            qualifier=reference.qualifier,
            payload=ask.payload,
            request_id=request.request_id,
            trace_id=trace.trace_id(None, self._clock.now(), ids.new_hex),
            debug=Wish(port=ask.port, on_open=opened.set_result),
        )
        running = asyncio.ensure_future(self._invoker.invoke(event))
        try:
            await _either(opened, running)
            if not opened.done():
                await running
        except PortTaken as error:
            raise ValidationError(str(error)) from error
        except BaseException:
            running.cancel()
            raise
        return WireResponse(status=200, headers=_STREAM_HEADERS, body=_story(opened.result(), running))

    def _ask(self, request: InternalRequest) -> _Ask:
        if not hosts.is_loopback(self._config.host.lower()) and self._config.host != "::1":
            raise ValidationError(
                f"this server listens on {self._config.host}: a debugger runs whatever it is told to, so functions are "
                "debugged only on a server that listens on loopback"
            )
        try:
            ask = msgspec.json.decode(request.body, type=_Ask)
        except msgspec.DecodeError as error:
            raise ValidationError(f"the body is not what this route takes: {error}") from error
        if not 0 <= ask.port <= 65_535:
            raise ValidationError("port must be between 0 and 65535")
        return ask


def _reference(ask: _Ask) -> FunctionReference:
    return parse_function(Scope(account=ask.account, region=ask.region), ask.function, ask.qualifier)


def _where(port: Port) -> dict[str, Any]:
    """Where to attach, for people and editors."""
    return {"host": "127.0.0.1", "port": port.port, "debugger": port.debugger, "folder": port.folder}


async def _story(port: Port, running: asyncio.Future[Invoked]) -> AsyncIterator[bytes]:
    """What happens to the event, line by line; its end when nobody reads on."""
    steps = {"waiting": asyncio.ensure_future(port.wait_environment())}
    try:
        await _either(steps["waiting"], running)
        if steps["waiting"].done():
            yield _line(waiting=_where(port))
            steps["attached"] = asyncio.ensure_future(port.wait_attached())
            await _either(steps["attached"], running)
            if steps["attached"].done():
                yield _line(attached=True)
        try:
            yield _line(**await _answer((await running).result))
        except AwsError as error:
            yield _line(error={"code": error.code, "message": str(error)})
    finally:
        for step in steps.values():
            step.cancel()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, AwsError):
            await running


async def _either(one: asyncio.Future[Any], other: asyncio.Future[Any]) -> None:
    await asyncio.wait([one, other], return_when=asyncio.FIRST_COMPLETED)


async def _answer(result: InvokeResult) -> dict[str, Any]:
    try:
        payload, function_error = await result.read(), result.function_error
    except StreamBroken as broken:
        payload, function_error = broken.error_body, "Unhandled"
    report = await result.report()
    return {
        "answer": base64.b64encode(payload).decode(),
        "function_error": function_error,
        "log_tail": base64.b64encode(report.log_tail).decode(),
    }


def _line(**what: Any) -> bytes:
    return msgspec.json.encode(what) + b"\n"
