from __future__ import annotations

from typing import Any

import pytest

from lambent.core.arns import function_arn
from lambent.core.operations import Scope
from lambent.lambda_.api import event_invoke
from lambent.lambda_.errors import InvalidParameterValue, ResourceNotFound
from tests.unit.lambda_.room import ARN, SCOPE, Room

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
ELSEWHERE = Scope(account="000000000000", region="eu-west-1")
TOPIC = "arn:aws:sns:us-east-1:000000000000:t"
OTHER = function_arn(SCOPE, "g")


@pytest.fixture
async def served(room: Room) -> Room:
    room.serve(event_invoke.operations(room.basics))
    await room.function()
    await room.function("g")
    await room.published()
    await room.alias()
    return room


def destinations(success: str | None = None, failure: str | None = None) -> dict[str, Any]:
    return {
        "OnSuccess": {} if success is None else {"Destination": success},
        "OnFailure": {} if failure is None else {"Destination": failure},
    }


async def put(room: Room, **params: Any) -> Any:
    return await room.call("PutFunctionEventInvokeConfig", **{"FunctionName": "f"} | params)


async def test_put_replaces(served: Room) -> None:
    first = await put(served, MaximumRetryAttempts=0, DestinationConfig=destinations(TOPIC, QUEUE))
    assert first == {
        "FunctionArn": f"{ARN}:$LATEST",
        "LastModified": served.clock.now(),
        "MaximumRetryAttempts": 0,
        "DestinationConfig": destinations(TOPIC, QUEUE),
    }
    await served.clock.advance(1.5)

    second = await put(served, MaximumEventAgeInSeconds=60)

    assert second == {
        "FunctionArn": f"{ARN}:$LATEST",
        "LastModified": first["LastModified"] + 1.5,
        "MaximumEventAgeInSeconds": 60,
        "DestinationConfig": destinations(),
    }
    assert await served.call("GetFunctionEventInvokeConfig", FunctionName="f", Qualifier="$LATEST") == second


async def test_update_merges(served: Room) -> None:
    await put(served, MaximumRetryAttempts=1, DestinationConfig=destinations(TOPIC, QUEUE))

    async def update(**params: Any) -> Any:
        return await served.call("UpdateFunctionEventInvokeConfig", FunctionName="f", **params)

    assert (await update(MaximumEventAgeInSeconds=99))["DestinationConfig"] == destinations(TOPIC, QUEUE)
    updated = await update(DestinationConfig={"OnFailure": {"Destination": TOPIC}})
    assert updated["DestinationConfig"] == destinations(None, TOPIC)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (1, 99)
    cleared = await update(DestinationConfig={"OnFailure": {"Destination": ""}}, MaximumRetryAttempts=0)
    assert (cleared["DestinationConfig"], cleared["MaximumRetryAttempts"]) == (destinations(), 0)


async def test_each_qualifier_has_its_own(served: Room) -> None:
    for qualifier in ("live", "1", "$LATEST"):
        await put(served, MaximumRetryAttempts=2, Qualifier=qualifier)

    await served.call("DeleteFunctionEventInvokeConfig", FunctionName="f:1")

    listed = await served.call("ListFunctionEventInvokeConfigs", FunctionName="f")
    assert [config["FunctionArn"] for config in listed["FunctionEventInvokeConfigs"]] == [
        f"{ARN}:$LATEST",
        f"{ARN}:live",
    ]
    assert "NextMarker" not in listed


async def test_pages(served: Room) -> None:
    for qualifier in ("live", "1", "$LATEST"):
        await put(served, MaximumRetryAttempts=2, Qualifier=qualifier)
    seen: list[str] = []
    marker: dict[str, str] = {}
    while True:
        page = await served.call("ListFunctionEventInvokeConfigs", FunctionName="f", MaxItems=2, **marker)
        seen += [config["FunctionArn"].rpartition(":")[2] for config in page["FunctionEventInvokeConfigs"]]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}

    assert seen == ["$LATEST", "1", "live"]
    with pytest.raises(InvalidParameterValue):
        await served.call("ListFunctionEventInvokeConfigs", FunctionName="g", **marker)


async def test_nothing_given(served: Room) -> None:
    for operation in ("PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig"):
        with pytest.raises(InvalidParameterValue) as caught:
            await served.call(operation, FunctionName="f")
        assert caught.value.message == "You must specify at least one of error handling or destination setting."


@pytest.mark.parametrize("which", [{"FunctionName": "no"}, {"Qualifier": "no"}, {"Qualifier": "9"}])
async def test_missing_functions(served: Room, which: dict[str, str]) -> None:
    params = {"FunctionName": "f", "MaximumRetryAttempts": 1} | which
    for operation in ("PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig"):
        with pytest.raises(ResourceNotFound, match=r"^The function doesn't exist\.$"):
            await served.call(operation, **params)


async def test_missing_configurations(served: Room) -> None:
    with pytest.raises(ResourceNotFound, match=r"^The function doesn't exist\.$"):
        await served.call("ListFunctionEventInvokeConfigs", FunctionName="no")
    for operation in (
        "GetFunctionEventInvokeConfig",
        "DeleteFunctionEventInvokeConfig",
        "UpdateFunctionEventInvokeConfig",
    ):
        for qualifier, shown in (("", "$LATEST"), ("live", "live")):
            which = {"Qualifier": qualifier} if qualifier else {}
            with pytest.raises(ResourceNotFound) as caught:
                await served.call(operation, FunctionName="f", MaximumRetryAttempts=1, **which)
            assert caught.value.message == f"The function {ARN}:{shown} doesn't have an EventInvokeConfig"


@pytest.mark.parametrize(
    ("success", "failure"),
    [
        (QUEUE, TOPIC),
        (OTHER, f"{OTHER}:1"),
        ("arn:aws:events:us-east-1:000000000000:event-bus/default", None),
        (None, "arn:aws:s3:::bucket"),
        (None, None),
    ],
)
async def test_where_records_may_go(served: Room, success: str | None, failure: str | None) -> None:
    config = destinations(success, failure)

    assert (await put(served, DestinationConfig=config))["DestinationConfig"] == config


@pytest.mark.parametrize(
    "destination",
    [
        f"{QUEUE}.fifo",
        f"{TOPIC}.fifo",
        "arn:aws:s3:::bucket",
        "arn:aws:events:us-east-1:000000000000:rule/r",
        "arn:aws:iam::000000000000:role/r",
        "kafka://topic",
    ],
)
async def test_where_records_cannot_go(served: Room, destination: str) -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        await put(served, DestinationConfig={"OnSuccess": {"Destination": destination}})

    assert caught.value.message == (
        f"The provided destination config DestinationConfig(onSuccess=OnSuccess(destination={destination}), "
        "onFailure=null) is invalid."
    )


async def test_functions_as_destinations(served: Room) -> None:
    await served.function("h", scope=ELSEWHERE)
    for missing in (function_arn(SCOPE, "no"), function_arn(ELSEWHERE, "h")):
        with pytest.raises(InvalidParameterValue) as caught:
            await put(served, DestinationConfig=destinations(missing))
        assert caught.value.message == f"The destination ARN {missing} is invalid."
    for itself in (ARN, f"{ARN}:1"):
        with pytest.raises(InvalidParameterValue, match=r"^You can't specify the function as a destination for itself"):
            await put(served, DestinationConfig=destinations(None, itself))
