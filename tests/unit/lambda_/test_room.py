"""The room as the composition root builds it, against AWS's service model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lambent.core.errors import AwsError
from lambent.lambda_.migrations import MIGRATIONS
from lambent.lambda_.room import LambdaRoom, referenced_blobs
from lambent.server.registry import OperationRegistry
from lambent.storage.blobs import BlobStore
from lambent.storage.code_store import CodeStore
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock
from tests.unit.lambda_.functions_room import KEY, FakeEngine


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[OperationRegistry]:
    database = await open_database(tmp_path / "control.db", MIGRATIONS, synchronous="OFF")
    blobs = BlobStore(tmp_path / "blobs", 1 << 30)
    room = LambdaRoom(
        database=database,
        engine=FakeEngine(),
        blobs=blobs,
        code_store=CodeStore(blobs, tmp_path / "code"),
        clock=VirtualClock(),
        signing_key=KEY,
        account_concurrency=1000,
    )
    await room.start()
    assert await database.read(referenced_blobs) == set()
    registry = OperationRegistry()
    registry.add_all(room.operations)
    yield registry
    await room.close()
    await database.close()


def check(registry: OperationRegistry, operation: str, params: dict[str, Any]) -> tuple[str, ...]:
    """What the endpoint finds simulated. Raises AwsError for what is rejected."""
    service = registry.service("lambda")
    assert service is not None
    (declared,) = (known for known in service.operations if known.name == operation)
    return service.treatment(declared).check(params)


async def test_every_declaration_fits_the_service_model(registry: OperationRegistry) -> None:
    registry.verify()
    service = registry.service("lambda")
    assert service is not None
    for report in service.reports():
        for member in report.members:
            assert member.verdict != "rejected" or member.text != "it is not implemented", (report.name, member.path)


LEAST = {"FunctionName": "f", "Role": "r", "Runtime": "python3.13", "Handler": "h.h"}


@pytest.mark.parametrize(
    "params",
    [
        {"PackageType": "Zip", "Publish": False, "Timeout": 3, "MemorySize": 128, "Tags": {"a": "b"}},
        {"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": [], "Ipv6AllowedForDualStack": False}},
        {"VpcConfig": {}, "DeadLetterConfig": {"TargetArn": ""}, "KMSKeyArn": "", "FileSystemConfigs": []},
        {"SnapStart": {"ApplyOn": "None"}, "ImageConfig": {}, "Layers": [], "Environment": {"Variables": {}}},
        {"LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"}},
    ],
)
async def test_what_deployment_tools_send_passes(registry: OperationRegistry, params: dict[str, Any]) -> None:
    create = {**LEAST, "Code": {"ZipFile": b"", "S3ObjectStorageMode": "COPY"}, **params}
    assert check(registry, "CreateFunction", create) == ("Role",)


@pytest.mark.parametrize(
    "params",
    [
        {"PackageType": "Image"},
        {"Code": {"ImageUri": "i"}},
        {"Code": {"S3ObjectStorageMode": "REFERENCE"}},
        {"VpcConfig": {"SubnetIds": ["subnet-1"]}},
        {"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"}},
        {"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k"},
        {"FileSystemConfigs": [{"Arn": "a", "LocalMountPath": "/mnt/x"}]},
        {"ImageConfig": {"Command": ["c"]}},
        {"CodeSigningConfigArn": "a"},
        {"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}},
        {"CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": {}}},
        {"DurableConfig": {"ExecutionTimeout": 5}},
        {"RuntimeConfig": {"RuntimeArn": "a"}},
        {"AcceleratorConfig": {"AcceleratorMemorySize": 8}},
        {"PublishTo": "LATEST_PUBLISHED"},
    ],
)
async def test_what_has_no_effect_is_not_accepted(registry: OperationRegistry, params: dict[str, Any]) -> None:
    with pytest.raises(AwsError) as caught:
        check(registry, "CreateFunction", {**LEAST, **params})
    assert caught.value.code == "InvalidParameterValueException"
