from __future__ import annotations

from typing import Any

import pytest

from lambent.core.arns import function_arn
from lambent.lambda_.errors import InvalidParameterValue, PreconditionFailed, ResourceConflict, ResourceNotFound
from tests.unit.lambda_.functions_room import FunctionsRoom
from tests.unit.lambda_.room import SCOPE

ARN = function_arn(SCOPE, "f")


@pytest.fixture
async def two(functions: FunctionsRoom) -> FunctionsRoom:
    """A function with versions 1 and 2."""
    await functions.create(Publish=True)
    await functions.update(Timeout=9)
    await functions.call("PublishVersion", FunctionName="f")
    return functions


async def create(room: FunctionsRoom, name: str = "live", version: str = "1", **params: Any) -> dict[str, Any]:
    return dict(await room.call("CreateAlias", FunctionName="f", Name=name, FunctionVersion=version, **params))


async def test_an_alias_points_at_a_version(two: FunctionsRoom) -> None:
    created = await create(two)
    assert created == {
        "AliasArn": f"{ARN}:live",
        "Name": "live",
        "FunctionVersion": "1",
        "Description": "",
        "RevisionId": created["RevisionId"],
    }
    assert await two.call("GetAlias", FunctionName="f", Name="live") == created
    shown = await two.call("GetFunctionConfiguration", FunctionName="f", Qualifier="live")
    assert (shown["FunctionArn"], shown["Version"], shown["Timeout"]) == (f"{ARN}:live", "1", 3)


async def test_updates(two: FunctionsRoom) -> None:
    created = await create(two, Description="d", RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}})
    assert created["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.25}}

    moved = await two.call("UpdateAlias", FunctionName="f", Name="live", RoutingConfig={})
    assert "RoutingConfig" not in moved
    assert moved["RevisionId"] != created["RevisionId"]
    moved = await two.call(
        "UpdateAlias", FunctionName="f", Name="live", FunctionVersion="2", RevisionId=moved["RevisionId"]
    )
    assert (moved["FunctionVersion"], moved["Description"]) == ("2", "d")
    with pytest.raises(PreconditionFailed):
        await two.call("UpdateAlias", FunctionName="f", Name="live", RevisionId=created["RevisionId"])


@pytest.mark.parametrize(
    ("version", "weights", "message"),
    [
        ("10", {}, f"Function not found: {ARN}:10"),
        ("1", {"10": 0.1}, f"Function not found: {ARN}:10"),
        ("01", {}, f"Function not found: {ARN}:01"),
    ],
)
async def test_versions_must_exist(two: FunctionsRoom, version: str, weights: dict[str, float], message: str) -> None:
    with pytest.raises(ResourceNotFound) as caught:
        await create(two, version=version, RoutingConfig={"AdditionalVersionWeights": weights})
    assert caught.value.message == message


async def test_routing_is_checked_on_update_too(two: FunctionsRoom) -> None:
    await create(two, RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    with pytest.raises(InvalidParameterValue, match="Function version 2 is already included in routing configuration"):
        await two.call("UpdateAlias", FunctionName="f", Name="live", FunctionVersion="2")


async def test_what_is_missing(two: FunctionsRoom) -> None:
    with pytest.raises(ResourceNotFound) as caught:
        await two.call("GetAlias", FunctionName="f", Name="no")
    assert caught.value.message == f"Cannot find alias arn: {ARN}:no"
    with pytest.raises(ResourceNotFound) as caught:
        await two.call("UpdateAlias", FunctionName="f", Name="no")
    assert caught.value.message == f"Alias not found: {ARN}:no"
    await two.call("DeleteAlias", FunctionName="f", Name="no")
    with pytest.raises(ResourceNotFound):
        await two.call("ListAliases", FunctionName="missing")


async def test_an_alias_exists_once(two: FunctionsRoom) -> None:
    await create(two)
    with pytest.raises(ResourceConflict) as caught:
        await create(two, version="2")
    assert caught.value.message == f"Alias already exists: {ARN}:live"


async def test_list_aliases(two: FunctionsRoom) -> None:
    for name, version in (("b", "1"), ("a", "2"), ("c", "1")):
        await create(two, name, version)
    first = await two.call("ListAliases", FunctionName="f", MaxItems=2)
    assert [alias["Name"] for alias in first["Aliases"]] == ["a", "b"]
    second = await two.call("ListAliases", FunctionName="f", Marker=first["NextMarker"])
    assert [alias["Name"] for alias in second["Aliases"]] == ["c"]
    filtered = await two.call("ListAliases", FunctionName="f", FunctionVersion="1")
    assert [alias["Name"] for alias in filtered["Aliases"]] == ["b", "c"]


async def test_aliases_go_with_their_function(two: FunctionsRoom) -> None:
    await create(two)
    await two.call("DeleteFunction", FunctionName="f")
    await two.create()
    with pytest.raises(ResourceNotFound):
        await two.call("GetAlias", FunctionName="f", Name="live")
