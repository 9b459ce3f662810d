from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lambent.core.arns import function_arn
from lambent.core.errors import AwsError
from lambent.execution.model import ProvisionedStatus
from lambent.lambda_.errors import (
    InvalidParameterValue,
    ProvisionedConcurrencyConfigNotFound,
    ResourceConflict,
    ResourceNotFound,
)
from lambent.lambda_.provisioned import ProvisionedConcurrency
from tests.unit.lambda_.functions_room import FunctionsRoom
from tests.unit.lambda_.room import SCOPE

ARN = function_arn(SCOPE, "f")


@pytest.fixture
async def room(functions: FunctionsRoom) -> FunctionsRoom:
    """`f` with versions 1 and 2, and the aliases `live` (of 1) and `next` (of 2)."""
    await functions.create()
    await functions.call("PublishVersion", FunctionName="f")
    await functions.update(MemorySize=256)
    await functions.call("PublishVersion", FunctionName="f")
    await functions.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    await functions.call("CreateAlias", FunctionName="f", Name="next", FunctionVersion="2")
    return functions


async def put(room: FunctionsRoom, qualifier: str, executions: int = 2, name: str = "f") -> Mapping[str, Any]:
    return await room.call(
        "PutProvisionedConcurrencyConfig",
        FunctionName=name,
        Qualifier=qualifier,
        ProvisionedConcurrentExecutions=executions,
    )


async def get(room: FunctionsRoom, qualifier: str) -> Mapping[str, Any]:
    return await room.call("GetProvisionedConcurrencyConfig", FunctionName="f", Qualifier=qualifier)


async def refusal(room: FunctionsRoom, qualifier: str, executions: int = 2, name: str = "f") -> AwsError:
    with pytest.raises(AwsError) as caught:
        await put(room, qualifier, executions, name)
    return caught.value


def wanted(room: FunctionsRoom) -> dict[str, int]:
    """What the engine is asked for, by version."""
    return {key.split("#")[0].rsplit(":", 1)[1]: count for key, count in room.engine.provisioned.items()}


async def test_put_on_a_version_is_told_to_the_engine_and_comes_up(room: FunctionsRoom) -> None:
    answer = await put(room, "1")
    assert answer == {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
        "LastModified": "2026-01-01T00:00:00.000+0000",
    }
    [key] = room.engine.provisioned
    assert wanted(room) == {"1": 2}
    room.engine.available[key] = 1
    assert (await get(room, "1"))["AvailableProvisionedConcurrentExecutions"] == 1
    room.engine.available[key] = 2
    seen = await get(room, "1")
    assert (seen["Status"], seen["AllocatedProvisionedConcurrentExecutions"]) == ("READY", 2)
    assert "StatusReason" not in seen


