"""Every parameter of the operations has its fate declared, once."""

from __future__ import annotations

from collections.abc import Iterator

import botocore.session
from botocore.model import Shape, StructureShape

from lambent.server.registry import OperationRegistry
from tests.unit.event_sources.conftest import Room


def leaves(shape: Shape | None, prefix: str = "") -> Iterator[str]:
    """The paths of the members that are no structures."""
    if not isinstance(shape, StructureShape):
        return
    for name, member in shape.members.items():
        if isinstance(member, StructureShape):
            yield from leaves(member, f"{prefix}{name}.")
        else:
            yield prefix + name


async def test_every_member_is_declared_once(room: Room) -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    for operation in room.room.operations:
        declared = [*operation.enforced, *operation.simulated, *operation.rejected]
        members = set(leaves(model.operation_model(operation.name).input_shape))
        for path in members:
            covering = [entry for entry in declared if path == entry or path.startswith(f"{entry}.")]
            assert len(covering) == 1, (operation.name, path, covering)
        for entry in declared:
            assert any(path == entry or path.startswith(f"{entry}.") for path in members), (operation.name, entry)


async def test_the_service_model_has_them(room: Room) -> None:
    registry = OperationRegistry()
    registry.add_all(room.room.operations)
    registry.verify()
