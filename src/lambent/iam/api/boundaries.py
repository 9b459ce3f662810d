"""PutRolePermissionsBoundary, DeleteRolePermissionsBoundary."""

from __future__ import annotations

import msgspec

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.iam import policies, roles, store
from lambent.iam.api.furniture import IAM, NOT_EVALUATED, Parts
from lambent.iam.errors import NoSuchEntity
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    room = _Boundaries(parts)
    return [
        Operation(
            service=IAM,
            name="PutRolePermissionsBoundary",
            handler=room.put,
            enforced=("RoleName",),
            simulated={"PermissionsBoundary": NOT_EVALUATED},
        ),
        Operation(
            service=IAM, name="DeleteRolePermissionsBoundary", handler=room.delete, enforced=("RoleName",)
        ),
    ]  # fmt: skip


class _Boundaries:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def put(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            policy = policies.require_policy(tx, account, params["PermissionsBoundary"])
            store.save_role(tx, account, msgspec.structs.replace(role, boundary_arn=policy.arn))

        await self._parts.change(context, work)
        return None

    async def delete(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            if role.boundary_arn is None:
                raise NoSuchEntity(f"No permissions boundary is set on the role {role.name}.")
            store.save_role(tx, account, msgspec.structs.replace(role, boundary_arn=None))

        await self._parts.change(context, work)
        return None
