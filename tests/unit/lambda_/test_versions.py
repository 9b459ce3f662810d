from __future__ import annotations

import pytest

from lambent.core.arns import function_arn
from lambent.lambda_.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from tests.unit.lambda_.functions_room import FunctionsRoom, zipped
from tests.unit.lambda_.room import SCOPE

ARN = function_arn(SCOPE, "f")


async def publish(functions: FunctionsRoom, **params: str) -> str:
    version: str = (await functions.call("PublishVersion", FunctionName="f", **params))["Version"]
    return version


async def test_a_version_freezes_latest(functions: FunctionsRoom) -> None:
    await functions.create(Description="d")
    before = await functions.settled()

    published = await functions.call("PublishVersion", FunctionName="f")

    assert published["FunctionArn"] == f"{ARN}:1"
    assert (published["Version"], published["Description"]) == ("1", "d")
    assert (published["State"], published["LastUpdateStatus"]) == ("Active", "Successful")
    after = await functions.settled()
    assert len({before["RevisionId"], after["RevisionId"], published["RevisionId"]}) == 3

    await functions.update(Timeout=9)
    frozen = await functions.call("GetFunctionConfiguration", FunctionName="f", Qualifier="1")
    assert frozen == published


async def test_an_unchanged_function_is_not_published_twice(functions: FunctionsRoom) -> None:
    await functions.create()
    assert await publish(functions) == "1"
    assert await publish(functions, Description="only this is new") == "1"
    await functions.update(Description="only this is new")
    assert await publish(functions) == "1"
    await functions.update(Timeout=9)
    await functions.update(Timeout=3)
    assert await publish(functions) == "1", "changed and changed back"
    await functions.update(Timeout=9)
    assert await publish(functions, Description="two") == "2"
    await functions.call("UpdateFunctionCode", FunctionName="f", ZipFile=zipped("new"))
    await functions.settled()
    assert await publish(functions) == "3"


async def test_numbers_are_not_used_again(functions: FunctionsRoom) -> None:
    await functions.create(Publish=True)
    await functions.call("DeleteFunction", FunctionName="f", Qualifier="1")
    assert await publish(functions) == "2"


async def test_create_and_publish(functions: FunctionsRoom) -> None:
    created = await functions.create(Publish=True)
    assert (created["Version"], created["State"], created["FunctionArn"]) == ("1", "Pending", ARN)
    assert (await functions.settled("f", "1"))["State"] == "Active"


async def test_update_and_publish(functions: FunctionsRoom) -> None:
    await functions.create(Publish=True)
    again = await functions.call("UpdateFunctionCode", FunctionName="f", ZipFile=zipped("original"), Publish=True)
    assert again["Version"] == "1", "the same code"
    await functions.settled()
    updated = await functions.call("UpdateFunctionCode", FunctionName="f", ZipFile=zipped("new"), Publish=True)
    assert (updated["Version"], updated["FunctionArn"]) == ("2", f"{ARN}:2")
    assert (updated["State"], updated["StateReasonCode"], "LastUpdateStatus" in updated) == (
        "Pending",
        "Creating",
        False,
    )
    await functions.settled()
    assert (await functions.settled("f", "2"))["CodeSha256"] == (await functions.settled())["CodeSha256"]


async def test_code_sha256_guards_publishing(functions: FunctionsRoom) -> None:
    created = await functions.create()
    with pytest.raises(InvalidParameterValue) as caught:
        await publish(functions, CodeSha256="other")
    assert caught.value.message == (
        f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({created['CodeSha256']}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )
    assert await publish(functions, CodeSha256=created["CodeSha256"]) == "1"


async def test_list_versions(functions: FunctionsRoom) -> None:
    await functions.create(Publish=True)
    await functions.update(Timeout=9)
    await publish(functions)
    first = await functions.call("ListVersionsByFunction", FunctionName="f", MaxItems=2)
    assert [item["FunctionArn"] for item in first["Versions"]] == [f"{ARN}:$LATEST", f"{ARN}:1"]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & first["Versions"][0].keys()
    second = await functions.call("ListVersionsByFunction", FunctionName="f", MaxItems=2, Marker=first["NextMarker"])
    assert [item["Version"] for item in second["Versions"]] == ["2"]
    assert second["NextMarker"] is None
    with pytest.raises(ResourceNotFound):
        await functions.call("ListVersionsByFunction", FunctionName="missing")


async def test_deleting_versions(functions: FunctionsRoom) -> None:
    await functions.create(Publish=True)
    await functions.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    await functions.call("CreateAlias", FunctionName="f", Name="other", FunctionVersion="1")

    for qualifier, error, message in (
        ("$LATEST", InvalidParameterValue, r"^\$LATEST version cannot be deleted without deleting the function\.$"),
        ("live", InvalidParameterValue, r"^Deletion of aliases is not currently supported\.$"),
        (
            "1",
            ResourceConflict,
            r"^Unable to delete version because the following aliases reference it: \[live, other\]$",
        ),
    ):
        with pytest.raises(error, match=message):
            await functions.call("DeleteFunction", FunctionName="f", Qualifier=qualifier)

    await functions.call("DeleteAlias", FunctionName="f", Name="live")
    await functions.call("DeleteAlias", FunctionName="f", Name="other")
    await functions.call("DeleteFunction", FunctionName="f", Qualifier="1")
    await functions.call("DeleteFunction", FunctionName="f", Qualifier="1")  # none left: no error on AWS
    assert [key.partition("#")[0] for key in functions.engine.retired] == [f"{ARN}:1"]
    with pytest.raises(ResourceNotFound, match=r"Function not found: .*:missing$"):
        await functions.call("DeleteFunction", FunctionName="missing", Qualifier="1")
