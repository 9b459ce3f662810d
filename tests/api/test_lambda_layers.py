from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.lambda_functions import create_function, own_account, package, wait_active

Aws = Callable[..., Any]
Unique = Callable[[str], str]
SHARED = {"python/shared.py": "ANSWER = 42\n"}
USES_SHARED = {"handler.py": "import shared\n\n\ndef handler(event, context):\n    return shared.ANSWER\n"}


def publish(client: Any, name: str, files: dict[str, str] | None = None, **params: Any) -> Any:
    return client.publish_layer_version(LayerName=name, Content={"ZipFile": package(files or SHARED)}, **params)


def invoke(client: Any, name: str) -> Any:
    answer = client.invoke(FunctionName=name, Payload=b"{}")
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


def test_a_layer_is_published_found_and_downloaded(aws: Aws, unique: Unique) -> None:
    client, name = aws("lambda"), unique("layer")

    published = publish(client, name, CompatibleRuntimes=["python3.13"], Description="shared code")

    assert published["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert published["LayerVersionArn"] == f"{published['LayerArn']}:1"
    with urllib.request.urlopen(published["Content"]["Location"]) as response:
        assert response.read() == package(SHARED)
    for found in (
        client.get_layer_version(LayerName=name, VersionNumber=1),
        client.get_layer_version_by_arn(Arn=published["LayerVersionArn"]),
    ):
        assert found["Content"]["CodeSha256"] == published["Content"]["CodeSha256"]
        assert (found["Description"], found["CompatibleRuntimes"]) == ("shared code", ["python3.13"])


def test_lists_of_layers_and_versions(aws: Aws, unique: Unique) -> None:
    client = aws("lambda", access_key=own_account())
    for name in ("b", "a", "a", "c"):
        publish(client, name)

    layers = client.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 2}).build_full_result()
    versions = client.get_paginator("list_layer_versions").paginate(LayerName="a", PaginationConfig={"PageSize": 1})

    assert [(layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for layer in layers["Layers"]] == [
        ("a", 2),
        ("b", 1),
        ("c", 1),
    ]
    assert [version["Version"] for version in versions.build_full_result()["LayerVersions"]] == [2, 1]


def test_a_function_uses_a_layer_even_after_it_was_deleted(aws: Aws, unique: Unique) -> None:
    client, name, layer = aws("lambda"), unique("f"), unique("layer")
    arn = publish(client, layer)["LayerVersionArn"]
    created = create_function(client, name, Layers=[arn], Code={"ZipFile": package(USES_SHARED)})
    assert created["Layers"] == [{"Arn": arn, "CodeSize": len(package(SHARED))}]

    client.delete_layer_version(LayerName=layer, VersionNumber=1)
    client.delete_layer_version(LayerName=layer, VersionNumber=1)

    assert invoke(client, name) == 42
    client.update_function_configuration(FunctionName=name, Description="still there")
    wait_active(client, name)
    assert invoke(client, name) == 42
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_layer_version(LayerName=layer, VersionNumber=1)


def test_later_layers_win(aws: Aws, unique: Unique) -> None:
    client, name = aws("lambda"), unique("f")
    first = publish(client, unique("layer"))["LayerVersionArn"]
    second = publish(client, unique("layer"), {"python/shared.py": "ANSWER = 43\n"})["LayerVersionArn"]
    create_function(client, name, Layers=[first, second], Code={"ZipFile": package(USES_SHARED)})

    assert invoke(client, name) == 43


def test_layers_that_a_function_cannot_have(aws: Aws, unique: Unique) -> None:
    client, name, layer = aws("lambda"), unique("f"), unique("layer")
    first, second = (publish(client, layer)["LayerVersionArn"] for _ in range(2))
    elsewhere = publish(aws("lambda", region="eu-west-1"), layer)["LayerVersionArn"]
    missing = first.replace(f":{layer}:", ":no-such-layer:")
    refusals = {
        (missing,): f"Layer version {missing} does not exist.",
        (first, second): "Two different versions of the same layer are not allowed to be referenced in the same "
        f"function. {first} and {second} are versions of the same layer.",
        (elsewhere,): "Layers are not in the same region as the function. "
        "Layers are expected to be in region us-east-1.",
        tuple(f"{first[: -len(layer) - 2]}l{n}:1" for n in range(6)): "Cannot reference more than 5 layers.",
    }

    for layers, message in refusals.items():
        with pytest.raises(client.exceptions.InvalidParameterValueException) as caught:
            create_function(client, name, Layers=list(layers))
        assert caught.value.response["Error"]["Message"] == message


def test_policies_of_layers(aws: Aws, unique: Unique) -> None:
    client, layer = aws("lambda"), unique("layer")
    publish(client, layer)
    which = {"LayerName": layer, "VersionNumber": 1}
    grant = which | {"StatementId": "s1", "Action": "lambda:GetLayerVersion", "Principal": "*"}

    added = client.add_layer_version_permission(**grant)

    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    policy = client.get_layer_version_policy(**which)
    assert policy["RevisionId"] == added["RevisionId"]
    assert json.loads(policy["Policy"])["Statement"] == [json.loads(added["Statement"])]
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.add_layer_version_permission(**grant)
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.remove_layer_version_permission(**which, StatementId="s1", RevisionId="stale")
    client.remove_layer_version_permission(**which, StatementId="s1", RevisionId=added["RevisionId"])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_layer_version_policy(**which)


def test_another_account_needs_a_grant(aws: Aws, unique: Unique) -> None:
    client, layer, account = aws("lambda"), unique("layer"), own_account()
    other = aws("lambda", access_key=account)
    arn = publish(client, layer)["LayerVersionArn"]
    with pytest.raises(other.exceptions.ClientError) as caught:
        other.get_layer_version_by_arn(Arn=arn)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"

    client.add_layer_version_permission(
        LayerName=layer, VersionNumber=1, StatementId="s", Action="lambda:GetLayerVersion", Principal=account
    )

    create_function(other, unique("f"), Layers=[arn])


def test_what_is_refused(aws: Aws, unique: Unique) -> None:
    client, layer = aws("lambda"), unique("layer")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="Could not unzip uploaded file"):
        client.publish_layer_version(LayerName=layer, Content={"ZipFile": b"no zip"})
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="Layer Version Cannot be less than 1"):
        client.get_layer_version(LayerName=layer, VersionNumber=0)
    with pytest.raises(client.exceptions.ClientError) as caught:
        publish(client, layer, CompatibleRuntimes=["python9"], CompatibleArchitectures=["z80"])
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert error["Message"].startswith("2 validation errors detected: ")
    with pytest.raises(client.exceptions.ClientError, match="'action' failed to satisfy constraint"):
        client.add_layer_version_permission(
            LayerName=layer, VersionNumber=1, StatementId="s", Action="*", Principal="*"
        )
