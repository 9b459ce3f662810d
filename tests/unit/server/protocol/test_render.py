"""What responses look like beyond the protocol cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lambent.server.protocol import ModelNotFound, ServiceModels, UnknownOutputMember
from lambent.server.wire import WireRequest

from . import cases

MODELS = ServiceModels()


def test_invoke() -> None:
    response = (
        MODELS.service("lambda")
        .operation("Invoke")
        .render(
            {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": b"null", "FunctionError": None},
            request_id="r",
            headers={"Content-Type": "application/json", "X-Amzn-Trace-Id": "t"},
        )
    )
    assert response.status == 200
    assert response.headers == [
        ("x-amzn-RequestId", "r"),
        ("X-Amz-Executed-Version", "$LATEST"),
        ("Content-Type", "application/json"),
        ("X-Amzn-Trace-Id", "t"),
    ]
    assert response.body == b"null"


async def test_payload_streams_are_passed_through() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    stream = chunks()
    response = MODELS.service("lambda").operation("Invoke").render({"Payload": stream}, request_id="r", headers={})
    assert response.body is stream
    assert await cases.collected(response.body) == b"ab"


def test_status_of_the_model_of_the_output_and_of_the_caller() -> None:
    operation = MODELS.service("lambda").operation("CreateFunction")
    assert operation.render({}, request_id="r", headers={}).status == 201
    assert operation.render({}, request_id="r", status=202, headers={}).status == 202
    invoke = MODELS.service("lambda").operation("Invoke")
    assert invoke.render({"StatusCode": 202}, request_id="r", headers={}).status == 202


def test_no_content_has_no_body() -> None:
    response = MODELS.service("lambda").operation("DeleteAlias").render({}, request_id="r", headers={})
    assert (response.status, response.body) == (204, b"")
    assert "Content-Type" not in dict(response.headers)
    function = MODELS.service("lambda").operation("DeleteFunction")
    response = function.render({"StatusCode": 204}, request_id="r", headers={})
    assert (response.status, response.body) == (204, b"")


def test_empty_output_is_an_empty_object() -> None:
    response = MODELS.service("lambda").operation("GetFunctionConcurrency").render({}, request_id="r", headers={})
    assert response.body == b"{}"


@pytest.mark.parametrize(
    ("service", "operation", "output"),
    [
        ("lambda", "GetFunction", {"Nope": 1}),
        ("lambda", "GetFunction", {"Configuration": {"Nope": 1}}),
        ("lambda", "DeleteAlias", {"Nope": 1}),
        ("lambda", "Invoke", {"Nope": 1}),
        ("sqs", "SendMessage", {"Nope": 1}),
        ("sqs", "DeleteMessage", {"Nope": 1}),
        ("iam", "GetRole", {"Nope": 1}),
        ("iam", "GetRole", {"Role": {"Nope": 1}}),
        ("iam", "DeleteRole", {"Nope": 1}),
        ("s3", "ListBuckets", {"Nope": 1}),
    ],
)
def test_members_that_the_model_does_not_have_are_faults_of_ours(
    service: str, operation: str, output: dict[str, Any]
) -> None:
    with pytest.raises(UnknownOutputMember):
        MODELS.service(service).operation(operation).render(output, request_id="r", headers={})


def test_headers_cannot_be_split_and_hold_utf8() -> None:
    response = (
        MODELS.service("s3")
        .operation("HeadObject")
        .render({"Metadata": {"a": "x\r\nSet-Cookie: y", "b": "ü"}, "ContentLength": 3}, request_id="r", headers={})
    )
    headers = dict(response.headers)
    assert headers["x-amz-meta-a"] == "x  Set-Cookie: y"
    assert headers["x-amz-meta-b"].encode("latin-1").decode() == "ü"
    assert headers["Content-Length"] == "3"
    assert response.body == b""


def test_bucket_location_is_its_own_root() -> None:
    operation = MODELS.service("s3").operation("GetBucketLocation")
    declaration = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    )
    response = operation.render({"LocationConstraint": "eu-west-1"}, request_id="r", headers={})
    assert response.body == declaration + b"eu-west-1</LocationConstraint>"
    assert operation.render({}, request_id="r", headers={}).body == declaration + b"</LocationConstraint>"


def test_s3_lists_have_their_root() -> None:
    response = (
        MODELS.service("s3")
        .operation("ListObjectsV2")
        .render({"Name": "b", "Contents": [{"Key": "k", "Size": 1, "LastModified": 0.0}]}, request_id="r", headers={})
    )
    assert b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Contents>' in bytes(
        response.body
    )  # type: ignore[arg-type]
    assert [name for name, _ in response.headers] == ["x-amz-request-id", "x-amz-id-2", "Content-Type"]


async def test_streaming_bodies_are_handed_on() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"a"

    operation = MODELS.service("s3").operation("PutObject")
    assert operation.streaming_input
    stream = body()
    request = WireRequest(method="PUT", path="/b/k", query="", headers={}, body=stream)
    assert operation.parse(request, {"Bucket": "b", "Key": "k"})["Body"] is stream
    await cases.collected(stream)
    assert not MODELS.service("lambda").operation("CreateFunction").streaming_input


@pytest.mark.parametrize("name", ["nope", "../lambda", "", "LAMBDA", "lambda/2015-03-31", "ec2"])
def test_services_that_there_are_not(name: str) -> None:
    with pytest.raises(ModelNotFound):
        MODELS.service(name)


def test_services_with_several_protocols_are_served_in_those_that_we_speak() -> None:
    cloudwatch = MODELS.service("cloudwatch")
    assert cloudwatch.protocols == ("smithy-rpc-v2-cbor", "json", "query")
    target = f"{cloudwatch.metadata.target_prefix}.ListMetrics"
    found, _ = cloudwatch.find(WireRequest(method="POST", path="/", query="", headers={"x-amz-target": target}))
    assert found.protocol == "json"
    form = WireRequest(method="POST", path="/", query="", headers={}, body=b"Action=ListMetrics&Namespace=a")
    found, labels = cloudwatch.find(form)
    assert found.protocol == "query"
    assert found.parse(form, labels) == {"Namespace": "a"}


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    import subprocess
    import sys

    script = (
        "import sys, lambent.server.protocol as p; p.ServiceModels().service('lambda').operation('Invoke');"
        "print('botocore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
