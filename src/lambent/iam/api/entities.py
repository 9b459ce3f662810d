"""ListEntitiesForPolicy: who uses a managed policy. Only roles can."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.iam import policies, store
from lambent.iam.api.furniture import IAM, Parts, sorted_page
from lambent.iam.model import Role
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    async def list_entities(context: RequestContext, params: Params) -> Output:
        kind, usage = params.get("EntityFilter", "Role"), params.get("PolicyUsageFilter")
        prefix = params.get("PathPrefix", "/")

        def work(tx: Transaction, account: str) -> list[Role]:
            policy = policies.require_policy(tx, account, params["PolicyArn"])
            found: dict[str, Role] = {}
            if usage != "PermissionsBoundary":
                found |= {role.name: role for role in store.roles_attached_to(tx, account, policy.arn)}
            if usage != "PermissionsPolicy":
                found |= {role.name: role for role in store.roles_bounded_by(tx, account, policy.arn)}
            return [role for role in found.values() if kind == "Role" and role.path.startswith(prefix)]

        roles = await parts.look(context, work)
        return {"PolicyGroups": [], "PolicyUsers": []} | sorted_page(
            context,
            params,
            "PolicyRoles",
            roles,
            key=lambda role: role.name,
            render=lambda role: {"RoleName": role.name, "RoleId": role.role_id},
        )

    return [
        Operation(
            service=IAM,
            name="ListEntitiesForPolicy",
            handler=list_entities,
            enforced=("PolicyArn", "EntityFilter", "PathPrefix", "PolicyUsageFilter", "Marker", "MaxItems"),
            note="Users and groups are always empty: there are none.",
        )
    ]
