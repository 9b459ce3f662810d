from __future__ import annotations

import pytest

from lambent.core.arns import function_arn
from lambent.core.errors import AccessDenied
from lambent.lambda_.api import tags
from lambent.lambda_.errors import InvalidParameterValue, ResourceNotFound
from tests.unit.lambda_.room import ARN, SCOPE, Room


@pytest.fixture
async def served(room: Room) -> Room:
    room.serve(tags.operations(room.basics))
    await room.function()
    await room.function("g")
    return room


async def test_tags_are_merged_and_removed(served: Room) -> None:
    await served.call("TagResource", Resource=ARN, Tags={"b": "1", "a": "2"})
    await served.call("TagResource", Resource=ARN, Tags={"b": "3"})
    assert await served.call("ListTags", Resource=ARN) == {"Tags": {"a": "2", "b": "3"}}

    await served.call("UntagResource", Resource=ARN, TagKeys=["a", "unknown"])

    assert await served.call("ListTags", Resource=ARN) == {"Tags": {"b": "3"}}
    assert await served.call("ListTags", Resource=function_arn(SCOPE, "g")) == {"Tags": {}}


async def test_at_most_fifty_tags(served: Room) -> None:
    await served.call("TagResource", Resource=ARN, Tags={str(n): "" for n in range(50)})
    await served.call("TagResource", Resource=ARN, Tags={"0": "new value, no new key"})

    with pytest.raises(InvalidParameterValue, match=r"^Number of tags exceeds resource tag limit\.$"):
        await served.call("TagResource", Resource=ARN, Tags={"50": ""})


async def test_no_tags_at_all(served: Room) -> None:
    with pytest.raises(InvalidParameterValue, match=r"^An error occurred and the request cannot be processed\.$"):
        await served.call("TagResource", Resource=ARN, Tags={})


async def test_keys_of_aws_are_refused(served: Room) -> None:
    with pytest.raises(InvalidParameterValue, match="reserved"):
        await served.call("TagResource", Resource=ARN, Tags={"AWS:stack": "x"})


@pytest.mark.parametrize("qualifier", ["1", "live", "$LATEST"])
async def test_versions_and_aliases_have_no_tags(served: Room, qualifier: str) -> None:
    with pytest.raises(InvalidParameterValue, match=r"^Tags on function aliases and versions are not supported"):
        await served.call("ListTags", Resource=f"{ARN}:{qualifier}")


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ("function:no", "Function not found: "),
        ("event-source-mapping:00000000-0000-0000-0000-000000000000", "Event source mapping not found: "),
        ("capacity-provider:c", "Capacity provider not found: "),
    ],
)
async def test_what_is_missing(served: Room, resource: str, message: str) -> None:
    arn = f"arn:aws:lambda:us-east-1:000000000000:{resource}"

    with pytest.raises(ResourceNotFound) as caught:
        await served.call("TagResource", Resource=arn, Tags={"a": "b"})

    assert caught.value.message == message + arn


async def test_functions_elsewhere(served: Room) -> None:
    with pytest.raises(ResourceNotFound, match="not reachable in this region"):
        await served.call("ListTags", Resource=ARN.replace("us-east-1", "eu-west-1"))
    with pytest.raises(AccessDenied):
        await served.call("ListTags", Resource=ARN.replace("000000000000", "111111111111"))
