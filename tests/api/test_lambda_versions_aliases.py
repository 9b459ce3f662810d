"""Versions and aliases with boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.lambda_functions import create_function, package, wait_active

Unique = Callable[[str], str]
ARN = "arn:aws:lambda:us-east-1:000000000000:function"


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("lambda")


@pytest.fixture
def name(client: Any, unique: Unique) -> str:
    """A function whose versions 1 and 2 answer with their number."""
    name = unique("f")
    create_function(client, name, Code={"ZipFile": answering("1")}, Publish=True)
    client.update_function_code(FunctionName=name, ZipFile=answering("2"), Publish=True)
    wait_active(client, name)
    return name


def answering(answer: str) -> bytes:
    return package({"handler.py": f"def handler(event, context): return [{answer!r}, context.function_version]"})


def test_versions(client: Any, name: str) -> None:
    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [item["FunctionArn"] for item in versions] == [f"{ARN}:{name}:{v}" for v in ("$LATEST", "1", "2")]
    assert client.invoke(FunctionName=name, Qualifier="1")["Payload"].read() == b'["1", "1"]'
    assert client.invoke(FunctionName=name, Qualifier="2")["Payload"].read() == b'["2", "2"]'
    assert client.invoke(FunctionName=name)["Payload"].read() == b'["2", "$LATEST"]'

    again = client.publish_version(FunctionName=name)
    assert again["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert again["Version"] == "2", "nothing changed since"

    client.delete_function(FunctionName=name, Qualifier="1")
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.get_function(FunctionName=name, Qualifier="1")
    assert caught.value.response["Error"]["Message"] == f"Function not found: {ARN}:{name}:1"


def test_an_alias(client: Any, name: str) -> None:
    created = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["AliasArn"] == f"{ARN}:{name}:live"
    assert created["Description"] == ""
    assert "RoutingConfig" not in created

    answer = client.invoke(FunctionName=f"{name}:live")
    assert (answer["ExecutedVersion"], answer["Payload"].read()) == ("1", b'["1", "1"]')

    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RevisionId=created["RevisionId"])
    assert client.invoke(FunctionName=name, Qualifier="live")["ExecutedVersion"] == "2"
    with pytest.raises(client.exceptions.PreconditionFailedException) as caught:
        client.update_alias(FunctionName=name, Name="live", FunctionVersion="1", RevisionId=created["RevisionId"])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412

    assert [alias["Name"] for alias in client.list_aliases(FunctionName=name)["Aliases"]] == ["live"]
    deleted = client.delete_alias(FunctionName=name, Name="live")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.get_alias(FunctionName=name, Name="live")
    assert caught.value.response["Error"]["Message"] == f"Cannot find alias arn: {ARN}:{name}:live"


def test_weights_share_the_invokes(client: Any, name: str) -> None:
    routing = {"AdditionalVersionWeights": {"2": 0.5}}
    created = client.create_alias(FunctionName=name, Name="canary", FunctionVersion="1", RoutingConfig=routing)
    assert created["RoutingConfig"] == routing
    executed = {client.invoke(FunctionName=name, Qualifier="canary")["ExecutedVersion"] for _ in range(60)}
    assert executed == {"1", "2"}

    client.update_alias(FunctionName=name, Name="canary", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}})
    executed = {client.invoke(FunctionName=name, Qualifier="canary")["ExecutedVersion"] for _ in range(10)}
    assert executed == {"2"}
    assert "RoutingConfig" not in client.update_alias(FunctionName=name, Name="canary", RoutingConfig={})


@pytest.mark.parametrize(
    ("weights", "code", "message"),
    [
        ({"1": 0.1}, "InvalidParameterValueException", "Invalid function version 1. Function version 1 is already"),
        ({"2": 0.1, "3": 0.1}, "InvalidParameterValueException", "Number of items in AdditionalVersionWeights cannot"),
        ({"10": 0.1}, "ResourceNotFoundException", "Function not found: "),
        ({"2": 2.0}, "ValidationException", "1 validation error detected: Value '{2=2.0}' at 'routingConfig."),
        ({"a": 0.1}, "ValidationException", "1 validation error detected: Value '{a=0.1}' at 'routingConfig."),
    ],
)
def test_routing_that_is_refused(client: Any, name: str, weights: dict[str, float], code: str, message: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.create_alias(
            FunctionName=name,
            Name="bad",
            FunctionVersion="1",
            RoutingConfig={"AdditionalVersionWeights": weights},
        )
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["Error"]["Message"].startswith(message)


def test_a_version_that_an_alias_needs_stays(client: Any, name: str) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.delete_function(FunctionName=name, Qualifier="1")
