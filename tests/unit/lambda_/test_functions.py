from __future__ import annotations

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from lambent.core.arns import function_arn
from lambent.core.errors import AwsError
from lambent.core.operations import Reply
from lambent.core.pagination import encode_marker
from lambent.lambda_ import code_location, store
from lambent.lambda_.errors import (
    CodeStorageExceeded,
    InvalidParameterValue,
    PreconditionFailed,
    RequestEntityTooLarge,
    ResourceConflict,
    ResourceNotFound,
)
from tests.unit.lambda_.functions_room import KEY, ROLE, FunctionsRoom, functions_room, zipped
from tests.unit.lambda_.room import SCOPE, version

ARN = function_arn(SCOPE, "f")
UPDATE_IN_PROGRESS = f"The operation cannot be performed at this time. An update is in progress for resource: {ARN}"


async def test_create_answers_every_member_that_aws_answers(functions: FunctionsRoom) -> None:
    package = zipped("original")
    created = dict(await functions.create())

    runtime_version = created.pop("RuntimeVersionConfig")
    assert runtime_version["RuntimeVersionArn"].startswith("arn:aws:lambda:us-east-1::runtime:")
    assert created == {
        "FunctionName": "f",
        "FunctionArn": ARN,
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "h.handler",
        "CodeSize": len(package),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "LastModified": "2026-01-01T00:00:00.000+0000",
        "CodeSha256": base64.b64encode(hashlib.sha256(package).digest()).decode(),
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": created["RevisionId"],
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
    }

    active = await functions.call("GetFunctionConfiguration", FunctionName="f")
    assert (active["State"], active["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in active
    assert active["RevisionId"] != created["RevisionId"]


async def test_a_function_exists_once(functions: FunctionsRoom) -> None:
    await functions.create()
    with pytest.raises(ResourceConflict, match=r"^Function already exist: f$"):
        await functions.create()


async def test_two_creates_at_once_make_one_function(functions: FunctionsRoom) -> None:
    outcomes = await asyncio.gather(*(functions.create() for _ in range(3)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ResourceConflict", "ResourceConflict", "dict"]


async def test_get_function_has_code_tags_and_concurrency(functions: FunctionsRoom) -> None:
    await functions.create(Tags={"team": "a"}, Publish=True)

    plain = await functions.call("GetFunction", FunctionName="f")
    assert plain["Tags"] == {"team": "a"}
    assert "Concurrency" not in plain
    assert plain["Code"]["RepositoryType"] == "S3"
    token = plain["Code"]["Location"].removeprefix("http://localhost:4566/_lambent/code/")
    sha256 = code_location.verify(KEY, token, functions.clock.now())
    assert functions.blobs.path(sha256).read_bytes() == zipped("original")

    latest = await functions.call("GetFunction", FunctionName="f", Qualifier="$LATEST")
    assert latest["Tags"] == {"team": "a"}
    assert latest["Configuration"]["FunctionArn"] == f"{ARN}:$LATEST"
    assert "Tags" not in await functions.call("GetFunction", FunctionName="f:1")


@pytest.mark.parametrize("qualifier", [None, "$LATEST", "1", "0", "live", "$latest"])
async def test_what_does_not_exist_is_named_as_it_was_asked_for(
    functions: FunctionsRoom, qualifier: str | None
) -> None:
    params = {} if qualifier is None else {"Qualifier": qualifier}
    for operation in ("GetFunction", "GetFunctionConfiguration"):
        with pytest.raises(ResourceNotFound) as caught:
            await functions.call(operation, FunctionName="f", **params)
        assert caught.value.message == f"Function not found: {function_arn(SCOPE, 'f', qualifier)}"


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (
            {"ZipFile": b"not a zip"},
            InvalidParameterValue,
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        (
            {"ZipFile": zipped(name="../escape.py")},
            InvalidParameterValue,
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        ({"ZipFile": b""}, InvalidParameterValue, "Uploaded file must be a non-empty zip"),
        ({"ZipFile": b"PK\5\6" + bytes(18)}, InvalidParameterValue, "Uploaded file must be a non-empty zip"),
        ({"ZipFile": b"\0" * 52_428_801}, RequestEntityTooLarge, "Zipped size must be smaller than 52428800 bytes"),
        ({}, InvalidParameterValue, "Please provide a source for function code."),
        (
            {"S3Bucket": "missing", "S3Key": "k"},
            InvalidParameterValue,
            "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does "
            "not exist",
        ),
        (
            {"S3Bucket": "b", "S3Key": "missing"},
            InvalidParameterValue,
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not "
            "exist.",
        ),
        (
            {"ZipFile": zipped(), "S3Bucket": "b"},
            InvalidParameterValue,
            "Please do not provide other FunctionCode parameters when providing a ZipFile.",
        ),
    ],
    ids=["no zip", "hostile", "no bytes", "no entries", "too large", "nothing", "no bucket", "no key", "two sources"],
)
async def test_packages_that_are_refused_leave_nothing(
    functions: FunctionsRoom, source: dict[str, Any], error: type[AwsError], message: str
) -> None:
    with pytest.raises(error) as caught:
        await functions.create(Code=source)
    assert caught.value.message == message
    assert functions.blobs.usage_bytes == 0
    with pytest.raises(ResourceNotFound):
        await functions.call("GetFunction", FunctionName="f")


async def test_a_bomb_is_refused(functions: FunctionsRoom) -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        await functions.create(code="\0" * 262_144_001)
    assert caught.value.message == "Unzipped size must be smaller than 262144000 bytes"
    assert functions.blobs.usage_bytes == 0


async def test_code_from_s3(functions: FunctionsRoom) -> None:
    functions.objects.objects["k"] = zipped("from s3")
    created = await functions.create(Code={"S3Bucket": "b", "S3Key": "k"})
    assert created["CodeSize"] == len(zipped("from s3"))


async def test_code_storage_has_an_end(tmp_path: Path) -> None:
    async with functions_room(tmp_path, blob_quota_bytes=10) as room:
        with pytest.raises(CodeStorageExceeded):
            await room.create()


async def test_a_refused_package_does_not_take_a_stored_one_with_it(functions: FunctionsRoom) -> None:
    await functions.create("good")
    with pytest.raises(InvalidParameterValue):
        await functions.create("bad", Runtime="cobol85")
    with pytest.raises(InvalidParameterValue):
        await functions.call("UpdateFunctionCode", FunctionName="good", ZipFile=b"bad")
    assert (await functions.code_store.folder(hashlib.sha256(zipped("original")).hexdigest())).is_dir()


async def test_update_configuration(functions: FunctionsRoom) -> None:
    await functions.create(Environment={"Variables": {"A": "1"}})
    before = await functions.call("GetFunctionConfiguration", FunctionName="f")

    updated = await functions.update(Timeout=9, Description="d")

    assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "InProgress")
    assert updated["LastUpdateStatusReason"] == "The function is being created."
    assert updated["LastUpdateStatusReasonCode"] == "Creating"
    after = await functions.call("GetFunctionConfiguration", FunctionName="f")
    assert after["LastUpdateStatus"] == "Successful"
    assert "LastUpdateStatusReason" not in after
    assert (after["Timeout"], after["Description"], after["Environment"]) == (9, "d", {"Variables": {"A": "1"}})
    assert len({before["RevisionId"], updated["RevisionId"], after["RevisionId"]}) == 3


async def test_an_update_without_change_is_an_update(functions: FunctionsRoom) -> None:
    await functions.create()
    updated = await functions.update(Timeout=3)
    assert updated["LastUpdateStatus"] == "InProgress"


async def test_nothing_changes_while_a_change_is_under_way(functions: FunctionsRoom) -> None:
    await functions.create()
    functions.code.gate.clear()
    await functions.call("UpdateFunctionConfiguration", FunctionName="f", Timeout=9)
    for operation, params in (
        ("UpdateFunctionConfiguration", {"Timeout": 10}),
        ("UpdateFunctionCode", {"ZipFile": zipped("new")}),
        ("PublishVersion", {}),
    ):
        with pytest.raises(ResourceConflict) as caught:
            await functions.call(operation, FunctionName="f", **params)
        assert caught.value.message == UPDATE_IN_PROGRESS
    functions.code.gate.set()
    assert (await functions.settled())["Timeout"] == 9


async def test_revision_ids_guard_updates(functions: FunctionsRoom) -> None:
    await functions.create()
    current = (await functions.settled())["RevisionId"]
    for operation, params in (
        ("UpdateFunctionConfiguration", {"Timeout": 10}),
        ("UpdateFunctionCode", {"ZipFile": zipped("new")}),
        ("PublishVersion", {}),
    ):
        with pytest.raises(PreconditionFailed) as caught:
            await functions.call(operation, FunctionName="f", RevisionId="stale", **params)
        assert caught.value.message == (
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
            "retrieve the latest Revision Id"
        )
    await functions.update(Timeout=10, RevisionId=current)


async def test_update_code(functions: FunctionsRoom) -> None:
    created = await functions.create()
    updated = await functions.call(
        "UpdateFunctionCode", FunctionName="f", ZipFile=zipped("new"), Architectures=["arm64"]
    )
    assert updated["LastUpdateStatus"] == "InProgress"
    assert updated["CodeSha256"] != created["CodeSha256"]
    assert updated["Architectures"] == ["arm64"]
    assert (await functions.settled())["CodeSha256"] == updated["CodeSha256"]


async def test_a_dry_run_changes_nothing(functions: FunctionsRoom) -> None:
    await functions.create()
    before = await functions.settled()
    would_be = await functions.call("UpdateFunctionCode", FunctionName="f", ZipFile=zipped("new"), DryRun=True)
    assert would_be["CodeSha256"] != before["CodeSha256"]
    assert await functions.call("GetFunctionConfiguration", FunctionName="f") == before
    with pytest.raises(InvalidParameterValue, match="Could not unzip"):
        await functions.call("UpdateFunctionCode", FunctionName="f", ZipFile=b"bad", DryRun=True)


async def test_images_are_not_zips(functions: FunctionsRoom) -> None:
    await functions.create()
    with pytest.raises(InvalidParameterValue) as caught:
        await functions.call("UpdateFunctionCode", FunctionName="f", ImageUri="000000000000.dkr.ecr/i:1")
    assert caught.value.message == "Please don't provide ImageUri when updating a function with packageType Zip."


async def test_layers(functions: FunctionsRoom) -> None:
    blob = await functions.blobs.put(zipped("layer"))
    one = functions.layers.add("arn:aws:lambda:us-east-1:000000000000:layer:one:1", sha256=blob.sha256)
    two = "arn:aws:lambda:us-east-1:000000000000:layer:two:1"
    with pytest.raises(InvalidParameterValue, match=f"^Layer version {two} does not exist\\.$"):
        await functions.create(Layers=[one, two])
    assert functions.blobs.usage_bytes == blob.size_bytes, "refused before the package was stored"

    created = await functions.create(Layers=[one])
    assert created["Layers"] == [{"Arn": one, "CodeSize": 5}]

    functions.layers.known.clear()  # the layer version is deleted: functions that have it keep it
    await functions.update(Timeout=4, Layers=[one])
    referenced = await functions.database.read(store.referenced_blobs)
    assert referenced == {blob.sha256, hashlib.sha256(zipped("original")).hexdigest()}

    assert "Layers" not in await functions.update(Layers=[])


async def test_code_and_layers_together_are_limited(functions: FunctionsRoom) -> None:
    blob = await functions.blobs.put(zipped("layer"))
    arn = "arn:aws:lambda:us-east-1:000000000000:layer:one:1"
    functions.layers.add(arn, sha256=blob.sha256, unzipped_bytes=262_144_000)
    with pytest.raises(InvalidParameterValue, match="Unzipped size must be smaller than 262144000 bytes"):
        await functions.create(Layers=[arn])


async def test_delete_function(functions: FunctionsRoom) -> None:
    await functions.create(Publish=True, Tags={"a": "b"})
    await functions.settled("f", "1")
    deleted = await functions.answer("DeleteFunction", FunctionName="f")
    assert isinstance(deleted, Reply)
    assert deleted.status == 204
    assert [key.partition("#")[0] for key in functions.engine.retired] == [f"{ARN}:$LATEST", f"{ARN}:1"]
    with pytest.raises(ResourceNotFound) as caught:
        await functions.call("DeleteFunction", FunctionName="f")
    assert caught.value.message == f"Function not found: {ARN}"

    recreated = await functions.create(Publish=True)
    assert recreated["Version"] == "1"
    assert "Tags" not in await functions.call("GetFunction", FunctionName="f")


async def test_a_function_deleted_while_it_is_created_stays_deleted(functions: FunctionsRoom) -> None:
    functions.code.gate.clear()
    await functions.begin_create()
    await functions.call("DeleteFunction", FunctionName="f")
    functions.code.gate.set()
    await functions.create("later")
    with pytest.raises(ResourceNotFound):
        await functions.call("GetFunction", FunctionName="f")


async def test_a_restart_completes_what_was_begun(tmp_path: Path) -> None:
    async with functions_room(tmp_path) as room:
        await room.create("updated")
        room.code.gate.clear()
        await room.call("UpdateFunctionConfiguration", FunctionName="updated", Timeout=9)
        await room.begin_create("created", Publish=True)
    async with functions_room(tmp_path) as room:
        assert (await room.settled("updated"))["Timeout"] == 9
        assert (await room.settled("created"))["State"] == "Active"
        assert (await room.settled("created", "1"))["State"] == "Active"


async def test_lost_code_fails_the_change_and_keeps_what_ran_before(tmp_path: Path) -> None:
    async with functions_room(tmp_path) as room:
        await room.create("updated")
        room.code.gate.clear()
        await room.call("UpdateFunctionCode", FunctionName="updated", ZipFile=zipped("new"))
        await room.begin_create("created", code="new")
        lost = hashlib.sha256(zipped("new")).hexdigest()
        await room.blobs.delete(lost)
    async with functions_room(tmp_path) as room:
        created = await room.settled("created")
        updated = await room.settled("updated")
        assert (created["State"], created["StateReasonCode"]) == ("Failed", "InvalidZipFileException")
        assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "Failed")
        await room.call("Invoke", FunctionName="updated", Payload=b"{}")
        assert room.engine.invoked[0][0].code == hashlib.sha256(zipped("original")).hexdigest()


async def test_list_functions(functions: FunctionsRoom) -> None:
    for name in ("b", "a", "c"):
        await functions.create(name, Publish=name == "b")
    first = await functions.call("ListFunctions", MaxItems=2)
    assert [item["FunctionArn"] for item in first["Functions"]] == [function_arn(SCOPE, name) for name in "ab"]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig", "Tags"} & first["Functions"][0].keys()
    second = await functions.call("ListFunctions", MaxItems=2, Marker=first["NextMarker"])
    assert [item["FunctionName"] for item in second["Functions"]] == ["c"]
    assert second["NextMarker"] is None

    everything: list[str] = []
    marker: str | None = None
    for _ in range(2):
        page = await functions.call(
            "ListFunctions", FunctionVersion="ALL", MaxItems=2, **({"Marker": marker} if marker else {})
        )
        everything += [item["FunctionArn"] for item in page["Functions"]]
        marker = page["NextMarker"]
    assert marker is None
    assert everything == [
        function_arn(SCOPE, *which) for which in (("a", "$LATEST"), ("b", "$LATEST"), ("b", "1"), ("c", "$LATEST"))
    ]


async def test_markers_of_other_lists_are_refused(functions: FunctionsRoom) -> None:
    for name in "ab":
        await functions.create(name)
    marker = (await functions.call("ListFunctions", MaxItems=1))["NextMarker"]
    for params in (
        {"FunctionVersion": "ALL", "Marker": marker},
        {"Marker": "forged"},
        {"FunctionVersion": "ALL", "Marker": encode_marker("functions ALL", "a:b")},
        {"FunctionVersion": "ALL", "Marker": encode_marker("functions ALL", f"a:{10**30}")},
    ):
        with pytest.raises(InvalidParameterValue, match="Invalid pagination token"):
            await functions.call("ListFunctions", **params)
    with pytest.raises(InvalidParameterValue, match="Invalid pagination token"):
        await functions.call(
            "ListVersionsByFunction", FunctionName="a", Marker=encode_marker("versions a", "not a number")
        )


async def test_a_page_has_at_most_fifty_items(functions: FunctionsRoom) -> None:
    for number in range(51):
        stored = version(f"f{number:02}")
        await functions.database.run(lambda tx, stored=stored: store.insert_function(tx, stored))
    page = await functions.call("ListFunctions", MaxItems=10_000)
    assert len(page["Functions"]) == 50
    rest = await functions.call("ListFunctions", Marker=page["NextMarker"])
    assert [item["FunctionName"] for item in rest["Functions"]] == ["f50"]
