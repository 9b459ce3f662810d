"""IAM's operations: one module per resource, each with `operations(parts) -> list[Operation]`."""

from __future__ import annotations

from lambent.core.clock import Clock
from lambent.core.ids import IdSource, new_hex
from lambent.core.operations import Operation
from lambent.iam.api import (
    attachments,
    boundaries,
    entities,
    inline_policies,
    policies,
    policy_versions,
    roles,
    service_linked,
    tagging,
)
from lambent.iam.api.furniture import Parts
from lambent.storage.database import Database


def operations(database: Database, clock: Clock, *, new_id: IdSource = new_hex) -> list[Operation]:
    """Everything that IAM offers. `database` holds the tables of `iam.store.MIGRATIONS`; ids are 32 hex digits."""
    parts = Parts(database=database, clock=clock, new_id=new_id)
    rooms = (
        roles, attachments, boundaries, inline_policies, tagging, policies, policy_versions, entities, service_linked,
    )  # fmt: skip
    return [operation for room in rooms for operation in room.operations(parts)]
