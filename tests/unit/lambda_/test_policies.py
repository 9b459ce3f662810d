from __future__ import annotations

import json
from typing import Any

import pytest

from lambent.core.errors import AwsError
from lambent.lambda_.api import policies
from lambent.lambda_.errors import InvalidParameterValue, PreconditionFailed, ResourceConflict, ResourceNotFound
from tests.unit.lambda_.room import ARN, Room

GRANT = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
POLICY = json.dumps(
    {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": ARN}}
)


@pytest.fixture
async def served(room: Room) -> Room:
    room.serve(policies.operations(room.basics))
    await room.function()
    await room.published()
    await room.alias()
    return room


async def add(room: Room, sid: str = "s", **params: Any) -> Any:
    answer = await room.call("AddPermission", **{"FunctionName": "f", "StatementId": sid} | GRANT | params)
    return json.loads(answer["Statement"])


async def sids(room: Room, **params: Any) -> list[str]:
    answer = await room.call("GetPolicy", FunctionName="f", **params)
    return [statement["Sid"] for statement in json.loads(answer["Policy"])["Statement"]]


async def test_grants_are_kept_in_order(served: Room) -> None:
    await add(served, "b")
    await add(served, "a")

    assert await sids(served) == ["b", "a"]


@pytest.mark.parametrize("qualifier", [None, "1", "live"])
async def test_the_policy_has_the_revision_of_what_it_hangs_on(served: Room, qualifier: str | None) -> None:
    which = {"Qualifier": qualifier} if qualifier else {}
    before = await served.revision(qualifier)

    await add(served, **which)

    policy = await served.call("GetPolicy", FunctionName="f", **which)
    assert policy["RevisionId"] == await served.revision(qualifier) != before


async def test_each_qualifier_has_its_own_policy(served: Room) -> None:
    assert (await add(served, "whole"))["Resource"] == ARN
    assert (await add(served, "one", FunctionName="f:1", Qualifier="1"))["Resource"] == f"{ARN}:1"
    assert (await add(served, "alias", Qualifier="live"))["Resource"] == f"{ARN}:live"

    assert await sids(served) == ["whole"]
    assert await sids(served, Qualifier="1") == ["one"]
    assert await sids(served, Qualifier="live") == ["alias"]


async def test_a_statement_id_is_given_once(served: Room) -> None:
    await add(served, "s")

    with pytest.raises(ResourceConflict, match=r"^The statement id \(s\) provided already exists\."):
        await add(served, "s")


async def test_a_stale_revision_is_refused(served: Room) -> None:
    stale = await served.revision()
    await add(served, "a", RevisionId=stale)
    match = r"does not match the latest Revision Id\. Call the GetPolicy API to retrieve"

    with pytest.raises(PreconditionFailed, match=match):
        await add(served, "b", RevisionId=stale)
    with pytest.raises(PreconditionFailed, match=match):
        await served.call("RemovePermission", FunctionName="f", StatementId="a", RevisionId=stale)

    assert await sids(served) == ["a"]


async def test_removing_the_last_grant_removes_the_policy(served: Room) -> None:
    await add(served, "a")
    revision = await served.revision()

    await served.call("RemovePermission", FunctionName="f", StatementId="a", RevisionId=revision)

    assert await served.revision() != revision
    with pytest.raises(ResourceNotFound, match=r"^The resource you requested does not exist\.$"):
        await served.call("GetPolicy", FunctionName="f")
    with pytest.raises(ResourceNotFound, match=r"^No policy is associated with the given resource\.$"):
        await served.call("RemovePermission", FunctionName="f", StatementId="a")


@pytest.mark.parametrize(
    ("operation", "params", "error", "message"),
    [
        ("AddPermission", {"FunctionName": "g"}, ResourceNotFound, "Function not found: {arn}g"),
        ("AddPermission", {"Qualifier": "42"}, ResourceNotFound, "Function not found: {arn}f:42"),
        ("AddPermission", {"Qualifier": "no"}, ResourceNotFound, "Cannot find alias arn: {arn}f:no"),
        (
            "AddPermission",
            {"Qualifier": "$LATEST.PUBLISHED"},
            ResourceNotFound,
            "Function not found: {arn}f:$LATEST.PUBLISHED",
        ),
        (
            "AddPermission",
            {"Qualifier": "$LATEST"},
            InvalidParameterValue,
            "We currently do not support adding policies for $LATEST.",
        ),
        (
            "AddPermission",
            {"FunctionName": "f:1", "Qualifier": "2"},
            InvalidParameterValue,
            "The derived qualifier from the function name does not match the specified qualifier.",
        ),
        ("RemovePermission", {"FunctionName": "g"}, ResourceNotFound, "No policy found for: {arn}g"),
        ("GetPolicy", {"FunctionName": "g"}, ResourceNotFound, "The resource you requested does not exist."),
    ],
)
async def test_what_is_missing(
    served: Room, operation: str, params: dict[str, Any], error: type[AwsError], message: str
) -> None:
    with pytest.raises(error) as caught:
        await served.call(operation, **{"FunctionName": "f", "StatementId": "s"} | GRANT | params)

    assert caught.value.message == message.format(arn=ARN[:-1])


async def test_a_whole_policy_replaces_what_was_granted(served: Room) -> None:
    await add(served, "a")
    revision = await served.revision()

    put = await served.call("PutResourcePolicy", ResourceArn=ARN, Policy=POLICY, RevisionId=revision)

    assert put == {"Policy": POLICY, "RevisionId": await served.revision()}
    assert await served.call("GetResourcePolicy", ResourceArn=ARN) == put
    assert await served.call("GetPolicy", FunctionName="f") == put


async def test_a_whole_policy_can_be_added_to(served: Room) -> None:
    await served.call("PutResourcePolicy", ResourceArn=ARN, Policy=POLICY)

    await add(served, "a")

    document = json.loads((await served.call("GetPolicy", FunctionName="f"))["Policy"])
    assert [statement["Effect"] for statement in document["Statement"]] == ["Deny", "Allow"]


async def test_a_whole_policy_is_guarded_and_deleted(served: Room) -> None:
    put = await served.call("PutResourcePolicy", ResourceArn=f"{ARN}:live", Policy=POLICY.replace(ARN, f"{ARN}:live"))
    with pytest.raises(PreconditionFailed):
        await served.call("DeleteResourcePolicy", ResourceArn=f"{ARN}:live", RevisionId="stale")

    await served.call("DeleteResourcePolicy", ResourceArn=f"{ARN}:live", RevisionId=put["RevisionId"])

    for operation in ("GetResourcePolicy", "DeleteResourcePolicy"):
        with pytest.raises(ResourceNotFound):
            await served.call(operation, ResourceArn=f"{ARN}:live")


async def test_a_policy_of_another_resource_is_refused(served: Room) -> None:
    with pytest.raises(InvalidParameterValue, match="Resource must be"):
        await served.call("PutResourcePolicy", ResourceArn=f"{ARN}:1", Policy=POLICY)
    with pytest.raises(ResourceNotFound):
        await served.call("GetResourcePolicy", ResourceArn="arn:aws:lambda:us-east-1:000000000000:runtime/r")
