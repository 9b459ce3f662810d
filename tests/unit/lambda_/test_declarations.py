"""Every parameter of the operations on layers, policies, tags and configurations has its fate declared, once."""

from __future__ import annotations

from collections.abc import Iterator

import botocore.session
import pytest
from botocore.model import Shape, StructureShape

from lambent.core.operations import Operation
from lambent.lambda_.api import resources
from lambent.lambda_.concurrency import ReservedConcurrency
from lambent.lambda_.directory import Directory
from lambent.lambda_.packages import Packages
from lambent.lambda_.provisioned import ProvisionedConcurrency
from lambent.storage.blobs import BlobStore
from lambent.storage.code_store import CodeStore
from tests.unit.lambda_.room import Room
from tests.unit.lambda_.test_concurrency import Engine


def leaves(shape: Shape | None, prefix: str = "") -> Iterator[str]:
    """The paths of the members that are no structures."""
    if not isinstance(shape, StructureShape):
        return
    for name, member in shape.members.items():
        if isinstance(member, StructureShape):
            yield from leaves(member, f"{prefix}{name}.")
        else:
            yield prefix + name


@pytest.fixture
def operations(room: Room, tmp_path_factory: pytest.TempPathFactory) -> list[Operation]:
    root = tmp_path_factory.mktemp("packages")
    blobs = BlobStore(root / "blobs", 1)
    return resources.operations(
        room.basics,
        directory=Directory(room.database),
        reserved=ReservedConcurrency(room.database, Engine(), account_limit=1000),
        provisioned=ProvisionedConcurrency(room.database, Engine(), room.clock, account_limit=1000),
        packages=Packages(blobs=blobs, code=CodeStore(blobs, root / "code")),
        signing_key=b"key",
        concurrency_limit=1000,
        storage_limit_bytes=1,
        taggable={},
    )


async def test_every_member_is_declared_once(operations: list[Operation]) -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    for operation in operations:
        declared = [*operation.enforced, *operation.simulated, *operation.rejected]
        members = set(leaves(model.operation_model(operation.name).input_shape))
        for path in members:
            covering = [entry for entry in declared if path == entry or path.startswith(f"{entry}.")]
            assert len(covering) == 1, (operation.name, path, covering)
        for entry in declared:
            assert any(path == entry or path.startswith(f"{entry}.") for path in members), (operation.name, entry)


async def test_operations_have_names_of_their_own(operations: list[Operation]) -> None:
    names = [operation.name for operation in operations]

    assert len(names) == len(set(names)) == 36
