"""Invoke, InvokeAsync and InvokeWithResponseStream."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

from lambent.core.clock import Clock
from lambent.core.errors import NotImplementedOperation
from lambent.core.ids import IdSource
from lambent.core.limits import LAMBDA_ASYNC_PAYLOAD_BYTES, LAMBDA_RESPONSE_BYTES, LAMBDA_SYNC_PAYLOAD_BYTES
from lambent.core.operations import Operation, Output, Params, Rejection, Reply, RequestContext
from lambent.execution.model import InvokeResult
from lambent.lambda_ import trace
from lambent.lambda_.errors import RequestEntityTooLarge
from lambent.lambda_.invocation import Event, Invoker
from lambent.lambda_.names import parse_function
from lambent.lambda_.payloads import RESPONSE_TOO_LARGE, client_context_of
from lambent.lambda_.service import LAMBDA
from lambent.sandbox.protocol import StreamBroken

UNHANDLED = "Unhandled"
_ASYNC = (
    "Asynchronous invokes are not available yet: this event was not accepted and the function will not run. "
    "Invoke with InvocationType RequestResponse instead."
)
_TENANT = Rejection(reason="environments are not kept apart by tenant; leave the tenant id out")
_DURABLE = Rejection(reason="there are no durable functions")


def operations(invoker: Invoker, clock: Clock, new_hex: IdSource) -> list[Operation]:
    """The operations that run functions. `new_hex` (32 digits) makes trace ids."""
    group = _Invokes(invoker, clock, new_hex)
    enforced = ("FunctionName", "Qualifier", "InvocationType", "LogType", "ClientContext", "Payload")
    return [
        Operation(
            service=LAMBDA,
            name="Invoke",
            handler=group.invoke,
            enforced=enforced,
            rejected={"TenantId": _TENANT, "DurableExecutionName": _DURABLE},
            note="InvocationType Event answers 501 until asynchronous invokes are durable",
            max_body_bytes=LAMBDA_SYNC_PAYLOAD_BYTES,
            too_large=lambda: request_too_large("InvokeFunction"),
        ),
        Operation(
            service=LAMBDA,
            name="InvokeAsync",
            handler=group.invoke_async,
            enforced=("FunctionName", "InvokeArgs"),
            note="answers 501 until asynchronous invokes are durable",
        ),
        Operation(
            service=LAMBDA,
            name="InvokeWithResponseStream",
            handler=group.invoke_with_response_stream,
            enforced=enforced,
            rejected={"TenantId": _TENANT},
            max_body_bytes=LAMBDA_SYNC_PAYLOAD_BYTES,
            too_large=lambda: request_too_large("InvokeWithResponseStream"),
        ),
    ]


def request_too_large(operation: str) -> RequestEntityTooLarge:
    """The error for a payload over 6 MB."""
    return RequestEntityTooLarge(
        f"Request must be smaller than {LAMBDA_SYNC_PAYLOAD_BYTES} bytes for the {operation} operation"
    )


class _Invokes:
    def __init__(self, invoker: Invoker, clock: Clock, new_hex: IdSource) -> None:
        self._invoker = invoker
        self._clock = clock
        self._new_hex = new_hex

    async def invoke(self, context: RequestContext, params: Params) -> Output:
        """Developer guide, "Invoke a Lambda function synchronously". A function's own error is status 200, too."""
        event = self._event(context, params, streaming=False)
        kind = params.get("InvocationType")
        if kind == "DryRun":
            await self._invoker.check(event)
            return Reply(output={"StatusCode": 204})
        if kind == "Event":
            if len(event.payload) > LAMBDA_ASYNC_PAYLOAD_BYTES:
                raise RequestEntityTooLarge(
                    f"{len(event.payload)} byte payload is too large for the Event invocation type "
                    f"(limit {LAMBDA_ASYNC_PAYLOAD_BYTES} bytes)"
                )
            await self._invoker.check(event)
            raise NotImplementedOperation(_ASYNC)
        invoked = await self._invoker.invoke(event)
        payload, function_error = await _whole_answer(invoked.result)
        output: dict[str, Any] = {
            "StatusCode": 200,
            "ExecutedVersion": invoked.executed_version,
            "FunctionError": function_error,
            "Payload": payload,
        }
        if params.get("LogType") == "Tail":
            output["LogResult"] = await _log_result(invoked.result)
        return Reply(output=output, headers={trace.HEADER: event.trace_id, "Content-Type": "application/json"})

    async def invoke_async(self, context: RequestContext, params: Params) -> Output:
        """Deprecated on AWS, and refused as Invoke's Event is."""
        reference = parse_function(context.scope, params["FunctionName"])
        await self._invoker.find(reference)
        raise NotImplementedOperation(_ASYNC)

    async def invoke_with_response_stream(self, context: RequestContext, params: Params) -> Output:
        """Developer guide, "Response streaming". What a function answers in one piece is one chunk."""
        event = self._event(context, params, streaming=True)
        if params.get("InvocationType") == "DryRun":
            await self._invoker.check(event)
            return Reply(output={"StatusCode": 204})
        invoked = await self._invoker.invoke(event)
        return Reply(
            output={
                "StatusCode": 200,
                "ExecutedVersion": invoked.executed_version,
                "EventStream": _events(invoked.result, tail=params.get("LogType") == "Tail"),
            },
            headers={trace.HEADER: event.trace_id},
        )

    def _event(self, context: RequestContext, params: Params, *, streaming: bool) -> Event:
        reference = parse_function(context.scope, params["FunctionName"], params.get("Qualifier"))
        payload: bytes = params.get("Payload", b"")
        return Event(
            scope=reference.scope,
            name=reference.name,
            qualifier=reference.qualifier,
            payload=payload,
            request_id=context.request_id,
            trace_id=trace.trace_id(context.headers.get("x-amzn-trace-id"), self._clock.now(), self._new_hex),
            client_context=client_context_of(params.get("ClientContext")),
            streaming=streaming,
        )


async def _whole_answer(result: InvokeResult) -> tuple[bytes, str | None]:
    """The answer and its error, also where the function streamed it or made it too large."""
    try:
        payload = await result.read()
    except StreamBroken as broken:
        return broken.error_body, UNHANDLED
    if len(payload) > LAMBDA_RESPONSE_BYTES:
        return RESPONSE_TOO_LARGE, UNHANDLED
    return payload, result.function_error


async def _log_result(result: InvokeResult) -> str:
    report = await result.report()
    return base64.b64encode(report.log_tail).decode()


async def _events(result: InvokeResult, *, tail: bool) -> AsyncIterator[Mapping[str, Any]]:
    complete: dict[str, str] = {}
    try:
        if result.function_error is None:
            async for chunk in result.body():
                yield {"PayloadChunk": {"Payload": chunk}}
        else:
            complete = {
                "ErrorCode": result.function_error,
                "ErrorDetails": (await result.read()).decode(errors="replace"),
            }
    except StreamBroken as broken:
        complete = {"ErrorCode": UNHANDLED, "ErrorDetails": broken.error_body.decode(errors="replace")}
    if tail:
        complete["LogResult"] = await _log_result(result)
    yield {"InvokeComplete": complete}
