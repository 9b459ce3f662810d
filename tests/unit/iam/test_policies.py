from __future__ import annotations

import json
import re
from urllib.parse import unquote

import botocore.session
import pytest

from lambent.iam import aws_managed
from lambent.iam.policy_document import check_identity_policy
from tests.unit.iam.conftest import Iam
from tests.unit.iam.documents import BASIC, READ, TRUST, document
from tests.unit.iam.test_roles import refused

OTHER = READ.replace("GetObject", "PutObject")


async def create(iam: Iam, name: str = "p", **params: object) -> str:
    return str((await iam("CreatePolicy", PolicyName=name, PolicyDocument=READ, **params))["Policy"]["Arn"])


async def test_a_policy_answers_as_it_was_created(iam: Iam) -> None:
    tags = [{"Key": "a", "Value": "b"}]
    created = (await iam("CreatePolicy", PolicyName="p", Path="/x/", PolicyDocument=READ, Description="d", Tags=tags))[
        "Policy"
    ]
    assert created["Arn"] == "arn:aws:iam::000000000000:policy/x/p"
    assert re.fullmatch(r"ANPA[A-Z2-7]{17}", created["PolicyId"])
    assert (created["DefaultVersionId"], created["AttachmentCount"], created["IsAttachable"]) == ("v1", 0, True)
    assert "Description" not in created
    assert (await iam("GetPolicy", PolicyArn=created["Arn"]))["Policy"] == created | {"Description": "d"}
    version = (await iam("GetPolicyVersion", PolicyArn=created["Arn"], VersionId="v1"))["PolicyVersion"]
    assert unquote(version["Document"]) == READ
    assert version["IsDefaultVersion"]


async def test_names_are_unique_whatever_their_path_and_case(iam: Iam) -> None:
    await create(iam)
    answer = await refused(iam, "CreatePolicy", PolicyName="P", Path="/x/", PolicyDocument=READ)
    assert answer == ("EntityAlreadyExists", 409, "A policy called P already exists. Duplicate names are not allowed.")


async def test_missing_policies_are_named(iam: Iam) -> None:
    arn = "arn:aws:iam::000000000000:policy/gone"
    assert await refused(iam, "GetPolicy", PolicyArn=arn) == ("NoSuchEntity", 404, f"Policy {arn} was not found.")
    unusable = ("NoSuchEntity", 404, f"Policy {arn} does not exist or is not attachable.")
    assert await refused(iam, "DeletePolicy", PolicyArn=arn) == unusable
    assert await refused(iam, "ListEntitiesForPolicy", PolicyArn=arn) == unusable
    own = await create(iam)
    assert await refused(iam, "GetPolicyVersion", PolicyArn=own, VersionId="v2") == (
        "NoSuchEntity",
        404,
        f"Policy {own} version v2 does not exist or is not attachable.",
    )


async def test_versions(iam: Iam) -> None:
    arn = await create(iam)
    await iam.clock.advance(60)
    second = await iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=OTHER, SetAsDefault=True)
    assert second["PolicyVersion"] == {"VersionId": "v2", "IsDefaultVersion": True, "CreateDate": 1_767_225_660}
    policy = (await iam("GetPolicy", PolicyArn=arn))["Policy"]
    assert policy["DefaultVersionId"] == "v2"
    assert policy["UpdateDate"] - policy["CreateDate"] == 60
    for _ in range(3):
        await iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=OTHER)
    listed = (await iam("ListPolicyVersions", PolicyArn=arn))["Versions"]
    assert [version["VersionId"] for version in listed] == ["v5", "v4", "v3", "v2", "v1"]
    answer = await refused(iam, "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=OTHER)
    assert answer[:2] == ("LimitExceeded", 409)
    assert answer[2].startswith("A managed policy can have up to 5 versions.")
    conflict = ("DeleteConflict", 409, "Cannot delete the default version of a policy.")
    assert await refused(iam, "DeletePolicyVersion", PolicyArn=arn, VersionId="v2") == conflict
    await iam("DeletePolicyVersion", PolicyArn=arn, VersionId="v5")
    # A deleted version's number does not come back.
    sixth = await iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=OTHER)
    assert sixth["PolicyVersion"]["VersionId"] == "v6"
    await iam("SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v1")
    assert (await iam("GetPolicy", PolicyArn=arn))["Policy"]["DefaultVersionId"] == "v1"


async def test_a_policy_in_use_is_not_deleted(iam: Iam) -> None:
    arn = await create(iam)
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    await iam("AttachRolePolicy", RoleName="r", PolicyArn=arn)
    assert (await iam("GetPolicy", PolicyArn=arn))["Policy"]["AttachmentCount"] == 1
    attached = ("DeleteConflict", 409, "Cannot delete a policy attached to entities.")
    assert await refused(iam, "DeletePolicy", PolicyArn=arn) == attached
    await iam("DetachRolePolicy", RoleName="r", PolicyArn=arn)
    await iam("PutRolePermissionsBoundary", RoleName="r", PermissionsBoundary=arn)
    assert (await iam("GetPolicy", PolicyArn=arn))["Policy"]["PermissionsBoundaryUsageCount"] == 1
    assert await refused(iam, "DeletePolicy", PolicyArn=arn) == attached
    await iam("DeleteRolePermissionsBoundary", RoleName="r")
    await iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=OTHER)
    code, _, message = await refused(iam, "DeletePolicy", PolicyArn=arn)
    assert code == "DeleteConflict"
    assert message.startswith("This policy has more than one version.")
    await iam("DeletePolicyVersion", PolicyArn=arn, VersionId="v2")
    await iam("DeletePolicy", PolicyArn=arn)
    assert await create(iam) == arn  # the name is free again, with one version
    assert len((await iam("ListPolicyVersions", PolicyArn=arn))["Versions"]) == 1


