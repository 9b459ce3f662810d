from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from lambent.core.errors import AwsError
from lambent.iam.roles import find_role
from tests.unit.iam.conftest import Iam
from tests.unit.iam.documents import BASIC, READ, TRUST


async def refused(iam: Iam, name: str, **params: object) -> tuple[str, int, str]:
    with pytest.raises(AwsError) as caught:
        await iam(name, **params)
    return caught.value.code, caught.value.status, caught.value.message


async def test_a_role_answers_as_it_was_created(iam: Iam) -> None:
    created = await iam(
        "CreateRole",
        RoleName="r",
        Path="/team/",
        AssumeRolePolicyDocument=TRUST,
        Description="d",
        MaxSessionDuration=7200,
        Tags=[{"Key": "Team", "Value": "x"}],
        PermissionsBoundary=BASIC,
    )
    role = created["Role"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/team/r"
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", role["RoleId"])
    assert role["CreateDate"] == 1_767_225_600
    assert unquote(role["AssumeRolePolicyDocument"]) == TRUST
    assert not set('{}":, ') & set(role["AssumeRolePolicyDocument"])
    assert (await iam("GetRole", RoleName="r"))["Role"] == role | {"RoleLastUsed": {}}
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BASIC


async def test_a_plain_role_has_the_members_that_aws_answers(iam: Iam) -> None:
    created = (await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST))["Role"]
    plain = {"Path", "RoleName", "RoleId", "Arn", "CreateDate", "AssumeRolePolicyDocument"}
    assert created.keys() == plain
    read = (await iam("GetRole", RoleName="r"))["Role"]
    assert read.keys() == plain | {"MaxSessionDuration", "RoleLastUsed"}
    assert read["MaxSessionDuration"] == 3600


async def test_names_are_unique_whatever_their_case(iam: Iam) -> None:
    await iam("CreateRole", RoleName="Role", AssumeRolePolicyDocument=TRUST)
    for name in ("Role", "role"):
        assert await refused(iam, "CreateRole", RoleName=name, AssumeRolePolicyDocument=TRUST) == (
            "EntityAlreadyExists",
            409,
            f"Role with name {name} already exists.",
        )
    await iam("CreateRole", account="111111111111", RoleName="Role", AssumeRolePolicyDocument=TRUST)


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("GetRole", {}),
        ("UpdateRole", {}),
        ("UpdateRoleDescription", {"Description": "x"}),
        ("UpdateAssumeRolePolicy", {"PolicyDocument": TRUST}),
        ("DeleteRole", {}),
        ("ListRoleTags", {}),
        ("TagRole", {"Tags": []}),
        ("UntagRole", {"TagKeys": []}),
        ("PutRolePolicy", {"PolicyName": "p", "PolicyDocument": READ}),
        ("GetRolePolicy", {"PolicyName": "p"}),
        ("DeleteRolePolicy", {"PolicyName": "p"}),
        ("ListRolePolicies", {}),
        ("AttachRolePolicy", {"PolicyArn": BASIC}),
        ("DetachRolePolicy", {"PolicyArn": BASIC}),
        ("ListAttachedRolePolicies", {}),
        ("PutRolePermissionsBoundary", {"PermissionsBoundary": BASIC}),
        ("DeleteRolePermissionsBoundary", {}),
        ("ListInstanceProfilesForRole", {}),
    ],
)
async def test_a_missing_role_is_named(iam: Iam, operation: str, params: dict[str, object]) -> None:
    answer = await refused(iam, operation, RoleName="gone", **params)
    assert answer == ("NoSuchEntity", 404, "The role with name gone cannot be found.")


async def test_updates(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST, Description="old", MaxSessionDuration=7200)
    await iam("UpdateRole", RoleName="r", Description="new")
    role = (await iam("GetRole", RoleName="r"))["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("new", 3600)
    answer = await iam("UpdateRoleDescription", RoleName="r", Description="newer")
    assert answer["Role"]["Description"] == "newer"
    trust = TRUST.replace("lambda.", "events.")
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=trust)
    assert unquote((await iam("GetRole", RoleName="r"))["Role"]["AssumeRolePolicyDocument"]) == trust


