"""The registered operations and the table made of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lambent.core.errors import UnknownOperation
from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext, Service
from lambent.server import compatibility
from lambent.server.parameters import UnknownParameter
from lambent.server.protocol import ModelNotFound, ServiceModels
from lambent.server.registry import OperationRegistry
from lambent.server.routing import TARGET_PREFIXES, service_name

STS = Service(name="sts")


async def handler(context: RequestContext, params: Params) -> Output:
    return None


def operation(name: str = "GetCallerIdentity", service: Service = STS, **declared: Any) -> Operation:
    return Operation(service=service, name=name, handler=handler, **declared)


def registry(*operations: Operation) -> OperationRegistry:
    filled = OperationRegistry()
    filled.add_all(operations)
    return filled


def test_names_are_taken_once() -> None:
    with pytest.raises(ValueError, match="sts GetCallerIdentity is registered twice"):
        registry(operation(), operation())
    with pytest.raises(ValueError, match="two different declarations of the service sts"):
        registry(operation(), operation("AssumeRole", dataclasses.replace(STS, validation_code="Other")))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (operation("GetCallerIdentity", enforced=("Nothing",)), UnknownParameter),
        (operation("AssumeRole", rejected={"Tags.Nothing": Rejection(reason="no")}), UnknownParameter),
        (operation("NoSuchOperation"), UnknownOperation),
        (operation(service=Service(name="no-such-service")), ModelNotFound),
    ],
)
def test_verify_compares_declarations_with_the_model(wrong: Operation, error: type[Exception]) -> None:
    with pytest.raises(error):
        registry(wrong).verify()


def test_pipelines_are_made_once() -> None:
    service = registry(operation()).service("sts")
    assert service is not None
    first = service.pipeline("GetCallerIdentity", "query")
    assert first is not None
    assert service.pipeline("GetCallerIdentity", "query") is first
    assert service.pipeline("AssumeRole", "query") is None
    assert service.signing_name == "sts"


def test_compatibility_page() -> None:
    page = compatibility.render(
        registry(
            operation(note="Answers for any key."),
            operation(
                "AssumeRole",
                enforced=("RoleArn", "RoleSessionName"),
                simulated={"Policy": "stored | not evaluated"},
                rejected={"SerialNumber": Rejection(reason="there is no MFA")},
            ),
        )
    )
    assert "## sts\n\n2 of " in page
    assert "### GetCallerIdentity\n\nAnswers for any key.\n\nNo parameters.\n" in page
    assert "enforced: `RoleArn`, `RoleSessionName`\n" in page
    assert "| `Policy` | simulated | stored / not evaluated |\n" in page
    assert "| `SerialNumber` | rejected | there is no MFA |\n" in page
    assert "| `DurationSeconds` | rejected | it is not implemented |\n" in page
    assert "AssumeRoleWithSAML" in page.partition("### Not implemented")[2]


@pytest.mark.parametrize(
    ("request_", "service"),
    [
        ({"headers": {"x-amz-target": "AmazonSQS.SendMessage"}, "signing_name": "sqs"}, "sqs"),
        ({"headers": {"x-amz-target": "AWSEvents.PutEvents"}}, "events"),
        (
            {"headers": {"x-amz-target": "DynamoDBStreams_20120810.ListStreams"}, "signing_name": "dynamodb"},
            "dynamodbstreams",
        ),
        ({"headers": {"x-amz-target": "Unheard_Of.Op"}, "signing_name": "ssm"}, "ssm"),
        ({"signing_name": "lambda"}, "lambda"),
        ({"signing_name": "monitoring"}, "cloudwatch"),
        ({"signing_name": "states"}, "stepfunctions"),
        ({"signing_name": "apigateway", "path": "/restapis"}, "apigateway"),
        ({"signing_name": "apigateway", "path": "/v2/apis"}, "apigatewayv2"),
        ({"signing_name": "sts", "headers": {"host": "sqs.us-east-1.amazonaws.com"}}, "sts"),
        ({"headers": {"host": "sqs.us-east-1.amazonaws.com"}}, "sqs"),
        ({"headers": {"host": "sqs.us-east-1.localhost:4566"}}, "sqs"),
        ({"headers": {"host": "monitoring.eu-west-1.amazonaws.com"}}, "cloudwatch"),
        ({"headers": {"host": "bucket.s3.us-east-1.localhost:4566"}, "path": "/key"}, "s3"),
        ({"query": "Action=GetCallerIdentity&Version=2011-06-15"}, "sts"),
        ({"query": "Version=2010-05-08&Action=ListRoles"}, "iam"),
        ({"query": "Action=X&NotVersion=2010-05-08"}, None),
        ({"path": "/2015-03-31/functions/f/invocations"}, "lambda"),
        ({"path": "/2017-03-31/tags/arn"}, "lambda"),
        ({"path": "/2015-03-31/other"}, None),
        ({"path": "/bucket/functions"}, None),
        (
            {
                "path": "/service/GraniteServiceVersion20100801/operation/ListMetrics",
                "headers": {"smithy-protocol": "rpc-v2-cbor"},
            },
            "cloudwatch",
        ),
        ({"path": "/service/Unheard/operation/X", "headers": {"smithy-protocol": "rpc-v2-cbor"}}, None),
        ({"path": "/service/GraniteServiceVersion20100801/operation/ListMetrics", "signing_name": "s3"}, "s3"),
        ({}, None),
    ],
)
def test_which_service_is_asked(request_: dict[str, Any], service: str | None) -> None:
    asked = {"headers": {}, "path": "/", "query": "", "signing_name": None} | request_
    headers, path, query = asked.pop("headers"), asked.pop("path"), asked.pop("query")
    assert service_name(headers, path, query, **asked) == service


@pytest.mark.parametrize("prefix", sorted(TARGET_PREFIXES))
def test_target_prefixes_are_those_of_the_models(prefix: str) -> None:
    assert ServiceModels().service(TARGET_PREFIXES[prefix]).metadata.target_prefix == prefix
