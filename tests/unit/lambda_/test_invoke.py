from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from lambent.core.arns import function_arn
from lambent.core.errors import NotImplementedOperation
from lambent.core.operations import Reply
from lambent.execution.model import FunctionVersion, InvokeRequest, InvokeResult, Throttled
from lambent.lambda_.errors import (
    InvalidParameterValue,
    InvalidRequestContent,
    InvalidRuntime,
    RecursiveInvocation,
    ResourceConflict,
    ResourceNotFound,
    TooManyRequests,
)
from lambent.lambda_.lineage import LOOP_LIMIT, lineage_id
from lambent.sandbox.protocol import CannotRun, StreamBroken
from tests.unit.lambda_.functions_room import Answer, FakeResult, FunctionsRoom, zipped
from tests.unit.lambda_.room import SCOPE

ARN = function_arn(SCOPE, "f")


async def invoke(room: FunctionsRoom, operation: str = "Invoke", /, **params: Any) -> Reply:
    reply = await room.answer(operation, **{"FunctionName": "f", "Payload": b"{}", **params})
    assert isinstance(reply, Reply)
    return reply


def answering(result: InvokeResult | Exception) -> Answer:
    async def answer(function: FunctionVersion, request: InvokeRequest) -> InvokeResult:
        if isinstance(result, Exception):
            raise result
        return result

    return answer


async def events(reply: Reply) -> list[Any]:
    return [event async for event in reply.output["EventStream"]]


async def test_the_answer_and_its_headers(functions: FunctionsRoom) -> None:
    await functions.create()
    reply = await invoke(functions, Payload=b'{"n": 1}')
    assert reply.output == {
        "StatusCode": 200,
        "ExecutedVersion": "$LATEST",
        "FunctionError": None,
        "Payload": b'{"n": 1}',
    }
    assert reply.headers == {
        "Content-Type": "application/json",
        "X-Amzn-Trace-Id": "Root=1-6955b900-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0",
    }


async def test_what_the_engine_gets(functions: FunctionsRoom) -> None:
    await functions.create(
        Timeout=7,
        MemorySize=256,
        Environment={"Variables": {"A": "1"}},
        LoggingConfig={"LogFormat": "JSON", "LogGroup": "g"},
    )
    context = base64.b64encode(b'{"custom": {}}').decode()
    await functions.answer(
        "Invoke",
        {"x-amzn-trace-id": "Root=1-a;Sampled=1"},
        FunctionName=f"{ARN}:$LATEST",
        ClientContext=context,
    )
    ((function, request),) = functions.engine.invoked
    assert request == InvokeRequest(
        request_id="request-1",
        payload=b"{}",
        invoked_function_arn=f"{ARN}:$LATEST",
        client_context='{"custom": {}}',
        trace_id=f"Root=1-a;Sampled=1;Lineage={lineage_id(ARN)}:1",
    )
    assert function == FunctionVersion(
        key=function.key,
        scope=SCOPE,
        name="f",
        version="$LATEST",
        arn=ARN,
        runtime="python3.13",
        handler="h.handler",
        code=hashlib.sha256(zipped("original")).hexdigest(),
        environment={"A": "1"},
        role_arn="arn:aws:iam::000000000000:role/r",
        memory_mb=256,
        timeout_s=7.0,
        log_group="g",
        log_format="JSON",
        application_log_level="INFO",
        system_log_level="INFO",
        runtime_version_arn=function.runtime_version_arn,
    )


async def test_log_type_tail(functions: FunctionsRoom) -> None:
    await functions.create()
    reply = await invoke(functions, LogType="Tail")
    assert base64.b64decode(reply.output["LogResult"]) == b"START\nEND\nREPORT\n"


async def test_function_errors_are_answers(functions: FunctionsRoom) -> None:
    await functions.create()
    functions.engine.answer = answering(FakeResult((b'{"errorMessage": "no"}',), function_error="Unhandled"))
    reply = await invoke(functions)
    assert (reply.output["FunctionError"], reply.output["Payload"]) == ("Unhandled", b'{"errorMessage": "no"}')


async def test_the_answer_has_a_limit(functions: FunctionsRoom) -> None:
    await functions.create()
    functions.engine.answer = answering(FakeResult((b"x" * 6_291_556,)))
    assert (await invoke(functions)).output["FunctionError"] is None
    functions.engine.answer = answering(FakeResult((b"x" * 6_291_557,)))
    reply = await invoke(functions)
    assert reply.output["FunctionError"] == "Unhandled"
    assert reply.output["Payload"] == (
        b'{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).",'
        b'"errorType":"Function.ResponseSizeTooLarge"}'
    )


