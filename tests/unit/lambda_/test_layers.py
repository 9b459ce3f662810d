from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lambent.core.errors import AccessDenied
from lambent.core.limits import LAMBDA_UNZIPPED_BYTES
from lambent.core.operations import Scope
from lambent.lambda_ import code_location, layers_store
from lambent.lambda_.api import layer_policies, layers
from lambent.lambda_.errors import InvalidParameterValue, PreconditionFailed, ResourceConflict, ResourceNotFound
from lambent.lambda_.layer_resolver import LayerResolver, ResolvedLayer
from lambent.lambda_.layers import Layers
from lambent.lambda_.packages import ObjectMissing, Packages
from lambent.storage.blobs import BlobStore
from lambent.storage.code_store import CodeStore
from tests.unit.lambda_.room import SCOPE, Room

KEY = b"signing key"
LAYER = "arn:aws:lambda:us-east-1:000000000000:layer:l"
OTHERS = Scope(account="111111111111", region="us-east-1")
ELSEWHERE = Scope(account="000000000000", region="eu-west-1")


def zipped(files: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (files or {"python/shared.py": "ANSWER = 42\n"}).items():
            archive.writestr(zipfile.ZipInfo(name), text)  # a fixed date: the same bytes each time
    return buffer.getvalue()


class Objects:
    """One bucket with one object."""

    async def read(self, scope: Scope, bucket: str, key: str, version_id: str | None) -> bytes:
        if (bucket, key, version_id) == ("bucket", "layer.zip", None):
            return zipped()
        raise ObjectMissing("NoSuchKey", "The specified key does not exist.")


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs", 10**9)


@pytest.fixture
def code(tmp_path: Path, blobs: BlobStore) -> CodeStore:
    return CodeStore(blobs, tmp_path / "code")


@pytest.fixture
async def served(room: Room, blobs: BlobStore, code: CodeStore) -> Room:
    packages = Packages(blobs=blobs, code=code, objects=Objects())
    room.serve(layers.operations(room.basics, packages, KEY))
    room.serve(layer_policies.operations(room.basics))
    return room


async def publish(room: Room, name: str = "l", /, scope: Scope = SCOPE, **params: Any) -> Any:
    return await room.call(
        "PublishLayerVersion", scope, **{"LayerName": name, "Content": {"ZipFile": zipped()}} | params
    )


async def resolve(room: Room, arn: str, scope: Scope = SCOPE) -> ResolvedLayer:
    resolver: LayerResolver = Layers()
    return await room.database.read(lambda tx: resolver.resolve(tx, scope, arn))


async def test_publishing(served: Room, code: CodeStore) -> None:
    content = zipped()

    answer = dict(await publish(served, CompatibleRuntimes=["python3.12", "python3.13"], LicenseInfo="MIT"))

    location = answer["Content"].pop("Location")
    assert answer == {
        "LayerArn": LAYER,
        "LayerVersionArn": f"{LAYER}:1",
        "Version": 1,
        "Description": "",
        "CreatedDate": "2026-01-01T00:00:00.000+0000",
        "CompatibleRuntimes": ["python3.12", "python3.13"],
        "LicenseInfo": "MIT",
        "Content": {
            "CodeSha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
            "CodeSize": len(content),
        },
    }
    token = location.removeprefix("http://localhost:4566/_lambent/code/")
    sha256 = code_location.verify(KEY, token, served.clock.now())
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert ((await code.folder(sha256)) / "python" / "shared.py").read_text() == "ANSWER = 42\n"


async def test_both_ways_to_get_a_version(served: Room) -> None:
    published = await publish(served, CompatibleArchitectures=["arm64", "x86_64"], Description="d")

    assert await served.call("GetLayerVersion", LayerName="l", VersionNumber=1) == published
    assert await served.call("GetLayerVersion", LayerName=LAYER, VersionNumber=1) == published
    assert await served.call("GetLayerVersionByArn", Arn=f"{LAYER}:1") == published


async def test_numbers_are_never_given_twice(served: Room) -> None:
    await publish(served)
    await publish(served, LAYER)
    for number in (1, 2, 2):
        await served.call("DeleteLayerVersion", LayerName="l", VersionNumber=number)

    assert (await publish(served))["Version"] == 3
    assert (await publish(served, "other"))["Version"] == 1
    assert (await publish(served, scope=ELSEWHERE))["Version"] == 1


async def test_lists_show_the_newest_that_matches(served: Room) -> None:
    await publish(served, "b", CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["x86_64"])
    await publish(served, "b", CompatibleRuntimes=["python3.13"], CompatibleArchitectures=["arm64"])
    await publish(served, "a")

    async def listed(**params: Any) -> list[tuple[str, int]]:
        answer = await served.call("ListLayers", **params)
        return [(layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for layer in answer["Layers"]]

    assert await listed() == [("a", 1), ("b", 2)]
    assert await listed(CompatibleRuntime="python3.12") == [("b", 1)]
    assert await listed(CompatibleArchitecture="arm64") == [("b", 2)]
    assert await listed(CompatibleArchitecture="arm64", CompatibleRuntime="python3.12") == []
    assert await listed(CompatibleRuntime="python3.1") == []


async def test_versions_are_listed_newest_first(served: Room) -> None:
    for _ in range(5):
        await publish(served)
    await served.call("DeleteLayerVersion", LayerName="l", VersionNumber=3)
    seen: list[int] = []
    marker: dict[str, str] = {}
    while True:
        page = await served.call("ListLayerVersions", LayerName="l", MaxItems=2, **marker)
        seen += [version["Version"] for version in page["LayerVersions"]]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}

    assert seen == [5, 4, 2, 1]
    assert await served.call("ListLayerVersions", LayerName="no") == {"LayerVersions": []}
    assert "Content" not in (await served.call("ListLayerVersions", LayerName="l"))["LayerVersions"][0]


async def test_pages_of_layers(served: Room) -> None:
    for name in ("c", "a", "b"):
        await publish(served, name)

    first = await served.call("ListLayers", MaxItems=2)
    second = await served.call("ListLayers", MaxItems=2, Marker=first["NextMarker"])

    assert [layer["LayerName"] for layer in first["Layers"]] == ["a", "b"]
    assert [layer["LayerName"] for layer in second["Layers"]] == ["c"]
    assert "NextMarker" not in second


async def test_missing_versions(served: Room) -> None:
    await publish(served)
    for operation, params in (
        ("GetLayerVersion", {"LayerName": "l", "VersionNumber": 2}),
        ("GetLayerVersion", {"LayerName": "no", "VersionNumber": 1}),
        ("GetLayerVersionByArn", {"Arn": f"{LAYER}:2"}),
        ("GetLayerVersionByArn", {"Arn": f"{LAYER.replace('us-east-1', 'eu-west-1')}:1"}),
        ("GetLayerVersionByArn", {"Arn": "arn:aws:lambda:::awslayer:AmazonLinux1803"}),
    ):
        with pytest.raises(ResourceNotFound, match=r"^The resource you requested does not exist\.$"):
            await served.call(operation, **params)
    for operation in ("GetLayerVersion", "DeleteLayerVersion"):
        with pytest.raises(InvalidParameterValue, match=r"^Layer Version Cannot be less than 1$"):
            await served.call(operation, LayerName="l", VersionNumber=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"ZipFile": b"no zip"},
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        (
            {"S3Bucket": "bucket", "S3Key": "no"},
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not "
            "exist.",
        ),
    ],
)
async def test_content_that_is_refused(served: Room, content: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        await publish(served, Content=content)

    assert caught.value.message == message
    assert (await publish(served))["Version"] == 1


async def test_content_from_s3(served: Room) -> None:
    answer = await publish(served, Content={"S3Bucket": "bucket", "S3Key": "layer.zip"})

    assert answer["Content"]["CodeSize"] == len(zipped())


async def test_without_s3_no_bucket_exists(room: Room, blobs: BlobStore, code: CodeStore) -> None:
    room.serve(layers.operations(room.basics, Packages(blobs=blobs, code=code), KEY))

    with pytest.raises(
        InvalidParameterValue, match=r"S3 Error Code: NoSuchBucket\. S3 Error Message: The specified bu"
    ):
        await publish(room, Content={"S3Bucket": "bucket", "S3Key": "layer.zip"})


async def test_functions_get_the_package(served: Room) -> None:
    await publish(served)

    layer = await resolve(served, f"{LAYER}:1")

    assert layer == ResolvedLayer(
        arn=f"{LAYER}:1",
        code_size=len(zipped()),
        sha256=hashlib.sha256(zipped()).hexdigest(),
        unzipped_bytes=layer.unzipped_bytes,
    )
    assert len("ANSWER = 42\n") <= layer.unzipped_bytes < LAMBDA_UNZIPPED_BYTES


async def test_what_functions_cannot_use(served: Room) -> None:
    await publish(served)
    await publish(served, scope=ELSEWHERE)
    await served.call("DeleteLayerVersion", LayerName="l", VersionNumber=1)
    for arn in (f"{LAYER}:1", f"{LAYER}:99", "arn:aws:lambda:::awslayer:AmazonLinux1803"):
        with pytest.raises(InvalidParameterValue) as caught:
            await resolve(served, arn)
        assert caught.value.message == f"Layer version {arn} does not exist."
    with pytest.raises(InvalidParameterValue) as caught:
        await resolve(served, f"{LAYER.replace('us-east-1', 'eu-west-1')}:1")
    assert caught.value.message == (
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."
    )


async def test_packages_that_layers_need(served: Room) -> None:
    await publish(served)
    await publish(served, "other", Content={"ZipFile": zipped({"a": "b"})})
    await publish(served, "other")
    await served.call("DeleteLayerVersion", LayerName="other", VersionNumber=1)

    assert await served.database.read(layers_store.referenced_blobs) == {hashlib.sha256(zipped()).hexdigest()}
    assert await served.database.read(lambda tx: layers_store.total_zip_bytes(tx, SCOPE)) == 2 * len(zipped())


GRANT = {"LayerName": "l", "VersionNumber": 1, "Action": "lambda:GetLayerVersion"}


async def add(room: Room, sid: str = "s1", principal: str = "*", **params: Any) -> Any:
    return await room.call("AddLayerVersionPermission", StatementId=sid, Principal=principal, **GRANT | params)


async def test_grants(served: Room) -> None:
    await publish(served)

    added = await add(served, OrganizationId="o-1234567890")

    statement = {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:GetLayerVersion",
        "Resource": f"{LAYER}:1",
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}},
    }
    assert json.loads(added["Statement"]) == statement
    policy = await served.call("GetLayerVersionPolicy", LayerName="l", VersionNumber=1)
    assert policy["RevisionId"] == added["RevisionId"]
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    with pytest.raises(InvalidParameterValue):
        await add(served, "s2", "111111111111", OrganizationId="o-1234567890")


