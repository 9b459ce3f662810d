"""Tags, event invoke configurations, runtime management, recursion, code signing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.api.lambda_functions import create_function

Aws = Callable[..., Any]
Unique = Callable[[str], str]
QUEUE = "arn:aws:sqs:us-east-1:000000000000:failed"


@pytest.fixture
def client(aws: Aws) -> Any:
    return aws("lambda")


@pytest.fixture
def function(client: Any, unique: Unique) -> str:
    name = unique("f")
    create_function(client, name, Tags={"made": "here"})
    return name


def arn_of(function: str) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{function}"


def refusal(client: Any, operation: str, **params: Any) -> tuple[str, str]:
    with pytest.raises(client.exceptions.ClientError) as caught:
        getattr(client, operation)(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_tags(client: Any, function: str) -> None:
    arn = arn_of(function)
    assert client.list_tags(Resource=arn)["Tags"] == {"made": "here"}

    tagged = client.tag_resource(Resource=arn, Tags={"a b": "x/y", "made": ""})

    assert tagged["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.get_function(FunctionName=function)["Tags"] == {"a b": "x/y", "made": ""}
    client.untag_resource(Resource=arn, TagKeys=["a b", "made"])
    assert client.list_tags(Resource=arn)["Tags"] == {}
    assert "Tags" not in client.get_function(FunctionName=function)


def test_tags_that_are_refused(client: Any, function: str) -> None:
    arn = arn_of(function)
    assert refusal(client, "tag_resource", Resource=arn, Tags={}) == (
        "InvalidParameterValueException",
        "An error occurred and the request cannot be processed.",
    )
    assert refusal(client, "tag_resource", Resource=arn, Tags={str(n): "" for n in range(51)}) == (
        "InvalidParameterValueException",
        "Number of tags exceeds resource tag limit.",
    )
    assert refusal(client, "list_tags", Resource=f"{arn}:live") == (
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    )
    assert refusal(client, "untag_resource", Resource=arn, TagKeys=[]) == (
        "ValidationException",
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
    )
    missing = arn_of("no-such-function")
    assert refusal(client, "list_tags", Resource=missing) == (
        "ResourceNotFoundException",
        f"Function not found: {missing}",
    )


def test_event_invoke_configs(client: Any, function: str) -> None:
    put = client.put_function_event_invoke_config(
        FunctionName=function, MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": QUEUE}}
    )

    assert isinstance(put["LastModified"], datetime)
    assert put["FunctionArn"] == f"{arn_of(function)}:$LATEST"
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}}
    assert "DestinationConfig" in put["ResponseMetadata"]["HTTPHeaders"]["x-lambent-simulated"]
    updated = client.update_function_event_invoke_config(FunctionName=function, MaximumEventAgeInSeconds=60)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (1, 60)
    listed = client.list_function_event_invoke_configs(FunctionName=function)["FunctionEventInvokeConfigs"]
    got = client.get_function_event_invoke_config(FunctionName=function)
    assert [got["DestinationConfig"]] == [config["DestinationConfig"] for config in listed]
    client.delete_function_event_invoke_config(FunctionName=function)
    assert refusal(client, "get_function_event_invoke_config", FunctionName=function) == (
        "ResourceNotFoundException",
        f"The function {arn_of(function)}:$LATEST doesn't have an EventInvokeConfig",
    )


def test_event_invoke_configs_that_are_refused(client: Any, function: str) -> None:
    put = "put_function_event_invoke_config"
    assert refusal(client, put, FunctionName=function) == (
        "InvalidParameterValueException",
        "You must specify at least one of error handling or destination setting.",
    )
    itself = {"OnSuccess": {"Destination": arn_of(function)}}
    assert refusal(client, put, FunctionName=function, DestinationConfig=itself) == (
        "InvalidParameterValueException",
        "You can't specify the function as a destination for itself.",
    )
    code, message = refusal(client, put, FunctionName=function, MaximumRetryAttempts=3)
    assert code == "ValidationException"
    assert "'maximumRetryAttempts' failed to satisfy constraint: Member must have value less than or equal" in message


def test_runtime_management(client: Any, function: str) -> None:
    current = client.get_function_configuration(FunctionName=function)["RuntimeVersionConfig"]["RuntimeVersionArn"]
    assert client.get_runtime_management_config(FunctionName=function)["UpdateRuntimeOn"] == "Auto"

    put = client.put_runtime_management_config(
        FunctionName=function, UpdateRuntimeOn="Manual", RuntimeVersionArn=current
    )

    assert put["RuntimeVersionArn"] == current
    got = client.get_runtime_management_config(FunctionName=function)
    assert (got["UpdateRuntimeOn"], got["RuntimeVersionArn"]) == ("Manual", current)
    code, _ = refusal(client, "put_runtime_management_config", FunctionName=function, UpdateRuntimeOn="Manual")
    assert code == "InvalidParameterValueException"


def test_recursion(client: Any, function: str) -> None:
    assert client.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Terminate"

    put = client.put_function_recursion_config(FunctionName=function, RecursiveLoop="Allow")

    assert "x-lambent-simulated" not in put["ResponseMetadata"]["HTTPHeaders"]
    assert client.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Allow"


def test_code_signing(client: Any, function: str) -> None:
    answer = client.get_function_code_signing_config(FunctionName=function)

    assert (answer["FunctionName"], answer["CodeSigningConfigArn"]) == (function, "")
    code, _ = refusal(client, "create_code_signing_config", AllowedPublishers={"SigningProfileVersionArns": ["a" * 20]})
    assert code == "NotImplementedException"