async def test_a_dry_run_runs_nothing(functions: FunctionsRoom) -> None:
    await functions.create()
    assert (await invoke(functions, InvocationType="DryRun")).output == {"StatusCode": 204}
    with pytest.raises(ResourceNotFound):
        await invoke(functions, InvocationType="DryRun", FunctionName="missing")
    assert functions.engine.invoked == []


async def test_events_are_not_accepted_yet(functions: FunctionsRoom) -> None:
    await functions.create()
    for operation, params in (("Invoke", {"InvocationType": "Event"}), ("InvokeAsync", {"InvokeArgs": b"{}"})):
        with pytest.raises(NotImplementedOperation, match="was not accepted") as caught:
            await functions.answer(operation, FunctionName="f", **params)
        assert caught.value.status == 501
    with pytest.raises(ResourceNotFound):
        await functions.answer("InvokeAsync", FunctionName="missing", InvokeArgs=b"{}")
    assert functions.engine.invoked == []


@pytest.mark.parametrize(
    ("qualifier", "arn"), [(None, f"{ARN}:$LATEST"), ("1", f"{ARN}:1"), ("live", f"{ARN}:live"), ("0", f"{ARN}:0")]
)
async def test_a_missing_function_is_missing_in_its_qualified_form(
    functions: FunctionsRoom, qualifier: str | None, arn: str
) -> None:
    params = {} if qualifier is None else {"Qualifier": qualifier}
    with pytest.raises(ResourceNotFound) as caught:
        await invoke(functions, **params)
    assert caught.value.message == f"Function not found: {arn}"
    await functions.create()
    if qualifier is not None:
        with pytest.raises(ResourceNotFound):
            await invoke(functions, **params)


async def test_checks_come_in_the_order_of_aws(functions: FunctionsRoom) -> None:
    functions.engine.answer = answering(Throttled("ConcurrentInvocationLimitExceeded", "no room"))
    with pytest.raises(ResourceNotFound):
        await invoke(functions, Payload=b"not json")
    functions.code.gate.clear()
    await functions.begin_create()
    with pytest.raises(ResourceConflict) as caught:
        await invoke(functions, Payload=b"not json")
    assert caught.value.message == (
        "The operation cannot be performed at this time. The function is currently in the following state: Pending"
    )
    functions.code.gate.set()
    await functions.settled()
    with pytest.raises(InvalidRequestContent):
        await invoke(functions, Payload=b"not json")
    assert functions.engine.invoked == []
    with pytest.raises(TooManyRequests):
        await invoke(functions)


async def test_throttles_say_why(functions: FunctionsRoom) -> None:
    await functions.create()
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    functions.engine.answer = answering(Throttled(reason, "reserved concurrency is 0", retry_after_s=3))
    with pytest.raises(TooManyRequests) as caught:
        await invoke(functions)
    assert (caught.value.status, caught.value.message) == (429, "Rate Exceeded.")
    assert caught.value.members == {"Reason": reason}
    assert caught.value.headers == {"Retry-After": "3", "x-lambent-detail": "reserved concurrency is 0"}


async def test_a_runtime_that_no_machine_has(functions: FunctionsRoom) -> None:
    await functions.create()
    functions.engine.answer = answering(CannotRun("no such interpreter"))
    with pytest.raises(InvalidRuntime, match="no such interpreter"):
        await invoke(functions)


async def test_versions_and_aliases_run_what_they_point_at(functions: FunctionsRoom) -> None:
    await functions.create(Publish=True)
    await functions.settled("f", "1")
    await functions.update(Timeout=9)
    await functions.call("PublishVersion", FunctionName="f")
    weights = {"AdditionalVersionWeights": {"2": 0.3}}
    await functions.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1", RoutingConfig=weights)

    async def executed(**params: Any) -> str:
        version: str = (await invoke(functions, **params)).output["ExecutedVersion"]
        return version

    assert await executed(Qualifier="2") == "2"
    functions.random = 0.3
    assert await executed(Qualifier="live") == "1"
    functions.random = 0.29
    assert await executed(Qualifier="live") == "2"
    assert functions.engine.invoked[-1][1].invoked_function_arn == f"{ARN}:live"

    await functions.call("UpdateAlias", FunctionName="f", Name="live", FunctionVersion="$LATEST", RoutingConfig={})
    assert await executed(Qualifier="live") == "$LATEST"
    await functions.call("DeleteAlias", FunctionName="f", Name="live")
    with pytest.raises(ResourceNotFound):
        await executed(Qualifier="live")


