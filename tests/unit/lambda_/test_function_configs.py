"""Runtime management, recursion, code signing, and what deleting a function takes with it."""

from __future__ import annotations

import pytest

from lambent.core.arns import function_arn
from lambent.lambda_ import store
from lambent.lambda_.api import code_signing, concurrency, event_invoke, policies, recursion, runtime_management, tags
from lambent.lambda_.attachments import Attachments
from lambent.lambda_.concurrency import ReservedConcurrency
from lambent.lambda_.directory import Directory
from lambent.lambda_.errors import InvalidParameterValue, ResourceNotFound
from lambent.lambda_.function_attachments import FunctionAttachments
from lambent.lambda_.provisioned import ProvisionedConcurrency
from lambent.lambda_.runtimes import runtime_version_arn
from tests.unit.lambda_.room import ARN, SCOPE, Room
from tests.unit.lambda_.test_concurrency import Engine

CURRENT = runtime_version_arn(SCOPE, "python3.13")


@pytest.fixture
async def served(room: Room) -> Room:
    for resource in (code_signing, event_invoke, policies, runtime_management, tags):
        room.serve(resource.operations(room.basics))
    room.serve(recursion.operations(room.basics, Directory(room.database)))
    await room.function()
    await room.published()
    await room.alias()
    return room


async def test_runtimes_are_managed_by_version(served: Room) -> None:
    async def get(qualifier: str) -> object:
        return await served.call("GetRuntimeManagementConfig", FunctionName="f", Qualifier=qualifier)

    assert await get("$LATEST") == {"UpdateRuntimeOn": "Auto", "FunctionArn": f"{ARN}:$LATEST"}

    put = await served.call(
        "PutRuntimeManagementConfig",
        FunctionName="f",
        Qualifier="1",
        UpdateRuntimeOn="Manual",
        RuntimeVersionArn=CURRENT,
    )
    await served.call("PutRuntimeManagementConfig", FunctionName="f", UpdateRuntimeOn="FunctionUpdate")

    assert put == {"UpdateRuntimeOn": "Manual", "FunctionArn": f"{ARN}:1", "RuntimeVersionArn": CURRENT}
    assert await get("1") == put
    assert await get("$LATEST") == {"UpdateRuntimeOn": "FunctionUpdate", "FunctionArn": f"{ARN}:$LATEST"}


@pytest.mark.parametrize(
    ("mode", "arn", "why"),
    [
        ("Manual", None, "RuntimeVersionArn is required"),
        ("Manual", f"arn:aws:lambda:us-east-1::runtime:{'0' * 64}", "is not available"),
        ("Auto", CURRENT, "only supported when UpdateRuntimeOn is Manual"),
    ],
)
async def test_runtime_versions_that_cannot_be_had(served: Room, mode: str, arn: str | None, why: str) -> None:
    given = {} if arn is None else {"RuntimeVersionArn": arn}

    with pytest.raises(InvalidParameterValue, match=why):
        await served.call("PutRuntimeManagementConfig", FunctionName="f", UpdateRuntimeOn=mode, **given)


@pytest.mark.parametrize("qualifier", ["2", "live", "no"])
async def test_runtimes_of_no_version(served: Room, qualifier: str) -> None:
    with pytest.raises(ResourceNotFound, match=r"^Function not found: "):
        await served.call("GetRuntimeManagementConfig", FunctionName="f", Qualifier=qualifier)


async def test_recursion(served: Room) -> None:
    assert await served.call("GetFunctionRecursionConfig", FunctionName="f") == {"RecursiveLoop": "Terminate"}

    put = await served.call("PutFunctionRecursionConfig", FunctionName=ARN, RecursiveLoop="Allow")

    assert put == await served.call("GetFunctionRecursionConfig", FunctionName="f") == {"RecursiveLoop": "Allow"}
    with pytest.raises(ResourceNotFound, match=r"^Function not found: "):
        await served.call("PutFunctionRecursionConfig", FunctionName="g", RecursiveLoop="Allow")


