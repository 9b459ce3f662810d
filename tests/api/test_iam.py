"""IAM through boto3 against a real server: what set-up scripts, Terraform, CDK and SAM do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Aws = Callable[..., Any]
Unique = Callable[[str], str]

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::ü/*"}],
}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int, str]:
    response = error.value.response
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return response["Error"]["Code"], status, response["Error"]["Message"]


def test_the_life_of_a_role_as_terraform_leads_it(aws: Aws, unique: Unique) -> None:
    iam, name = aws("iam"), unique("role")
    created = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="for tests",
        MaxSessionDuration=7200,
        Tags=[{"Key": "k", "Value": "v"}],
    )["Role"]
    assert created["Arn"] == f"arn:aws:iam::000000000000:role/{name}"
    assert created["AssumeRolePolicyDocument"] == TRUST
    iam.get_waiter("role_exists").wait(RoleName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 1})

    iam.attach_role_policy(RoleName=name, PolicyArn=BASIC)
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(POLICY))
    role = iam.get_role(RoleName=name)["Role"]
    assert role["Tags"] == [{"Key": "k", "Value": "v"}]
    assert role["MaxSessionDuration"] == 7200
    assert role["CreateDate"] == created["CreateDate"]
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == [
        {"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC}
    ]
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["inline"]
    assert iam.get_role_policy(RoleName=name, PolicyName="inline")["PolicyDocument"] == POLICY

    with pytest.raises(iam.exceptions.DeleteConflictException) as conflict:
        iam.delete_role(RoleName=name)
    assert code(conflict) == ("DeleteConflict", 409, "Cannot delete entity, must detach all policies first.")
    iam.detach_role_policy(RoleName=name, PolicyArn=BASIC)
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    assert iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == []
    iam.delete_role(RoleName=name)
    with pytest.raises(iam.exceptions.NoSuchEntityException) as gone:
        iam.get_role(RoleName=name)
    assert code(gone) == ("NoSuchEntity", 404, f"The role with name {name} cannot be found.")


def test_a_role_that_exists(aws: Aws, unique: Unique) -> None:
    iam, name = aws("iam"), unique("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException) as exists:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    assert code(exists) == ("EntityAlreadyExists", 409, f"Role with name {name} already exists.")


def test_roles_belong_to_an_account_whatever_the_region(aws: Aws, unique: Unique) -> None:
    name = unique("role")
    aws("iam", access_key="111122223333").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    elsewhere = aws("iam", access_key="111122223333", region="eu-west-1").get_role(RoleName=name)["Role"]
    assert elsewhere["Arn"] == f"arn:aws:iam::111122223333:role/{name}"
    with pytest.raises(ClientError, match="NoSuchEntity"):
        aws("iam").get_role(RoleName=name)


def test_managed_policies_and_their_versions(aws: Aws, unique: Unique) -> None:
    iam, name = aws("iam"), unique("policy")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(POLICY), Description="d")["Policy"]["Arn"]
    other = {**POLICY, "Statement": [{**POLICY["Statement"][0], "Effect": "Deny"}]}  # type: ignore[dict-item]
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(other), SetAsDefault=True)
    assert second["PolicyVersion"]["VersionId"] == "v2"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"] == POLICY
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v2", "v1"]
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy(PolicyArn=arn)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_policy(PolicyArn=arn)


def test_paginators_pass(aws: Aws, unique: Unique) -> None:
    iam, prefix = aws("iam", access_key="222233334444"), unique("p")
    names = [f"{prefix}-{number}" for number in range(5)]
    for name in names:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), Path=f"/{prefix}/")
    pages = iam.get_paginator("list_roles").paginate(
        PathPrefix=f"/{prefix}/", PaginationConfig={"PageSize": 2}
    )  # fmt: skip
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == names
    pages = iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 7})
    assert BASIC in [policy["Arn"] for page in pages for policy in page["Policies"]]


def test_a_malformed_document(aws: Aws, unique: Unique) -> None:
    iam = aws("iam")
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException) as malformed:
        iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=json.dumps(POLICY))
    assert code(malformed) == ("MalformedPolicyDocument", 400, "Has prohibited field Resource")
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException) as malformed:
        iam.create_policy(PolicyName=unique("policy"), PolicyDocument="not json")
    assert code(malformed) == ("MalformedPolicyDocument", 400, "Syntax errors in policy.")


def test_constraints_answer_in_iams_words(aws: Aws) -> None:
    iam = aws("iam", parameter_validation=False)
    with pytest.raises(ClientError) as invalid:
        iam.get_role(RoleName="not a name")
    assert code(invalid)[:2] == ("ValidationError", 400)
    assert "failed to satisfy constraint" in code(invalid)[2]


def test_what_is_not_evaluated_says_so(aws: Aws, unique: Unique) -> None:
    answer = aws("iam").create_role(RoleName=unique("role"), AssumeRolePolicyDocument=json.dumps(TRUST))
    assert "AssumeRolePolicyDocument" in answer["ResponseMetadata"]["HTTPHeaders"]["x-lambent-simulated"]