async def test_a_warm_invoke_reads_nothing(functions: FunctionsRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    await functions.create()
    await invoke(functions)

    async def fail(work: object) -> object:
        raise AssertionError("a warm invoke reads the database")

    monkeypatch.setattr(functions.database, "read", fail)
    await invoke(functions)


async def test_an_update_runs_the_old_configuration_until_it_is_complete(functions: FunctionsRoom) -> None:
    await functions.create()
    await invoke(functions)
    functions.code.gate.clear()
    await functions.call("UpdateFunctionConfiguration", FunctionName="f", Timeout=9)
    await invoke(functions)
    assert functions.engine.retired == []
    functions.code.gate.set()
    await functions.settled()
    await invoke(functions)

    before, during, after = (function for function, _ in functions.engine.invoked)
    assert (before.timeout_s, during.timeout_s, after.timeout_s) == (3.0, 3.0, 9.0)
    assert before.key == during.key != after.key
    await asyncio.sleep(0)
    assert functions.engine.retired == [before.key]


async def test_whoever_saw_the_update_complete_runs_the_new_configuration(functions: FunctionsRoom) -> None:
    await functions.create()
    for timeout_s in range(10, 30):
        await asyncio.gather(*(invoke(functions) for _ in range(3)), functions.update(Timeout=timeout_s))
        await invoke(functions)
        assert functions.engine.invoked[-1][0].timeout_s == timeout_s


async def test_a_deleted_function_is_not_invoked(functions: FunctionsRoom) -> None:
    await functions.create()
    await invoke(functions)
    await functions.call("DeleteFunction", FunctionName="f")
    with pytest.raises(ResourceNotFound):
        await invoke(functions)


async def test_qualifiers_must_agree(functions: FunctionsRoom) -> None:
    await functions.create()
    with pytest.raises(InvalidParameterValue):
        await invoke(functions, FunctionName="f:1", Qualifier="2")


async def test_streams(functions: FunctionsRoom) -> None:
    await functions.create()
    functions.engine.answer = answering(FakeResult((b"a", b"b")))
    reply = await invoke(functions, "InvokeWithResponseStream", LogType="Tail")
    assert (reply.output["StatusCode"], reply.output["ExecutedVersion"]) == (200, "$LATEST")
    assert await events(reply) == [
        {"PayloadChunk": {"Payload": b"a"}},
        {"PayloadChunk": {"Payload": b"b"}},
        {"InvokeComplete": {"LogResult": base64.b64encode(b"START\nEND\nREPORT\n").decode()}},
    ]
    assert functions.engine.invoked[0][1].streaming


async def test_streams_that_fail(functions: FunctionsRoom) -> None:
    await functions.create()
    functions.engine.answer = answering(FakeResult((b'{"errorMessage":"no"}',), function_error="Unhandled"))
    reply = await invoke(functions, "InvokeWithResponseStream")
    failed = {"InvokeComplete": {"ErrorCode": "Unhandled", "ErrorDetails": '{"errorMessage":"no"}'}}
    assert await events(reply) == [failed]

    broken = FakeResult((b"part",), broken=StreamBroken("E", b'{"errorMessage":"no"}'))
    functions.engine.answer = answering(broken)
    reply = await invoke(functions, "InvokeWithResponseStream")
    assert await events(reply) == [{"PayloadChunk": {"Payload": b"part"}}, failed]

    functions.engine.answer = answering(broken)
    buffered = await invoke(functions)
    assert (buffered.output["FunctionError"], buffered.output["Payload"]) == ("Unhandled", b'{"errorMessage":"no"}')


async def test_a_function_that_ran_sixteen_times_in_one_chain_is_not_run_again(functions: FunctionsRoom) -> None:
    await functions.create()
    await functions.call("PublishVersion", FunctionName="f")
    await functions.create("g")
    seen = ""

    async def chained(name: str) -> None:
        nonlocal seen
        await functions.answer("Invoke", {"x-amzn-trace-id": seen}, FunctionName=name)
        _, request = functions.engine.invoked[-1]
        seen = request.trace_id.replace("|", "%7C")  # as SDKs escape it

    for run in range(LOOP_LIMIT):
        await chained("f" if run % 2 else "f:1")  # versions of one function count together
        await chained("g")
    with pytest.raises(RecursiveInvocation, match="recursive loop"):
        await chained("f")
    assert len(functions.engine.invoked) == 2 * LOOP_LIMIT

    await functions.call("PutFunctionRecursionConfig", FunctionName="f", RecursiveLoop="Allow")
    await chained("f")
    assert f"{lineage_id(ARN)}:17" in seen
    with pytest.raises(RecursiveInvocation):
        await chained("g")
    await functions.call("PutFunctionRecursionConfig", FunctionName="f", RecursiveLoop="Terminate")
    with pytest.raises(RecursiveInvocation):
        await chained("f")
