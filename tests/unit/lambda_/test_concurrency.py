from __future__ import annotations

from collections.abc import Mapping

import pytest

from lambent.core.operations import Scope
from lambent.execution.model import FunctionVersion, InvokeRequest, InvokeResult, ProvisionedStatus
from lambent.lambda_.api import concurrency
from lambent.lambda_.concurrency import ReservedConcurrency
from lambent.lambda_.errors import InvalidParameterValue, ResourceNotFound
from tests.unit.lambda_.room import ARN, SCOPE, Room

ELSEWHERE = Scope(account="000000000000", region="eu-west-1")


class Engine:
    """Remembers what is reserved."""

    def __init__(self) -> None:
        self.reserved: dict[str, int] = {}

    def set_reserved_concurrency(self, function_arn: str, limit: int | None) -> None:
        if limit is None:
            self.reserved.pop(function_arn, None)
        else:
            self.reserved[function_arn] = limit

    async def invoke(self, function: FunctionVersion, request: InvokeRequest) -> InvokeResult:
        raise AssertionError

    def set_account_concurrency(self, scope: Scope, limit: int) -> None:
        raise AssertionError

    def set_provisioned_concurrency(self, function: FunctionVersion, wanted: int) -> None:
        raise AssertionError

    def provisioned_concurrency(self, key: str) -> ProvisionedStatus | None:
        raise AssertionError

    def retire(self, key: str) -> None:
        raise AssertionError


def serve(room: Room, engine: Engine, account_limit: int = 1000) -> ReservedConcurrency:
    reserved = ReservedConcurrency(room.database, engine, account_limit=account_limit)
    room.serve(concurrency.operations(reserved))
    return reserved


async def put(room: Room, executions: int, name: str = "f", scope: Scope = SCOPE) -> Mapping[str, object]:
    return await room.call("PutFunctionConcurrency", scope, FunctionName=name, ReservedConcurrentExecutions=executions)


async def test_a_reservation_reaches_the_engine(room: Room) -> None:
    engine = Engine()
    serve(room, engine)
    await room.function()
    assert await room.call("GetFunctionConcurrency", FunctionName="f") == {}

    assert await put(room, 5) == {"ReservedConcurrentExecutions": 5}
    assert await room.call("GetFunctionConcurrency", FunctionName=ARN) == {"ReservedConcurrentExecutions": 5}
    assert engine.reserved == {ARN: 5}

    await room.call("DeleteFunctionConcurrency", FunctionName="f")
    assert await room.call("GetFunctionConcurrency", FunctionName="f") == {}
    assert engine.reserved == {}


async def test_zero_blocks_and_is_not_none(room: Room) -> None:
    engine = Engine()
    serve(room, engine)
    await room.function()

    await put(room, 0)

    assert await room.call("GetFunctionConcurrency", FunctionName="f") == {"ReservedConcurrentExecutions": 0}
    assert engine.reserved == {ARN: 0}


async def test_a_hundred_stay_unreserved(room: Room) -> None:
    serve(room, Engine())
    await room.function()
    await room.function("g")
    await room.function(scope=ELSEWHERE)
    message = (
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [100]."
    )

    await put(room, 500)
    await put(room, 400, "g")
    await put(room, 400, scope=ELSEWHERE)
    for executions, name in ((501, "f"), (401, "g"), (10_000, "f")):
        with pytest.raises(InvalidParameterValue) as caught:
            await put(room, executions, name)
        assert caught.value.message == message
    await put(room, 100)
    await put(room, 800, "g")


async def test_a_small_account_can_reserve_nothing_but_zero(room: Room) -> None:
    serve(room, Engine(), account_limit=10)
    await room.function()

    with pytest.raises(InvalidParameterValue, match=r"minimum value of \[10\]"):
        await put(room, 1)
    await put(room, 0)


async def test_a_refused_reservation_changes_nothing(room: Room) -> None:
    engine = Engine()
    serve(room, engine)
    await room.function()
    await put(room, 7)

    with pytest.raises(InvalidParameterValue):
        await put(room, 901)

    assert await room.call("GetFunctionConcurrency", FunctionName="f") == {"ReservedConcurrentExecutions": 7}
    assert engine.reserved == {ARN: 7}


async def test_reservations_survive_a_restart(room: Room) -> None:
    serve(room, Engine())
    await room.function()
    await room.function(scope=ELSEWHERE)
    await put(room, 3)
    await put(room, 4, scope=ELSEWHERE)

    engine = Engine()
    await serve(room, engine).restore()

    assert engine.reserved == {ARN: 3, ARN.replace("us-east-1", "eu-west-1"): 4}


@pytest.mark.parametrize("qualifier", ["1", "live", "$LATEST"])
async def test_only_whole_functions(room: Room, qualifier: str) -> None:
    serve(room, Engine())
    await room.function()

    with pytest.raises(InvalidParameterValue, match=r"^This operation is permitted on Lambda functions only"):
        await put(room, 1, f"f:{qualifier}")


async def test_missing_functions(room: Room) -> None:
    serve(room, Engine())

    with pytest.raises(ResourceNotFound) as caught:
        await put(room, 1, "f")
    assert caught.value.message == f"Function not found: {ARN}:$LATEST"
    for operation in ("GetFunctionConcurrency", "DeleteFunctionConcurrency"):
        with pytest.raises(ResourceNotFound) as caught:
            await room.call(operation, FunctionName="f")
        assert caught.value.message == f"Function not found: {ARN}"