async def test_listing(iam: Iam) -> None:
    await create(iam, "zz", Path="/x/")
    await create(iam, "aa")
    local = await iam("ListPolicies", Scope="Local", MaxItems=1)
    assert [policy["PolicyName"] for policy in local["Policies"]] == ["aa"]
    rest = await iam("ListPolicies", Scope="Local", MaxItems=1, Marker=local["Marker"])
    assert [policy["PolicyName"] for policy in rest["Policies"]] == ["zz"]
    everything = (await iam("ListPolicies"))["Policies"]
    aws = (await iam("ListPolicies", Scope="AWS"))["Policies"]
    assert len(everything) == len(aws) + 2
    assert all(policy["Arn"].startswith("arn:aws:iam::aws:policy/") for policy in aws)
    in_path = await iam("ListPolicies", PathPrefix="/x/")
    assert [policy["PolicyName"] for policy in in_path["Policies"]] == ["zz"]
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST, PermissionsBoundary=BASIC)
    bounding = await iam("ListPolicies", PolicyUsageFilter="PermissionsBoundary")
    assert [policy["Arn"] for policy in bounding["Policies"]] == [BASIC]
    assert (await iam("ListPolicies", OnlyAttached=True))["Policies"] == []


async def test_aws_managed_policies_can_be_read_but_not_changed(iam: Iam) -> None:
    policy = (await iam("GetPolicy", PolicyArn=BASIC))["Policy"]
    assert (policy["PolicyName"], policy["Path"]) == ("AWSLambdaBasicExecutionRole", "/service-role/")
    got = await iam("GetPolicyVersion", PolicyArn=BASIC, VersionId=policy["DefaultVersionId"])
    statement = json.loads(unquote(got["PolicyVersion"]["Document"]))["Statement"][0]
    assert statement["Action"] == ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    assert (await refused(iam, "DeletePolicy", PolicyArn=BASIC))[:2] == ("AccessDenied", 403)
    by_name = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    code, _, message = await refused(iam, "GetPolicyVersion", PolicyArn=by_name, VersionId="v1")
    assert code == "NotImplementedException"
    assert "by name only" in message


def test_the_kept_documents_pass_our_own_check() -> None:
    policies = aws_managed.every("aws")
    kept = [version for policy in policies if (version := aws_managed.default_version(policy)) is not None]
    assert len(kept) >= 12
    for version in kept:
        check_identity_policy(version.document, managed=True)
    assert len({policy.policy_id for policy in policies}) == len(policies)


async def test_policy_tags_and_entities(iam: Iam) -> None:
    arn = await create(iam)
    await iam("TagPolicy", PolicyArn=arn, Tags=[{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "2"}])
    await iam("UntagPolicy", PolicyArn=arn, TagKeys=["b"])
    assert (await iam("ListPolicyTags", PolicyArn=arn))["Tags"] == [{"Key": "a", "Value": "2"}]
    await iam("CreateRole", RoleName="r", Path="/x/", AssumeRolePolicyDocument=TRUST)
    await iam("AttachRolePolicy", RoleName="r", PolicyArn=arn)
    entities = await iam("ListEntitiesForPolicy", PolicyArn=arn)
    assert [role["RoleName"] for role in entities["PolicyRoles"]] == ["r"]
    assert (entities["PolicyUsers"], entities["PolicyGroups"]) == ([], [])
    assert (await iam("ListEntitiesForPolicy", PolicyArn=arn, EntityFilter="User"))["PolicyRoles"] == []
    assert (await iam("ListEntitiesForPolicy", PolicyArn=arn, PathPrefix="/y/"))["PolicyRoles"] == []


async def test_malformed_and_oversized_documents(iam: Iam) -> None:
    answer = await refused(iam, "CreatePolicy", PolicyName="p", PolicyDocument="{")
    assert answer == ("MalformedPolicyDocument", 400, "Syntax errors in policy.")
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::" + "b" * 6144}
    answer = await refused(iam, "CreatePolicy", PolicyName="p", PolicyDocument=document(statement))
    assert answer == ("LimitExceeded", 409, "Cannot exceed quota for PolicySize: 6144")


@pytest.mark.parametrize("table", ["enforced", "simulated", "rejected"])
async def test_the_parameter_tables_name_parameters_that_exist(iam: Iam, table: str) -> None:
    model = botocore.session.get_session().get_service_model("iam")
    for operation in iam.operations.values():
        members = model.operation_model(operation.name).input_shape.members
        assert set(getattr(operation, table)) <= set(members), operation.name


async def test_no_parameter_is_left_out_of_the_tables(iam: Iam) -> None:
    model = botocore.session.get_session().get_service_model("iam")
    for operation in iam.operations.values():
        listed = {*operation.enforced, *operation.simulated, *operation.rejected}
        assert listed == set(model.operation_model(operation.name).input_shape.members), operation.name
