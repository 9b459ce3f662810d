"""STS through boto3 against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lambent.testing.server import ServerProcess
from tests.api.test_iam import TRUST, code

Aws = Callable[..., Any]


def test_any_credentials_are_the_root_of_their_account(aws: Aws) -> None:
    identity = aws("sts").get_caller_identity()
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:iam::000000000000:root"
    assert aws("sts", access_key="123456789012").get_caller_identity()["Account"] == "123456789012"


def test_an_assumed_role_is_who_its_credentials_say(
    aws: Aws, server: ServerProcess, unique: Callable[[str], str]
) -> None:
    name = unique("role")
    role = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    answer = aws("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session", DurationSeconds=900)
    credentials = answer["Credentials"]
    left = credentials["Expiration"] - datetime.now(UTC)
    assert timedelta(seconds=890) < left < timedelta(seconds=910)
    assumed = boto3.session.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], "us-east-1"
    ).client("sts", endpoint_url=server.endpoint)
    identity = assumed.get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::000000000000:assumed-role/{name}/session"
    assert identity["UserId"] == f"{role['RoleId']}:session" == answer["AssumedRoleUser"]["AssumedRoleId"]


def test_a_role_that_does_not_exist_cannot_be_assumed(aws: Aws, unique: Callable[[str], str]) -> None:
    arn = f"arn:aws:iam::000000000000:role/{unique('none')}"
    with pytest.raises(ClientError) as denied:
        aws("sts").assume_role(RoleArn=arn, RoleSessionName="session")
    assert code(denied)[:2] == ("AccessDenied", 403)
    assert arn in code(denied)[2]


def test_session_tokens(aws: Aws) -> None:
    credentials = aws("sts").get_session_token()["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert aws("sts").get_access_key_info(AccessKeyId=credentials["AccessKeyId"])["Account"] == "000000000000"
