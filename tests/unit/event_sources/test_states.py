"""Mappings pass through the states that waiters look for, and come to rest in what was asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lambent.core.operations import Scope
from lambent.event_sources import store
from lambent.event_sources.lifecycle import TRANSITION_S
from lambent.lambda_ import tags
from lambent.storage.database import StorageError
from tests.unit.event_sources.conftest import Room
from tests.unit.event_sources.fakes import FIFO, FUNCTION, QUEUE, Function, mapping

MISSING = ("ResourceNotFoundException", "The resource you requested does not exist.")


async def test_a_mapping_is_created_polled_and_enabled(room: Room) -> None:
    made = await room.create()

    uuid = made["UUID"]
    assert made == {
        "UUID": uuid,
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}",
        "EventSourceArn": QUEUE,
        "FunctionArn": FUNCTION,
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "LastModified": room.clock.now(),
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
    }
    await room.clock.advance(TRANSITION_S / 2)
    assert await room.state(uuid) == "Creating"
    await room.settle()
    assert await room.call("get", UUID=uuid) == {**made, "State": "Enabled"}
    assert room.fleets.told == [("start", uuid)]


async def test_a_mapping_without_pollers_does_not_claim_to_be_enabled(room: Room) -> None:
    room.fleets.ready.clear()
    made = await room.create()
    await room.clock.advance(60)
    assert await room.state(made["UUID"]) == "Creating"

    room.fleets.ready.set()
    await room.settle()
    assert await room.state(made["UUID"]) == "Enabled"


async def test_created_disabled_nothing_polls(room: Room) -> None:
    made = await room.create(Enabled=False)
    await room.settle()
    assert made["State"] == "Disabled"
    assert room.fleets.told == []

    changed = await room.call("update", UUID=made["UUID"], BatchSize=3)
    assert changed["State"] == "Updating"
    await room.settle()
    assert await room.state(made["UUID"]) == "Disabled"
    assert not room.fleets.polled

    assert (await room.call("update", UUID=made["UUID"], Enabled=True))["State"] == "Enabling"
    await room.settle()
    assert await room.state(made["UUID"]) == "Enabled"
    assert room.fleets.polled[made["UUID"]].settings.batch_size == 3


async def test_updated_disabled_deleted(room: Room) -> None:
    uuid = (await room.create(Tags={"k": "v"}))["UUID"]
    await room.settle()

    changed = await room.call("update", UUID=uuid, BatchSize=5, FunctionResponseTypes=["ReportBatchItemFailures"])
    assert (changed["State"], changed["BatchSize"]) == ("Updating", 5)
    await room.settle()
    assert room.fleets.polled[uuid].settings.report_batch_item_failures
    assert (await room.call("update", UUID=uuid, Enabled=False))["State"] == "Disabling"
    await room.settle()
    assert await room.state(uuid) == "Disabled"
    assert not room.fleets.polled

    assert (await room.call("delete", UUID=uuid))["State"] == "Deleting"
    assert await room.state(uuid) == "Deleting"
    await room.settle()
    assert await room.refused("get", UUID=uuid) == MISSING
    arn = f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}"
    assert await room.database.read(lambda tx: tags.tags_of(tx, arn)) == {}
    assert [what for what, _ in room.fleets.told] == ["start", "update", "stop", "stop"]


async def test_a_mapping_in_transition_takes_no_change(room: Room) -> None:
    uuid = (await room.create())["UUID"]
    code = "ResourceInUseException"
    in_use = "Cannot {} the event source mapping because it is in use."
    assert await room.refused("update", UUID=uuid, BatchSize=1) == (code, in_use.format("update"))
    assert await room.refused("delete", UUID=uuid) == (code, in_use.format("delete"))
    await room.settle()
    await room.call("delete", UUID=uuid)
    assert await room.refused("delete", UUID=uuid) == (code, in_use.format("delete"))


@pytest.mark.parametrize("verb", ["get", "update", "delete"])
async def test_no_such_mapping(room: Room, verb: str) -> None:
    assert await room.refused(verb, UUID="0" * 36) == MISSING


async def test_a_restart_goes_on_with_everything(room: Room) -> None:
    room.functions.there |= {("g", None): Function(), ("h", None): Function()}
    enabled = (await room.create())["UUID"]
    disabled = (await room.create(FunctionName="g", Enabled=False))["UUID"]
    await room.settle()
    room.fleets.ready.clear()
    creating = (await room.create(FunctionName="h"))["UUID"]
    deleting = (await room.create(EventSourceArn=FIFO, Enabled=False))["UUID"]
    await room.call("delete", UUID=deleting)
    await room.room.close()

    room.begin()
    await room.room.start()
    await room.settle()

    assert set(room.fleets.polled) == {enabled, creating}
    assert [await room.state(uuid) for uuid in (enabled, disabled, creating)] == ["Enabled", "Disabled", "Enabled"]
    assert await room.refused("get", UUID=deleting) == MISSING


async def test_a_change_during_a_restart_waits_for_the_pollers(room: Room) -> None:
    uuid = (await room.create())["UUID"]
    await room.settle()
    await room.room.close()
    room.begin()
    room.fleets.ready.clear()
    await room.room.start()
    await room.call("update", UUID=uuid, BatchSize=2)
    await room.clock.advance(1)
    assert room.fleets.told == [("start", uuid)]

    room.fleets.ready.set()
    await room.settle()
    assert room.fleets.told == [("start", uuid), ("update", uuid)]
    assert room.fleets.polled[uuid].settings.batch_size == 2


async def test_the_function_may_change_and_may_go(room: Room) -> None:
    room.functions.there["f", "live"] = Function()
    uuid = (await room.create())["UUID"]
    await room.settle()
    changed = await room.call("update", UUID=uuid, FunctionName="f:live")
    await room.settle()
    assert changed["FunctionArn"] == f"{FUNCTION}:live"

    room.functions.there.clear()
    assert await room.state(uuid) == "Enabled"
    (row,) = await room.room.report()
    assert row["problems"] == ["the function does not exist: messages are received, and come back"]


async def test_lists(room: Room) -> None:
    room.functions.there |= {("g", None): Function(), ("f", "1"): Function()}
    first = (await room.create())["UUID"]
    second = (await room.create(FunctionName="f:1"))["UUID"]
    third = (await room.create(FunctionName="g", EventSourceArn=FIFO))["UUID"]

    async def listed(**params: object) -> list[str]:
        output = await room.call("list", **params)
        assert "NextMarker" not in output
        return [entry["UUID"] for entry in output["EventSourceMappings"]]

    assert await listed() == [first, second, third]
    assert await listed(FunctionName="f") == [first]
    assert await listed(FunctionName=f"{FUNCTION}:1") == [second]
    assert await listed(EventSourceArn=QUEUE) == [first, second]
    assert await listed(EventSourceArn=FIFO, FunctionName="f") == []
    page = await room.call("list", MaxItems=2)
    assert await listed(Marker=page["NextMarker"]) == [third]
    assert await room.refused("list", Marker="forged") == (
        "InvalidParameterValueException",
        "Invalid pagination token",
    )


async def test_a_client_that_goes_away_leaves_nothing_in_transition(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = asyncio.Event()
    run = room.database.run

    async def entering(*args: Any, **options: Any) -> Any:
        entered.set()
        return await run(*args, **options)

    monkeypatch.setattr(room.database, "run", entering)
    request = asyncio.get_running_loop().create_task(room.create())
    await entered.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await room.settle()
    (made,) = (await room.call("list"))["EventSourceMappings"]
    assert made["State"] == "Enabled"


async def test_a_state_that_cannot_be_stored_is_stored_later(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    uuid = (await room.create())["UUID"]
    run = room.database.run
    failures = iter([StorageError("disk full")])

    async def failing(*args: Any, **options: Any) -> Any:
        for error in failures:
            raise error
        return await run(*args, **options)

    monkeypatch.setattr(room.database, "run", failing)
    await room.settle()
    assert await room.state(uuid) == "Creating"
    await room.clock.advance(1)
    assert await room.state(uuid) == "Enabled"


async def test_a_change_that_cannot_be_stored_is_refused_and_not_begun(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*args: Any, **options: Any) -> Any:
        raise StorageError("disk full")

    monkeypatch.setattr(room.database, "run", failing)
    with pytest.raises(StorageError):
        await room.create()
    assert room.fleets.told == []


async def test_a_deleted_mapping_can_be_made_again(room: Room) -> None:
    uuid = (await room.create())["UUID"]
    await room.settle()
    await room.call("delete", UUID=uuid)
    assert (await room.refused("create"))[0] == "ResourceConflictException"
    await room.settle()
    assert (await room.create())["UUID"] != uuid


async def test_mappings_of_another_account_are_not_there(room: Room) -> None:
    elsewhere = Scope(account="111111111111", region="us-east-1")
    await room.database.run(lambda tx: store.insert(tx, mapping("0" * 36, scope=elsewhere)))
    assert await room.refused("get", UUID="0" * 36) == MISSING
    assert await room.refused("delete", UUID="0" * 36) == MISSING
    assert (await room.call("list"))["EventSourceMappings"] == []
