"""Errors on the wire, as each protocol and service has them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser

from lambent.core.errors import AwsError, ValidationError
from lambent.core.operations import Service
from lambent.server.protocol import ServiceModels, render_error
from lambent.server.protocol.faults import SerializationError
from lambent.server.wire import WireRequest, WireResponse

MODELS = ServiceModels()
LAMBDA = Service(name="lambda", unsupported_code="InvalidParameterValueException", error_members={"Type": "User"})
IAM = Service(name="iam", validation_code="ValidationError")


def an_error(code_: str, status_: int = 400, message: str = "text", **options: Any) -> AwsError:
    class Error(AwsError):
        code = code_
        status = status_

    return Error(message, **options)


def rendered(service: str, protocol: str, error: AwsError, declared: Service | None = None) -> WireResponse:
    compiled = MODELS.service(service)
    return render_error(compiled, protocol, error, request_id="request-1", operation=None, service_decl=declared)


def test_lambda_service_errors() -> None:
    response = rendered("lambda", "rest-json", an_error("ResourceNotFoundException", 404), LAMBDA)
    assert response.status == 404
    assert response.headers == [
        ("x-amzn-RequestId", "request-1"),
        ("Content-Type", "application/json"),
        ("x-amzn-ErrorType", "ResourceNotFoundException"),
    ]
    assert json.loads(_bytes(response)) == {"Type": "User", "Message": "text"}


def _bytes(response: WireResponse) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("ResourceNotFoundException", "Message"),
        ("ServiceException", "Message"),
        ("InvalidZipFileException", "Message"),
        ("PublicPolicyException", "Message"),
        ("InvalidParameterValueException", "message"),
        ("ResourceConflictException", "message"),
        ("PreconditionFailedException", "message"),
        ("RequestEntityTooLargeException", "message"),
        ("AccessDeniedException", "Message"),
    ],
)
def test_which_key_holds_the_message(code: str, key: str) -> None:
    assert json.loads(_bytes(rendered("lambda", "rest-json", an_error(code)))) == {key: "text"}


def test_lambda_constraint_failures_have_no_type() -> None:
    response = rendered("lambda", "rest-json", ValidationError("1 validation error detected: ..."), LAMBDA)
    assert ("x-amzn-ErrorType", "ValidationException") in response.headers
    assert json.loads(_bytes(response)) == {"message": "1 validation error detected: ..."}


def test_requests_that_cannot_be_read_have_no_type() -> None:
    response = rendered("lambda", "rest-json", SerializationError("Unexpected token"), LAMBDA)
    assert ("x-amzn-ErrorType", "SerializationException") in response.headers
    assert json.loads(_bytes(response)) == {"Message": "Unexpected token"}


def test_a_modelled_member_of_none_is_left_out() -> None:
    error = an_error("InvalidParameterValueException", members={"Type": None})
    assert json.loads(_bytes(rendered("lambda", "rest-json", error, LAMBDA))) == {"message": "text"}


def test_throttles_have_their_reason_and_their_header() -> None:
    error = an_error(
        "TooManyRequestsException",
        429,
        "Rate Exceeded.",
        members={"Reason": "ConcurrentInvocationLimitExceeded", "retryAfterSeconds": "1"},
        headers={"X-Other": "a\r\nInjected: b"},
    )
    response = rendered("lambda", "rest-json", error, LAMBDA)
    assert ("Retry-After", "1") in response.headers
    assert ("X-Other", "a  Injected: b") in response.headers
    assert json.loads(_bytes(response)) == {
        "Reason": "ConcurrentInvocationLimitExceeded",
        "Type": "User",
        "message": "Rate Exceeded.",
    }


@pytest.mark.parametrize("code", ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"])
def test_sqs_has_both_names(code: str) -> None:
    response = rendered("sqs", "json", an_error(code))
    assert ("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender") in response.headers
    assert ("Content-Type", "application/x-amz-json-1.0") in response.headers
    assert json.loads(_bytes(response)) == {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "text"}
    parsed = create_parser("json").parse(
        {"status_code": 400, "headers": HeadersDict(response.headers), "body": response.body}, None
    )
    assert parsed["Error"] == {
        "Code": "AWS.SimpleQueueService.NonExistentQueue",
        "QueryErrorCode": "QueueDoesNotExist",
        "Type": "Sender",
        "Message": "text",
    }
    assert _bytes(rendered("sqs", "query", an_error(code))) == (
        b'<ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type>'
        b"<Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>text</Message><Detail/></Error>"
        b"<RequestId>request-1</RequestId></ErrorResponse>"
    )


def test_faults_of_ours_are_the_receivers() -> None:
    headers = rendered("sqs", "json", an_error("InternalFailure", 500)).headers
    assert ("x-amzn-query-error", "InternalFailure;Receiver") in headers
    assert b"<Type>Receiver</Type>" in _bytes(rendered("iam", "query", an_error("ServiceFailure", 500)))


def test_a_rooms_own_query_code_wins() -> None:
    class Error(AwsError):
        code = "InvalidParameterValueException"
        query_code = "Other"

    assert ("x-amzn-query-error", "Other;Sender") in rendered("sqs", "json", Error("text")).headers


def test_events_names_are_bare() -> None:
    response = rendered("events", "json", an_error("ResourceNotFoundException"))
    assert ("Content-Type", "application/x-amz-json-1.1") in response.headers
    assert json.loads(_bytes(response)) == {"__type": "ResourceNotFoundException", "message": "text"}
    assert "x-amzn-query-error" not in dict(response.headers)


@pytest.mark.parametrize("code", ["NoSuchEntity", "NoSuchEntityException"])
def test_query_codes_of_modelled_exceptions(code: str) -> None:
    response = rendered("iam", "query", an_error(code, 404, "The role <x> cannot be found."))
    assert response.status == 404
    assert _bytes(response) == (
        b'<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
        b"<Code>NoSuchEntity</Code><Message>The role &lt;x&gt; cannot be found.</Message></Error>"
        b"<RequestId>request-1</RequestId></ErrorResponse>"
    )


def test_each_service_has_its_code_for_constraint_failures() -> None:
    assert b"<Code>ValidationError</Code>" in _bytes(rendered("iam", "query", ValidationError("text"), IAM))


def test_s3_errors_stand_alone() -> None:
    response = rendered("s3", "rest-xml", an_error("NoSuchKey", 404, members={"Key": "a&b"}))
    assert [name for name, _ in response.headers] == ["x-amz-request-id", "x-amz-id-2", "Content-Type"]
    body = _bytes(response)
    assert body.startswith(
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>text</Message>'
        b"<Key>a&amp;b</Key><RequestId>request-1</RequestId><HostId>"
    )


def test_other_rest_xml_errors_are_wrapped() -> None:
    body = _bytes(rendered("route53", "rest-xml", an_error("NoSuchHostedZone", 404)))
    assert b"<ErrorResponse xmlns=" in body
    assert b"<Error><Type>Sender</Type><Code>NoSuchHostedZone</Code><Message>text</Message></Error>" in body


def test_control_characters_do_not_break_the_document() -> None:
    body = _bytes(rendered("iam", "query", an_error("ValidationError", message="Value '\x00\x1b\ud800\ufffe' at 'x'")))
    parsed = create_parser("query").parse({"status_code": 400, "headers": HeadersDict(), "body": body}, None)
    assert parsed["Error"]["Message"] == "Value '\ufffd\ufffd\ufffd\ufffd' at 'x'"


def test_head_has_no_body() -> None:
    s3 = MODELS.service("s3")
    error = an_error("NoSuchKey", 404)
    response = render_error(
        s3, "rest-xml", error, request_id="r", operation=s3.operation("HeadObject"), service_decl=None
    )
    assert response.body == b""
    assert "Content-Type" not in dict(response.headers)


def test_unreadable_bodies() -> None:
    def fault(service: str, operation: str, body: bytes) -> AwsError:
        compiled = MODELS.service(service).operation(operation)
        with pytest.raises(AwsError) as caught:
            compiled.parse(WireRequest(method="POST", path="/", query="", headers={}, body=body), {"FunctionName": "f"})
        return caught.value

    malformed = fault("lambda", "CreateFunction", b"{nope")
    assert malformed.code == "SerializationException"
    wrong = fault("lambda", "CreateFunction", b'{"Timeout":"3"}')
    assert wrong.message == "STRING_VALUE can not be converted to an Integer"
    assert fault("lambda", "CreateFunction", b'{"Code":{"ZipFile":"?"}}').code == "SerializationException"
    assert fault("sqs", "SendMessage", b'{"MessageBody":5}').message == "NUMBER_VALUE can not be converted to a String"
    assert fault("sqs", "SendMessage", b"[]").message == "Start of list found where not expected"
    assert fault("sqs", "SendMessage", b'{"QueueUrl":{}}').code == "SerializationException"
    assert fault("sqs", "SendMessage", b'{"QueueUrl":"\xff"}').code == "SerializationException"
    assert fault("sqs", "SendMessage", b'{"DelaySeconds":99999999999999999999}').code == "SerializationException"
    assert fault("iam", "ListRoles", b"MaxItems=x").code == "MalformedInput"
    assert fault("iam", "ListRoles", b"Version=2000-01-01").code == "InvalidAction"
