"""CreateFunction to DeleteFunction with boto3."""

from __future__ import annotations

import base64
import hashlib
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.lambda_functions import ROLE, create_function, package, wait_active

Unique = Callable[[str], str]
ARN = "arn:aws:lambda:us-east-1:000000000000:function"


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("lambda")


def error_of(call: Callable[..., Any], /, **params: Any) -> tuple[int, str, str]:
    """Status, code and message of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"]["Message"],
    )


def least(name: str, **settings: Any) -> dict[str, Any]:
    return {
        "FunctionName": name,
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "handler.handler",
        "Code": {"ZipFile": package()},
    } | settings


def test_create_get_delete(client: Any, unique: Unique) -> None:
    name, zipped = unique("f"), package()
    created = client.create_function(**least(name, Code={"ZipFile": zipped}, Tags={"team": "a"}))
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["State"] == "Pending"
    assert created["CodeSha256"] == base64.b64encode(hashlib.sha256(zipped).digest()).decode()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", created["LastModified"])
    wait_active(client, name)

    found = client.get_function(FunctionName=f"{ARN}:{name}")
    assert found["Configuration"]["State"] == "Active"
    assert found["Configuration"]["LastUpdateStatus"] == "Successful"
    assert found["Tags"] == {"team": "a"}
    with urllib.request.urlopen(found["Code"]["Location"]) as download:
        assert download.read() == zipped

    deleted = client.delete_function(FunctionName=name)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert error_of(client.get_function, FunctionName=name) == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {ARN}:{name}",
    )


def test_a_code_location_cannot_be_forged(client: Any, unique: Unique) -> None:
    name = unique("f")
    create_function(client, name)
    location = client.get_function(FunctionName=name)["Code"]["Location"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(location[:-4] + "AAAA")
    with caught.value as refused:
        assert refused.code in {403, 404}


def test_all_waiters_pass(client: Any, unique: Unique) -> None:
    name = unique("f")
    client.create_function(**least(name, Publish=True))
    fast = {"Delay": 0.05, "MaxAttempts": 200}
    client.get_waiter("function_exists").wait(FunctionName=name, WaiterConfig=fast)
    client.get_waiter("function_active").wait(FunctionName=name, WaiterConfig=fast)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=fast)
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig=fast)
    client.update_function_configuration(FunctionName=name, Timeout=9)
    client.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig=fast)
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=fast)
    assert client.get_function_configuration(FunctionName=name)["Timeout"] == 9


def test_duplicates_conflict(client: Any, unique: Unique) -> None:
    name = unique("f")
    create_function(client, name)
    assert error_of(client.create_function, **least(name)) == (
        409,
        "ResourceConflictException",
        f"Function already exist: {name}",
    )


@pytest.mark.parametrize(
    ("settings", "status", "code", "message"),
    [
        (
            {"Code": {"ZipFile": b"not a zip"}},
            400,
            "InvalidParameterValueException",
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        (
            {"Runtime": "cobol85"},
            400,
            "InvalidParameterValueException",
            "Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ",
        ),
        (
            {"Runtime": "python3.7"},
            400,
            "InvalidParameterValueException",
            "The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions.",
        ),
        ({"Runtime": "java21"}, 400, "InvalidParameterValueException", "Lambent "),
        (
            {"Role": "r1"},
            400,
            "ValidationException",
            "1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: ",
        ),
        (
            {"Timeout": 901},
            400,
            "ValidationException",
            "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have "
            "value less than or equal to 900",
        ),
        (
            {"Code": {"S3Bucket": "some-bucket", "S3Key": "k"}},
            400,
            "InvalidParameterValueException",
            "Error occurred while GetObject. S3 Error Code: NoSuchBucket.",
        ),
        (
            {"Environment": {"Variables": {"AWS_REGION": "r"}}},
            400,
            "InvalidParameterValueException",
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys",
        ),
        (
            {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}},
            400,
            "InvalidParameterValueException",
            "Lambent does not support VpcConfig yet: ",
        ),
        (
            {"PackageType": "Image", "Code": {"ImageUri": "i"}},
            400,
            "InvalidParameterValueException",
            "Lambent does not support ",
        ),
    ],
)
def test_refusals(client: Any, unique: Unique, settings: dict[str, Any], status: int, code: str, message: str) -> None:
    name = unique("f")
    found = error_of(client.create_function, **least(name, **settings))
    assert found[:2] == (status, code)
    assert found[2].startswith(message)
    assert error_of(client.get_function, FunctionName=name)[0] == 404


def test_empty_values_that_tools_send_pass(client: Any, unique: Unique) -> None:
    """What Terraform and CDK send for blocks that a user left out."""
    name = unique("f")
    create_function(
        client,
        name,
        PackageType="Zip",
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
        DeadLetterConfig={"TargetArn": ""},
        KMSKeyArn="",
        FileSystemConfigs=[],
        Layers=[],
        SnapStart={"ApplyOn": "None"},
        TracingConfig={"Mode": "PassThrough"},
        Environment={"Variables": {}},
    )
    shown = client.get_function_configuration(FunctionName=name)
    assert shown["Environment"] == {"Variables": {}}
    assert not {"VpcConfig", "DeadLetterConfig", "KMSKeyArn", "FileSystemConfigs", "Layers"} & shown.keys()


def test_what_is_simulated_is_said(client: Any, unique: Unique) -> None:
    created = create_function(client, unique("f"), TracingConfig={"Mode": "Active"}, EphemeralStorage={"Size": 1024})
    simulated = created["ResponseMetadata"]["HTTPHeaders"]["x-lambent-simulated"].split(", ")
    assert {"TracingConfig", "EphemeralStorage"} <= set(simulated)


def test_a_name_of_65_characters(client: Any, unique: Unique) -> None:
    name = unique("f").ljust(65, "x")
    assert error_of(client.create_function, **least(name)) == (
        400,
        "InvalidParameterValueException",
        f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: Member must "
        "have length less than or equal to 64",
    )
    assert error_of(client.get_function, FunctionName=name)[1] == "ResourceNotFoundException"


def test_zipped_packages_have_a_limit(client: Any, unique: Unique) -> None:
    found = error_of(client.create_function, **least(unique("f"), Code={"ZipFile": b"\0" * 52_428_801}))
    assert found == (
        413,
        "RequestEntityTooLargeException",
        "Zipped size must be smaller than 52428800 bytes",
    )
    found = error_of(client.create_function, **least(unique("f"), Code={"ZipFile": b"\0" * 53_000_000}))
    assert found == (
        413,
        "RequestEntityTooLargeException",
        "Request must be smaller than 70167211 bytes for the CreateFunction operation",
    )


def test_update_code(client: Any, unique: Unique) -> None:
    name = unique("f")
    create_function(client, name)
    new = package({"handler.py": "def handler(event, context): return 'new'"})
    updated = client.update_function_code(FunctionName=name, ZipFile=new)
    assert updated["LastUpdateStatus"] == "InProgress"
    wait_active(client, name)
    assert client.invoke(FunctionName=name)["Payload"].read() == b'"new"'


def test_list_functions(aws: Callable[..., Any], unique: Unique) -> None:
    client = aws("lambda", region="eu-west-3")  # lists count a whole region: one that no other test uses
    names = sorted(unique(prefix) for prefix in "abc")
    for name in names:
        create_function(client, name)
    pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
    assert [[item["FunctionName"] for item in page["Functions"]] for page in pages] == [names[:2], names[2:]]
    assert "State" not in pages[0]["Functions"][0]
    assert error_of(client.list_functions, Marker="forged")[1] == "InvalidParameterValueException"
    assert error_of(client.list_functions, MasterRegion="ALL")[1] == "InvalidParameterValueException"


def test_other_regions_and_accounts_are_apart(aws: Callable[..., Any], unique: Unique) -> None:
    name = unique("f")
    create_function(aws("lambda"), name)
    assert error_of(aws("lambda", region="eu-west-1").get_function, FunctionName=name)[0] == 404
    assert error_of(aws("lambda", access_key="111111111111").get_function, FunctionName=name)[0] == 404
    assert error_of(aws("lambda", region="eu-west-1").get_function, FunctionName=f"{ARN}:{name}") == (
        404,
        "ResourceNotFoundException",
        "Functions from 'us-east-1' are not reachable in this region ('eu-west-1')",
    )
    assert error_of(aws("lambda", access_key="111111111111").get_function, FunctionName=f"{ARN}:{name}")[:2] == (
        403,
        "AccessDeniedException",
    )