async def test_a_statement_id_is_given_once(served: Room) -> None:
    await publish(served)
    await add(served)

    with pytest.raises(ResourceConflict, match=r"^The statement id \(s1\) provided already exists\. Please provide a"):
        await add(served)


async def test_a_stale_revision_is_refused(served: Room) -> None:
    await publish(served)
    first = (await add(served))["RevisionId"]
    second = (await add(served, "s2", RevisionId=first))["RevisionId"]
    match = r"Call the GetLayerPolicy API to retrieve the latest Revision Id$"

    with pytest.raises(PreconditionFailed, match=match):
        await add(served, "s3", RevisionId=first)
    with pytest.raises(PreconditionFailed, match=match):
        await remove(served, "s1", RevisionId=first)
    await remove(served, "s1", RevisionId=second)


async def remove(room: Room, sid: str, **params: Any) -> None:
    await room.call(
        "RemoveLayerVersionPermission", **{"LayerName": "l", "VersionNumber": 1, "StatementId": sid} | params
    )


async def test_removing_grants(served: Room) -> None:
    await publish(served)
    unknown = r"^Statement s2 is not found in resource policy\.$"
    with pytest.raises(ResourceNotFound, match=unknown):
        await remove(served, "s2")
    await add(served)
    with pytest.raises(ResourceNotFound, match=unknown):
        await remove(served, "s2")
    await remove(served, "s1")

    with pytest.raises(ResourceNotFound, match=r"^No policy is associated with the given resource\.$"):
        await served.call("GetLayerVersionPolicy", LayerName="l", VersionNumber=1)


