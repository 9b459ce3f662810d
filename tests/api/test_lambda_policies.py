from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.lambda_functions import create_function

Aws = Callable[..., Any]
Unique = Callable[[str], str]
GRANT = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}


@pytest.fixture
def client(aws: Aws) -> Any:
    return aws("lambda")


@pytest.fixture
def function(client: Any, unique: Unique) -> str:
    name = unique("f")
    create_function(client, name)
    return name


def revision(client: Any, function: str) -> str:
    found: str = client.get_function_configuration(FunctionName=function)["RevisionId"]
    return found


def test_a_grant_comes_and_goes(client: Any, function: str) -> None:
    before = revision(client, function)

    added = client.add_permission(
        FunctionName=function,
        StatementId="s3",
        SourceArn="arn:aws:s3:::bucket",
        SourceAccount="000000000000",
        RevisionId=before,
        **GRANT,
    )

    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    statement = {
        "Sid": "s3",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": f"arn:aws:lambda:us-east-1:000000000000:function:{function}",
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "000000000000"},
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
        },
    }
    assert json.loads(added["Statement"]) == statement
    policy = client.get_policy(FunctionName=function)
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert policy["RevisionId"] == revision(client, function) != before

    client.remove_permission(FunctionName=function, StatementId="s3", RevisionId=policy["RevisionId"])

    with pytest.raises(client.exceptions.ResourceNotFoundException, match="The resource you requested does not exist"):
        client.get_policy(FunctionName=function)


def test_the_answer_says_that_grants_are_not_evaluated(client: Any, function: str) -> None:
    answer = client.add_permission(FunctionName=function, StatementId="s", **GRANT)

    simulated = answer["ResponseMetadata"]["HTTPHeaders"]["x-lambent-simulated"]
    assert "Principal" in simulated
    assert "StatementId" not in simulated


def test_versions_and_aliases_have_policies_of_their_own(client: Any, function: str) -> None:
    client.publish_version(FunctionName=function)
    alias = client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    client.add_permission(FunctionName=function, Qualifier="1", StatementId="a", **GRANT)
    client.add_permission(FunctionName=f"{function}:live", StatementId="b", RevisionId=alias["RevisionId"], **GRANT)

    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_policy(FunctionName=function)
    for qualifier, sid in (("1", "a"), ("live", "b")):
        document = json.loads(client.get_policy(FunctionName=function, Qualifier=qualifier)["Policy"])
        assert [statement["Sid"] for statement in document["Statement"]] == [sid]
    assert (
        client.get_alias(FunctionName=function, Name="live")["RevisionId"]
        == client.get_policy(FunctionName=function, Qualifier="live")["RevisionId"]
    )

    client.delete_alias(FunctionName=function, Name="live")
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_policy(FunctionName=function, Qualifier="live")


def test_a_function_made_anew_has_no_old_policy(client: Any, function: str) -> None:
    client.add_permission(FunctionName=function, StatementId="s", **GRANT)
    client.delete_function(FunctionName=function)

    create_function(client, function)

    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_policy(FunctionName=function)


def test_a_whole_policy_replaces_grants(client: Any, function: str) -> None:
    client.add_permission(FunctionName=function, StatementId="s", **GRANT)
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "Principal": "*", "Action": ["lambda:Invoke*"], "Resource": arn}],
        }
    )

    put = client.put_resource_policy(ResourceArn=arn, Policy=document, RevisionId=revision(client, function))

    assert put["Policy"] == client.get_resource_policy(ResourceArn=arn)["Policy"] == document
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.delete_resource_policy(ResourceArn=arn, RevisionId="00000000-0000-0000-0000-000000000000")
    client.delete_resource_policy(ResourceArn=arn, RevisionId=put["RevisionId"])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_resource_policy(ResourceArn=arn)


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"Principal": "invalid.nonaws.com"}, "InvalidParameterValueException", "The provided principal was invalid."),
        ({"Qualifier": "$LATEST"}, "InvalidParameterValueException", "We currently do not support adding policies"),
        ({"Qualifier": "42"}, "ResourceNotFoundException", "Function not found: "),
        ({"Qualifier": "no"}, "ResourceNotFoundException", "Cannot find alias arn: "),
        ({"RevisionId": "wrong"}, "PreconditionFailedException", "The Revision Id provided does not match"),
        ({"Action": "s3:GetObject"}, "ValidationException", "1 validation error detected: "),
        ({"FunctionName": "no-such-function"}, "ResourceNotFoundException", "Function not found: "),
    ],
)
def test_what_is_refused(client: Any, function: str, params: dict[str, str], code: str, message: str) -> None:
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.add_permission(**{"FunctionName": function, "StatementId": "s"} | GRANT | params)

    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert error["Message"].startswith(message)


def test_removing_what_is_not_there(client: Any, function: str) -> None:
    def refusal(**params: str) -> str:
        with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
            client.remove_permission(**{"FunctionName": function, "StatementId": "a.b"} | params)
        message: str = caught.value.response["Error"]["Message"]
        return message

    assert refusal() == "No policy is associated with the given resource."
    client.add_permission(FunctionName=function, StatementId="s", **GRANT)
    assert refusal() == "Statement a.b is not found in resource policy."
    arn = "arn:aws:lambda:us-east-1:000000000000:function:no-such-function"
    assert refusal(FunctionName="no-such-function") == f"No policy found for: {arn}"