async def test_no_function_has_a_code_signing_configuration(served: Room) -> None:
    answer = await served.call("GetFunctionCodeSigningConfig", FunctionName=ARN)

    assert answer == {"CodeSigningConfigArn": "", "FunctionName": "f"}
    with pytest.raises(ResourceNotFound, match=r"^Function not found: "):
        await served.call("GetFunctionCodeSigningConfig", FunctionName="g")


async def furnish(room: Room, name: str) -> None:
    """Hang everything that there is on a function and its version 1."""
    arn = function_arn(SCOPE, name)
    await room.call("TagResource", Resource=arn, Tags={"a": "b"})
    await room.call("PutFunctionRecursionConfig", FunctionName=name, RecursiveLoop="Allow")
    await room.call("PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=5)
    for which in ({}, {"Qualifier": "1"}):
        await room.call("AddPermission", FunctionName=name, StatementId="s", Action="lambda:*", Principal="*", **which)
        await room.call("PutFunctionEventInvokeConfig", FunctionName=name, MaximumRetryAttempts=1, **which)
        await room.call("PutRuntimeManagementConfig", FunctionName=name, UpdateRuntimeOn="FunctionUpdate", **which)


async def left(room: Room, name: str) -> list[str]:
    """What the operations still answer with for a function that was made anew under the same name."""
    found: list[str] = []
    reads = {
        "GetPolicy": lambda answer: True,
        "GetFunctionEventInvokeConfig": lambda answer: True,
        "GetRuntimeManagementConfig": lambda answer: answer["UpdateRuntimeOn"] != "Auto",
    }
    for qualifier in (None, "1"):
        for operation, differs in reads.items():
            which = {} if qualifier is None else {"Qualifier": qualifier}
            try:
                answer = await room.call(operation, FunctionName=name, **which)
            except ResourceNotFound:
                continue
            if differs(answer):
                found.append(f"{operation} {qualifier}")
    if (await room.call("ListTags", Resource=function_arn(SCOPE, name)))["Tags"]:
        found.append("tags")
    if await room.call("GetFunctionConcurrency", FunctionName=name):
        found.append("concurrency")
    if (await room.call("GetFunctionRecursionConfig", FunctionName=name))["RecursiveLoop"] != "Terminate":
        found.append("recursion")
    return found


EVERYTHING = [
    "GetPolicy None",
    "GetFunctionEventInvokeConfig None",
    "GetRuntimeManagementConfig None",
    "GetPolicy 1",
    "GetFunctionEventInvokeConfig 1",
    "GetRuntimeManagementConfig 1",
    "tags",
    "concurrency",
    "recursion",
]


def attached(room: Room, reserved: ReservedConcurrency) -> Attachments:
    provisioned = ProvisionedConcurrency(room.database, Engine(), room.clock, account_limit=1000)
    return FunctionAttachments(reserved, provisioned)


async def test_what_hangs_on_a_function_goes_with_it(served: Room) -> None:
    engine = Engine()
    reserved = ReservedConcurrency(served.database, engine, account_limit=1000)
    served.serve(concurrency.operations(reserved))
    attachments = attached(served, reserved)
    await served.function("g")
    await served.published("g")
    await furnish(served, "f")
    await furnish(served, "g")
    assert await left(served, "f") == EVERYTHING

    await served.database.run(lambda tx: attachments.qualifier_deleted(tx, SCOPE, "f", "1"))
    assert await left(served, "f") == [entry for entry in EVERYTHING if not entry.endswith("1")]

    await served.database.run(lambda tx: attachments.function_deleted(tx, SCOPE, "f"))
    attachments.after_function_deleted(SCOPE, "f")

    assert await left(served, "f") == []
    assert await left(served, "g") == EVERYTHING
    assert engine.reserved == {function_arn(SCOPE, "g"): 5}


async def test_tags_given_at_creation(served: Room) -> None:
    attachments = attached(served, ReservedConcurrency(served.database, Engine(), account_limit=1000))

    await served.database.run(lambda tx: attachments.tag(tx, SCOPE, "f", {"k": "v"}))

    assert await served.database.read(lambda tx: attachments.tags(tx, SCOPE, "f")) == {"k": "v"}
    assert await served.database.read(lambda tx: attachments.reserved_concurrency(tx, SCOPE, "f")) is None
    assert await served.database.read(lambda tx: store.function_exists(tx, SCOPE, "f"))