async def test_policies_of_missing_versions(served: Room) -> None:
    calls = {
        "AddLayerVersionPermission": {"Action": "lambda:GetLayerVersion", "Principal": "*", "StatementId": "s"},
        "RemoveLayerVersionPermission": {"StatementId": "s"},
        "GetLayerVersionPolicy": {},
    }
    for operation, params in calls.items():
        with pytest.raises(ResourceNotFound) as caught:
            await served.call(operation, LayerName="l", VersionNumber=1, **params)
        assert caught.value.message == f"Layer version {LAYER}:1 does not exist."


@pytest.mark.parametrize(
    ("principal", "params", "lets_in"),
    [
        ("*", {}, True),
        ("111111111111", {}, True),
        ("arn:aws:iam::111111111111:root", {}, True),
        ("222222222222", {}, False),
        ("*", {"OrganizationId": "o-1234567890"}, False),
    ],
)
async def test_other_accounts_need_a_grant(served: Room, principal: str, params: dict[str, str], lets_in: bool) -> None:
    await publish(served)
    with pytest.raises(AccessDenied, match="not authorized to perform: lambda:GetLayerVersion"):
        await resolve(served, f"{LAYER}:1", OTHERS)
    with pytest.raises(AccessDenied):
        await served.call("GetLayerVersion", OTHERS, LayerName=LAYER, VersionNumber=1)

    await add(served, "s", principal, **params)

    if lets_in:
        assert (await resolve(served, f"{LAYER}:1", OTHERS)).arn == f"{LAYER}:1"
        assert await served.call("GetLayerVersionByArn", OTHERS, Arn=f"{LAYER}:1")
    else:
        with pytest.raises(AccessDenied):
            await resolve(served, f"{LAYER}:1", OTHERS)


async def test_other_accounts_change_nothing(served: Room) -> None:
    await publish(served)
    calls: dict[str, dict[str, Any]] = {
        "PublishLayerVersion": {"Content": {"ZipFile": zipped()}},
        "DeleteLayerVersion": {"VersionNumber": 1},
        "ListLayerVersions": {},
        "GetLayerVersionPolicy": {"VersionNumber": 1},
        "AddLayerVersionPermission": {"VersionNumber": 1, "Action": "a", "Principal": "*", "StatementId": "s"},
        "RemoveLayerVersionPermission": {"VersionNumber": 1, "StatementId": "s"},
    }
    for operation, params in calls.items():
        with pytest.raises(AccessDenied):
            await served.call(operation, OTHERS, LayerName=LAYER, **params)
        with pytest.raises(InvalidParameterValue):
            await served.call(operation, ELSEWHERE, LayerName=LAYER, **params)
    assert await served.call("GetLayerVersion", LayerName="l", VersionNumber=1)