async def test_a_role_in_use_is_not_deleted(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    await iam("AttachRolePolicy", RoleName="r", PolicyArn=BASIC)
    await iam("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=READ)
    conflict = ("DeleteConflict", 409, "Cannot delete entity, must detach all policies first.")
    assert await refused(iam, "DeleteRole", RoleName="r") == conflict
    await iam("DetachRolePolicy", RoleName="r", PolicyArn=BASIC)
    conflict = ("DeleteConflict", 409, "Cannot delete entity, must delete policies first.")
    assert await refused(iam, "DeleteRole", RoleName="r") == conflict
    await iam("DeleteRolePolicy", RoleName="r", PolicyName="p")
    await iam("DeleteRole", RoleName="r")
    assert (await refused(iam, "GetRole", RoleName="r"))[0] == "NoSuchEntity"


async def test_listing_pages_by_name_within_a_path(iam: Iam) -> None:
    for name in ("c", "a", "b"):
        await iam("CreateRole", RoleName=name, AssumeRolePolicyDocument=TRUST, Path="/in/")
    await iam("CreateRole", RoleName="out", AssumeRolePolicyDocument=TRUST)
    await iam("CreateRole", account="111111111111", RoleName="other", AssumeRolePolicyDocument=TRUST)
    first = await iam("ListRoles", PathPrefix="/in/", MaxItems=2)
    assert [role["RoleName"] for role in first["Roles"]] == ["a", "b"]
    assert first["IsTruncated"]
    second = await iam("ListRoles", PathPrefix="/in/", MaxItems=2, Marker=first["Marker"])
    assert [role["RoleName"] for role in second["Roles"]] == ["c"]
    assert (second["IsTruncated"], "Marker" in second) == (False, False)
    assert len((await iam("ListRoles"))["Roles"]) == 4
    assert (await refused(iam, "ListRoles", Marker="forged"))[0] == "ValidationError"


async def test_inline_policies(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    for name in ("q", "p"):
        await iam("PutRolePolicy", RoleName="r", PolicyName=name, PolicyDocument=READ)
    got = await iam("GetRolePolicy", RoleName="r", PolicyName="p")
    assert unquote(got["PolicyDocument"]) == READ
    assert (got["RoleName"], got["PolicyName"]) == ("r", "p")
    assert (await iam("ListRolePolicies", RoleName="r"))["PolicyNames"] == ["p", "q"]
    missing = ("NoSuchEntity", 404, "The role policy with name x cannot be found.")
    assert await refused(iam, "GetRolePolicy", RoleName="r", PolicyName="x") == missing
    assert await refused(iam, "DeleteRolePolicy", RoleName="r", PolicyName="x") == missing
    big = READ.replace("bucket", "b" * 10_240)
    assert await refused(iam, "PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=big) == (
        "LimitExceeded",
        409,
        "Maximum policy size of 10240 bytes exceeded for role r",
    )


async def test_attachments(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    own = (await iam("CreatePolicy", PolicyName="own", Path="/x/", PolicyDocument=READ))["Policy"]["Arn"]
    for arn in (BASIC, own, BASIC):
        await iam("AttachRolePolicy", RoleName="r", PolicyArn=arn)
    listed = (await iam("ListAttachedRolePolicies", RoleName="r"))["AttachedPolicies"]
    assert listed == [
        {"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC},
        {"PolicyName": "own", "PolicyArn": own},
    ]
    in_path = await iam("ListAttachedRolePolicies", RoleName="r", PathPrefix="/x/")
    assert [policy["PolicyName"] for policy in in_path["AttachedPolicies"]] == ["own"]
    unknown = "arn:aws:iam::aws:policy/NoSuchThing"
    assert await refused(iam, "AttachRolePolicy", RoleName="r", PolicyArn=unknown) == (
        "NoSuchEntity",
        404,
        f"Policy {unknown} does not exist or is not attachable.",
    )
    assert await refused(iam, "AttachRolePolicy", RoleName="r", PolicyArn="AmazonS3FullAccess-no-arn") == (
        "InvalidInput",
        400,
        "ARN AmazonS3FullAccess-no-arn is not valid.",
    )
    await iam("DetachRolePolicy", RoleName="r", PolicyArn=own)
    assert await refused(iam, "DetachRolePolicy", RoleName="r", PolicyArn=own) == (
        "NoSuchEntity",
        404,
        f"Policy {own} was not found.",
    )


async def test_a_role_holds_ten_managed_policies(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    for number in range(11):
        arn = (await iam("CreatePolicy", PolicyName=f"p{number}", PolicyDocument=READ))["Policy"]["Arn"]
        if number < 10:
            await iam("AttachRolePolicy", RoleName="r", PolicyArn=arn)
    answer = await refused(iam, "AttachRolePolicy", RoleName="r", PolicyArn=arn)
    assert answer == ("LimitExceeded", 409, "Cannot exceed quota for PoliciesPerRole: 10")


async def test_boundaries(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    assert (await refused(iam, "DeleteRolePermissionsBoundary", RoleName="r"))[0] == "NoSuchEntity"
    await iam("PutRolePermissionsBoundary", RoleName="r", PermissionsBoundary=BASIC)
    assert (await iam("GetRole", RoleName="r"))["Role"]["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": BASIC,
    }
    users = await iam("ListEntitiesForPolicy", PolicyArn=BASIC)
    assert [role["RoleName"] for role in users["PolicyRoles"]] == ["r"]
    only = await iam("ListEntitiesForPolicy", PolicyArn=BASIC, PolicyUsageFilter="PermissionsPolicy")
    assert only["PolicyRoles"] == []
    await iam("DeleteRolePermissionsBoundary", RoleName="r")
    assert "PermissionsBoundary" not in (await iam("GetRole", RoleName="r"))["Role"]


async def test_tags_keep_their_case_but_do_not_differ_by_it(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST, Tags=[{"Key": "Team", "Value": "a"}])
    await iam("TagRole", RoleName="r", Tags=[{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}])
    tags = (await iam("ListRoleTags", RoleName="r"))["Tags"]
    assert tags == [{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}]
    await iam("UntagRole", RoleName="r", TagKeys=["TEAM", "never-there"])
    assert (await iam("ListRoleTags", RoleName="r"))["Tags"] == [{"Key": "x", "Value": ""}]
    twice = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
    assert await refused(iam, "TagRole", RoleName="r", Tags=twice) == (
        "InvalidInput",
        400,
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    )
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    assert (await refused(iam, "TagRole", RoleName="r", Tags=many))[0] == "LimitExceeded"


async def test_service_linked_roles_are_protected(iam: Iam) -> None:
    role = (await iam("CreateServiceLinkedRole", AWSServiceName="lambda.amazonaws.com"))["Role"]
    assert role["Arn"] == (
        "arn:aws:iam::000000000000:role/aws-service-role/lambda.amazonaws.com/AWSServiceRoleForLambda"
    )
    name = role["RoleName"]
    assert await refused(iam, "DeleteRole", RoleName=name) == (
        "UnmodifiableEntity",
        400,
        f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS",
    )
    again = await refused(iam, "CreateServiceLinkedRole", AWSServiceName="lambda.amazonaws.com")
    assert again == (
        "InvalidInput",
        400,
        f"Service role name {name} has been taken in this account, please try a different suffix.",
    )
    assert (await refused(iam, "CreateServiceLinkedRole", AWSServiceName="ec2.example.com"))[0] == "InvalidInput"


async def test_a_role_is_found_by_its_whole_arn(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", Path="/p/", AssumeRolePolicyDocument=TRUST)

    async def found(account: str, arn: str) -> bool:
        return await iam.database.read(lambda tx: find_role(tx, account, arn)) is not None

    assert await found("000000000000", "arn:aws:iam::000000000000:role/p/r")
    assert not await found("000000000000", "arn:aws:iam::000000000000:role/r")
    assert not await found("111111111111", "arn:aws:iam::000000000000:role/p/r")
    assert not await found("000000000000", "arn:aws:iam::000000000000:user/r")
    assert not await found("000000000000", "nonsense")


async def test_a_long_trust_policy_is_refused(iam: Iam) -> None:
    long = TRUST.replace("lambda.", "x" * 2048 + ".")
    answer = await refused(iam, "CreateRole", RoleName="r", AssumeRolePolicyDocument=long)
    assert answer == ("LimitExceeded", 409, "Cannot exceed quota for ACLSizePerRole: 2048")