async def test_failed_says_why(room: FunctionsRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(room, "1")
    failed = ProvisionedStatus(requested=2, available=0, in_use=0, status="FAILED", status_reason="INIT")
    monkeypatch.setattr(room.engine, "provisioned_concurrency", lambda key: failed)
    seen = await get(room, "1")
    assert (seen["Status"], seen["StatusReason"]) == ("FAILED", "INIT")


async def test_an_alias_provisions_its_version_and_aliases_of_one_version_add_up(room: FunctionsRoom) -> None:
    await put(room, "live", 2)
    await room.call("CreateAlias", FunctionName="f", Name="mirror", FunctionVersion="1")
    await put(room, "mirror", 3)
    assert wanted(room) == {"1": 5}
    [key] = room.engine.provisioned
    room.engine.available[key] = 4
    assert (await get(room, "live"))["Status"] == "READY"
    mirror = await get(room, "mirror")
    assert (mirror["Status"], mirror["AvailableProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 2)


async def test_moving_or_deleting_an_alias_ends_its_config(room: FunctionsRoom) -> None:
    await put(room, "live")
    await room.call("UpdateAlias", FunctionName="f", Name="live", Description="same version")
    assert wanted(room) == {"1": 2}
    await room.call("UpdateAlias", FunctionName="f", Name="live", FunctionVersion="2")
    with pytest.raises(ProvisionedConcurrencyConfigNotFound):
        await get(room, "live")
    assert wanted(room) == {}
    await put(room, "live")
    assert wanted(room) == {"2": 2}
    await room.call("DeleteAlias", FunctionName="f", Name="live")
    assert wanted(room) == {}


async def test_deleting_a_version_or_the_function_ends_everything(room: FunctionsRoom) -> None:
    await room.call("DeleteAlias", FunctionName="f", Name="live")
    await put(room, "1")
    await put(room, "next")
    await room.call("DeleteFunction", FunctionName="f", Qualifier="1")
    assert wanted(room) == {"2": 2}
    await room.call("DeleteFunction", FunctionName="f")
    assert wanted(room) == {}
    await room.create()
    listed = await room.call("ListProvisionedConcurrencyConfigs", FunctionName="f")
    assert listed["ProvisionedConcurrencyConfigs"] == []


async def test_delete_is_idempotent(room: FunctionsRoom) -> None:
    await put(room, "1")
    for _ in range(2):
        await room.call("DeleteProvisionedConcurrencyConfig", FunctionName="f", Qualifier="1")
    assert wanted(room) == {}
    with pytest.raises(ProvisionedConcurrencyConfigNotFound, match="No Provisioned Concurrency Config found for this"):
        await get(room, "1")


async def test_list_goes_in_pages(room: FunctionsRoom) -> None:
    await room.call("DeleteAlias", FunctionName="f", Name="live")
    for qualifier in ("next", "1"):
        await put(room, qualifier)
    first = await room.call("ListProvisionedConcurrencyConfigs", FunctionName="f", MaxItems=1)
    [item] = first["ProvisionedConcurrencyConfigs"]
    assert item["FunctionArn"] == f"{ARN}:1"
    rest = await room.call("ListProvisionedConcurrencyConfigs", FunctionName="f", Marker=first["NextMarker"])
    assert [item["FunctionArn"] for item in rest["ProvisionedConcurrencyConfigs"]] == [f"{ARN}:next"]
    assert rest["NextMarker"] is None
    with pytest.raises(ResourceNotFound, match="Function not found"):
        await room.call("ListProvisionedConcurrencyConfigs", FunctionName="g")


async def test_a_restart_tells_the_engine_again(room: FunctionsRoom) -> None:
    await put(room, "live", 3)
    room.engine.provisioned.clear()
    again = ProvisionedConcurrency(room.database, room.engine, room.clock, account_limit=1000)
    await again.restore()
    assert wanted(room) == {"1": 3}


async def test_only_published_versions_and_plain_aliases_may_have_it(room: FunctionsRoom) -> None:
    unpublished = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    await room.call("CreateAlias", FunctionName="f", Name="latest", FunctionVersion="$LATEST")
    for qualifier in ("$LATEST", "latest"):
        refused = await refusal(room, qualifier)
        assert (type(refused), refused.message) == (InvalidParameterValue, unpublished)
    for operation in ("GetProvisionedConcurrencyConfig", "DeleteProvisionedConcurrencyConfig"):
        with pytest.raises(InvalidParameterValue, match="must be an alias or a published version"):
            await room.call(operation, FunctionName="f", Qualifier="$LATEST")
    await room.call(
        "UpdateAlias", FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}}
    )
    refused = await refusal(room, "live")
    assert refused.message == "Alias with weights can not be used with Provisioned Concurrency"


async def test_a_version_and_its_alias_exclude_each_other(room: FunctionsRoom) -> None:
    await put(room, "1")
    refused = await refusal(room, "live")
    assert (type(refused), refused.message) == (
        ResourceConflict,
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )
    await put(room, "next")
    refused = await refusal(room, "2")
    assert (type(refused), refused.message) == (
        ResourceConflict,
        "Version is pointed by a Provisioned Concurrency alias",
    )


@pytest.mark.parametrize(
    ("name", "qualifier", "message"),
    [
        ("f", "9", f"Function not found: {ARN}:9"),
        ("f", "no", f"Cannot find alias arn: {ARN}:no"),
        ("g", "1", f"Function not found: {function_arn(SCOPE, 'g')}:1"),
    ],
)
async def test_what_is_not_there(room: FunctionsRoom, name: str, qualifier: str, message: str) -> None:
    refused = await refusal(room, qualifier, name=name)
    assert (type(refused), refused.message) == (ResourceNotFound, message)
    for operation in ("GetProvisionedConcurrencyConfig", "DeleteProvisionedConcurrencyConfig"):
        with pytest.raises(ResourceNotFound) as caught:
            await room.call(operation, FunctionName=name, Qualifier=qualifier)
        assert caught.value.message == message


async def test_the_reservation_bounds_all_of_the_functions_configs(room: FunctionsRoom) -> None:
    await room.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=5)
    await put(room, "1", 3)
    refused = await refusal(room, "2", 3)
    assert refused.message == (
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    )
    await put(room, "1", 5)  # its own executions do not count twice
    with pytest.raises(InvalidParameterValue) as caught:
        await room.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=1)
    assert caught.value.message == (
        " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [5]."
    )


async def test_without_a_reservation_the_account_bounds_it(room: FunctionsRoom) -> None:
    await room.create("g")
    await room.call("PutFunctionConcurrency", FunctionName="g", ReservedConcurrentExecutions=200)
    await put(room, "1", 300)
    refused = await refusal(room, "2", 501)
    assert refused.message == (
        "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [500]."
    )
    refused = await refusal(room, "2", 401)
    assert refused.message == (
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100]."
    )
    await put(room, "2", 400)
    with pytest.raises(InvalidParameterValue, match="below its minimum value"):
        await room.call("PutFunctionConcurrency", FunctionName="g", ReservedConcurrentExecutions=201)
    # What is provisioned moves into the function's own reservation.
    await room.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=700)
    await put(room, "1", 250)


async def test_a_version_that_is_not_active_cannot_be_provisioned(functions: FunctionsRoom) -> None:
    functions.code.gate.clear()
    await functions.begin_create("p", Publish=True)
    refused = await refusal(functions, "1", name="p")
    assert type(refused) is ResourceConflict
    functions.code.gate.set()
    await functions.settled("p", "1")
    await put(functions, "1", name="p")


async def test_a_function_that_is_deleted_while_it_is_told_leaves_nothing(
    room: FunctionsRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(room, "1")
    again = ProvisionedConcurrency(room.database, room.engine, room.clock, account_limit=1000)
    read, deleted = room.database.read, False

    async def read_then_delete(work: Any) -> Any:
        nonlocal deleted
        seen = await read(work)
        if work.__qualname__.endswith("_tell.<locals>.work") and not deleted:
            deleted = True
            await room.call("DeleteFunction", FunctionName="f")
            again.forget(SCOPE, "f")
        return seen

    monkeypatch.setattr(room.database, "read", read_then_delete)
    await again.restore()
    assert deleted
    assert wanted(room) == {}
