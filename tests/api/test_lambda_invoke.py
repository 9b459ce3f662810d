"""Invoke with boto3, and where headers matter over plain HTTP."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.lambda_functions import create_function, package, wait_active

Unique = Callable[[str], str]
ARN = "arn:aws:lambda:us-east-1:000000000000:function"

PROGRAM = """
import json, os

def handler(event, context):
    kind = event.get("do") if isinstance(event, dict) else None
    if kind == "raise":
        raise ValueError("as asked")
    if kind == "print":
        print("a line of mine")
    if kind == "big":
        return "x" * event["bytes"]
    if kind == "context":
        return {
            "arn": context.invoked_function_arn,
            "id": context.aws_request_id,
            "trace": os.environ.get("_X_AMZN_TRACE_ID"),
            "custom": context.client_context.custom if context.client_context else None,
        }
    return event
"""


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("lambda")


@pytest.fixture(scope="module")
def name(aws: Callable[..., Any]) -> str:
    """One function for all tests that only invoke."""
    name = "invoke-api-tests"
    create_function(aws("lambda"), name, Code={"ZipFile": package({"handler.py": PROGRAM})}, Timeout=30)
    return name


def answer_of(client: Any, name: str, event: Any, **params: Any) -> Any:
    return json.loads(client.invoke(FunctionName=name, Payload=json.dumps(event), **params)["Payload"].read())


@pytest.mark.parametrize("event", [{}, [], "text", 1.5, None, True, {"ü": "☃", "deep": [[[1]]]}])
def test_events_come_back(client: Any, name: str, event: Any) -> None:
    assert answer_of(client, name, event) == event


def test_the_answer_and_its_headers(client: Any, name: str) -> None:
    answer = client.invoke(FunctionName=name, Payload=b"{}")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert not {"FunctionError", "LogResult"} & answer.keys()
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", headers["x-amzn-trace-id"])


def test_no_payload_is_an_empty_object(client: Any, name: str) -> None:
    assert client.invoke(FunctionName=name)["Payload"].read() == b"{}"


def test_the_context(client: Any, name: str) -> None:
    custom = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    answer = client.invoke(FunctionName=name, Qualifier="$LATEST", Payload=b'{"do": "context"}', ClientContext=custom)
    seen = json.loads(answer["Payload"].read())
    metadata = answer["ResponseMetadata"]
    trace, _, lineage = seen.pop("trace").partition(";Lineage=")
    assert trace == metadata["HTTPHeaders"]["x-amzn-trace-id"]
    assert re.fullmatch("[0-9a-f]{8}:1", lineage)
    assert seen == {
        "arn": f"{ARN}:{name}:$LATEST",
        "id": metadata["RequestId"],
        "custom": {"k": "v"},
    }


def test_a_function_error(client: Any, name: str) -> None:
    answer = client.invoke(FunctionName=name, Payload=b'{"do": "raise"}')
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = json.loads(answer["Payload"].read())
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "as asked")


def test_the_log_tail(client: Any, name: str) -> None:
    answer = client.invoke(FunctionName=name, Payload=b'{"do": "print"}', LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert f"START RequestId: {request_id} Version: $LATEST\n" in log
    assert "a line of mine\n" in log
    assert f"END RequestId: {request_id}\n" in log
    assert f"REPORT RequestId: {request_id}" in log


def test_a_dry_run(client: Any, name: str) -> None:
    answer = client.invoke(FunctionName=name, InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert answer["Payload"].read() == b""


def error_of(call: Callable[..., Any], /, **params: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    response: dict[str, Any] = caught.value.response
    return response


def test_events_are_refused_and_not_run(client: Any, name: str) -> None:
    refused = error_of(client.invoke, FunctionName=name, InvocationType="Event")
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "was not accepted" in refused["Error"]["Message"]
    refused = error_of(client.invoke, FunctionName=name, InvocationType="Event", Payload=b" " * 1_048_577)
    assert (refused["ResponseMetadata"]["HTTPStatusCode"], refused["Error"]["Code"], refused["Error"]["Message"]) == (
        413,
        "RequestEntityTooLargeException",
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    )
    refused = error_of(client.invoke_async, FunctionName=name, InvokeArgs=b"{}")
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_what_is_missing(client: Any, unique: Unique) -> None:
    missing = unique("f")
    for params, arn in (
        ({}, f"{ARN}:{missing}:$LATEST"),
        ({"Qualifier": "1"}, f"{ARN}:{missing}:1"),
        ({"Qualifier": "live"}, f"{ARN}:{missing}:live"),
    ):
        response = error_of(client.invoke, FunctionName=missing, **params)
        assert response["Error"] == {
            "Code": "ResourceNotFoundException",
            "Message": f"Function not found: {arn}",
        } | {key: value for key, value in response["Error"].items() if key == "Type"}


@pytest.mark.parametrize("payload", [b"\x87", b"{", b"hello", b"{'a': 1}"])
def test_payloads_that_are_no_json(client: Any, name: str, payload: bytes) -> None:
    response = error_of(client.invoke, FunctionName=name, Payload=payload)
    assert response["Error"]["Code"] == "InvalidRequestContentException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["Error"]["Message"].startswith(
        "Could not parse request body into json: Could not parse payload into json: "
    )


def test_the_largest_payload(client: Any, name: str) -> None:
    largest = b'"' + b"x" * (6_291_456 - 2) + b'"'
    answer = client.invoke(FunctionName=name, Payload=largest)
    assert answer["Payload"].read() == largest
    response = error_of(client.invoke, FunctionName=name, Payload=largest + b" ")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert response["Error"]["Code"] == "RequestEntityTooLargeException"
    assert response["Error"]["Message"] == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"


def test_the_largest_answer(client: Any, name: str) -> None:
    answer = client.invoke(FunctionName=name, Payload=json.dumps({"do": "big", "bytes": 6_291_556 - 2}))
    assert "FunctionError" not in answer
    assert len(answer["Payload"].read()) == 6_291_556
    answer = client.invoke(FunctionName=name, Payload=json.dumps({"do": "big", "bytes": 6_291_556 - 1}))
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_reservation_of_nothing_blocks(client: Any, unique: Unique) -> None:
    name = unique("f")
    create_function(client, name)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    response = error_of(client.invoke, FunctionName=name)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert response["Error"]["Code"] == "TooManyRequestsException"
    assert response["Error"]["Message"] == "Rate Exceeded."
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client.delete_function_concurrency(FunctionName=name)
    assert client.invoke(FunctionName=name)["StatusCode"] == 200


def test_an_update_reaches_the_next_invoke(client: Any, unique: Unique) -> None:
    name = unique("f")
    program = "import os\ndef handler(event, context): return os.environ.get('NUMBER')"
    create_function(client, name, Code={"ZipFile": package({"handler.py": program})})
    for number in ("1", "2", "3"):
        client.update_function_configuration(FunctionName=name, Environment={"Variables": {"NUMBER": number}})
        wait_active(client, name)
        assert answer_of(client, name, {}) == number


def test_a_buffered_function_streams_as_one_chunk(client: Any, name: str) -> None:
    answer = client.invoke_with_response_stream(FunctionName=name, Payload=b'{"a": 1}', LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    events = list(answer["EventStream"])
    assert b"".join(event["PayloadChunk"]["Payload"] for event in events[:-1]) == b'{"a": 1}'
    complete = events[-1]["InvokeComplete"]
    assert "ErrorCode" not in complete
    assert b"REPORT RequestId: " in base64.b64decode(complete["LogResult"])


def test_a_stream_ends_with_the_error(client: Any, name: str) -> None:
    answer = client.invoke_with_response_stream(FunctionName=name, Payload=b'{"do": "raise"}')
    complete = list(answer["EventStream"])[-1]["InvokeComplete"]
    assert complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == "as asked"
