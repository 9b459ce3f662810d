"""CreateRole, GetRole, UpdateRole, UpdateRoleDescription, UpdateAssumeRolePolicy, DeleteRole, ListRoles."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.iam import model, policies, roles, store, tags
from lambent.iam.api.furniture import IAM, NOT_EVALUATED, Parts, encoded, page, page_start, present
from lambent.iam.errors import DeleteConflict, EntityAlreadyExists, quota
from lambent.iam.model import Role
from lambent.iam.policy_document import check_trust_policy, compact_size
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    room = _Roles(parts)
    return [
        Operation(
            service=IAM,
            name="CreateRole",
            handler=room.create,
            enforced=("RoleName", "Path", "Description", "MaxSessionDuration", "Tags"),
            simulated={"AssumeRolePolicyDocument": NOT_EVALUATED, "PermissionsBoundary": NOT_EVALUATED},
            note="The document's syntax is checked; whether its principals exist is not.",
        ),
        Operation(
            service=IAM,
            name="GetRole",
            handler=room.get,
            enforced=("RoleName",),
            note="RoleLastUsed is empty: use is not recorded.",
        ),
        Operation(
            service=IAM,
            name="UpdateRole",
            handler=room.update,
            enforced=("RoleName", "Description", "MaxSessionDuration"),
        ),
        Operation(
            service=IAM,
            name="UpdateRoleDescription",
            handler=room.update_description,
            enforced=("RoleName", "Description"),
        ),
        Operation(
            service=IAM,
            name="UpdateAssumeRolePolicy",
            handler=room.update_trust_policy,
            enforced=("RoleName",),
            simulated={"PolicyDocument": NOT_EVALUATED},
        ),
        Operation(service=IAM, name="DeleteRole", handler=room.delete, enforced=("RoleName",)),
        Operation(
            service=IAM, name="ListRoles", handler=room.list, enforced=("PathPrefix", "Marker", "MaxItems")
        ),
        Operation(
            service=IAM,
            name="ListInstanceProfilesForRole",
            handler=room.list_instance_profiles,
            enforced=("RoleName", "Marker", "MaxItems"),
            note="Always empty: there are no instance profiles.",
        ),
    ]  # fmt: skip


def describe(role: Role) -> dict[str, Any]:
    """The members that every answer about a role has."""
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.role_id,
        "Arn": role.arn,
        "CreateDate": role.created_at,
        "AssumeRolePolicyDocument": encoded(role.trust_policy),
    }


def describe_fully(role: Role) -> dict[str, Any]:
    """What GetRole answers."""
    boundary = role.boundary_arn and {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": role.boundary_arn,
    }
    optional = {"Description": role.description, "PermissionsBoundary": boundary, "Tags": tags.to_wire(role.tags)}
    return describe(role) | {"MaxSessionDuration": role.max_session_s, "RoleLastUsed": {}} | present(optional)


def checked_trust_policy(document: str) -> str:
    """`document`, when it may be a role's. Raises MalformedPolicyDocument and LimitExceeded."""
    check_trust_policy(document)
    if compact_size(document) > model.TRUST_POLICY_CHARACTERS:
        raise quota("ACLSizePerRole", model.TRUST_POLICY_CHARACTERS)
    return document


def insert_role(tx: Transaction, account: str, role: Role) -> None:
    """Store a new role. Raises EntityAlreadyExists and LimitExceeded."""
    if store.role_name_taken(tx, account, role.name):
        raise EntityAlreadyExists(f"Role with name {role.name} already exists.")
    if store.count_roles(tx, account) >= model.ROLES_PER_ACCOUNT:
        raise quota("RolesPerAccount", model.ROLES_PER_ACCOUNT)
    store.save_role(tx, account, role)


class _Roles:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, context: RequestContext, params: Params) -> Output:
        name, path = params["RoleName"], params.get("Path", "/")
        scope = context.scope
        role = Role(
            name=name,
            path=path,
            role_id=model.entity_id("AROA", self._parts.new_id),
            arn=f"arn:{scope.partition}:iam::{scope.account}:role{path}{name}",
            created_at=self._parts.now_s(),
            trust_policy=checked_trust_policy(params["AssumeRolePolicyDocument"]),
            description=params.get("Description"),
            max_session_s=params.get("MaxSessionDuration", model.DEFAULT_SESSION_S),
            boundary_arn=params.get("PermissionsBoundary"),
            tags=tags.from_wire(params.get("Tags", [])),
        )

        def work(tx: Transaction, account: str) -> None:
            if role.boundary_arn is not None:
                policies.require_policy(tx, account, role.boundary_arn)
            insert_role(tx, account, role)

        await self._parts.change(context, work)
        described = describe_fully(role)
        del described["RoleLastUsed"]
        if "MaxSessionDuration" not in params:
            del described["MaxSessionDuration"]
        return {"Role": described}

    async def get(self, context: RequestContext, params: Params) -> Output:
        role = await self._parts.look(context, lambda tx, account: roles.require_role(tx, account, params["RoleName"]))
        return {"Role": describe_fully(role)}

    async def update(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            # IAM API reference, UpdateRole: without a value, the default of one hour is applied.
            changed = msgspec.structs.replace(
                role,
                description=params.get("Description", role.description),
                max_session_s=params.get("MaxSessionDuration", model.DEFAULT_SESSION_S),
            )
            store.save_role(tx, account, changed)

        await self._parts.change(context, work)
        return {}

    async def update_description(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> Role:
            # The one change that service-linked roles allow.
            role = roles.require_role(tx, account, params["RoleName"])
            changed = msgspec.structs.replace(role, description=params["Description"])
            store.save_role(tx, account, changed)
            return changed

        return {"Role": describe_fully(await self._parts.change(context, work))}

    async def update_trust_policy(self, context: RequestContext, params: Params) -> Output:
        document = checked_trust_policy(params["PolicyDocument"])

        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            store.save_role(tx, account, msgspec.structs.replace(role, trust_policy=document))

        await self._parts.change(context, work)
        return None

    async def delete(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            if store.attached_policies(tx, account, role.name):
                raise DeleteConflict("Cannot delete entity, must detach all policies first.")
            if store.inline_policies(tx, account, role.name):
                raise DeleteConflict("Cannot delete entity, must delete policies first.")
            store.delete_role(tx, account, role.name)

        await self._parts.change(context, work)
        return None

    async def list(self, context: RequestContext, params: Params) -> Output:
        after, limit = page_start(context, params)
        prefix = params.get("PathPrefix", "/")
        found = await self._parts.look(
            context, lambda tx, account: store.list_roles(tx, account, prefix, after, limit + 1)
        )

        def render(role: Role) -> dict[str, Any]:
            extra = present({"Description": role.description})
            return describe(role) | {"MaxSessionDuration": role.max_session_s} | extra

        return page(context, "Roles", found, limit, lambda role: role.name, render)

    async def list_instance_profiles(self, context: RequestContext, params: Params) -> Output:
        page_start(context, params)
        await self._parts.look(context, lambda tx, account: roles.require_role(tx, account, params["RoleName"]))
        return {"InstanceProfiles": [], "IsTruncated": False}
