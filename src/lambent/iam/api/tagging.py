"""TagRole, UntagRole, ListRoleTags, TagPolicy, UntagPolicy, ListPolicyTags."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.iam import policies, roles, store, tags
from lambent.iam.api.furniture import IAM, Parts, sorted_page
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    room = _Tagging(parts)
    listing = ("Marker", "MaxItems")
    return [
        Operation(service=IAM, name="TagRole", handler=room.tag_role, enforced=("RoleName", "Tags")),
        Operation(service=IAM, name="UntagRole", handler=room.untag_role, enforced=("RoleName", "TagKeys")),
        Operation(service=IAM, name="ListRoleTags", handler=room.list_role_tags, enforced=("RoleName", *listing)),
        Operation(service=IAM, name="TagPolicy", handler=room.tag_policy, enforced=("PolicyArn", "Tags")),
        Operation(service=IAM, name="UntagPolicy", handler=room.untag_policy, enforced=("PolicyArn", "TagKeys")),
        Operation(service=IAM, name="ListPolicyTags", handler=room.list_policy_tags, enforced=("PolicyArn", *listing)),
    ]


class _Tagging:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def tag_role(self, context: RequestContext, params: Params) -> Output:
        new = tags.from_wire(params["Tags"])

        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            changed = msgspec.structs.replace(role, tags=tags.merged(role.tags, new, "TagsPerRole"))
            store.save_role(tx, account, changed)

        await self._parts.change(context, work)
        return None

    async def untag_role(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            changed = msgspec.structs.replace(role, tags=tags.without(role.tags, params["TagKeys"]))
            store.save_role(tx, account, changed)

        await self._parts.change(context, work)
        return None

    async def list_role_tags(self, context: RequestContext, params: Params) -> Output:
        role = await self._parts.look(context, lambda tx, account: roles.require_role(tx, account, params["RoleName"]))
        return _tag_page(context, params, role.tags)

    async def tag_policy(self, context: RequestContext, params: Params) -> Output:
        new = tags.from_wire(params["Tags"])

        def work(tx: Transaction, account: str) -> None:
            policy = policies.require_own_policy(tx, account, params["PolicyArn"], "TagPolicy")
            changed = msgspec.structs.replace(policy, tags=tags.merged(policy.tags, new, "TagsPerPolicy"))
            store.save_policy(tx, account, changed)

        await self._parts.change(context, work)
        return None

    async def untag_policy(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> None:
            policy = policies.require_own_policy(tx, account, params["PolicyArn"], "UntagPolicy")
            changed = msgspec.structs.replace(policy, tags=tags.without(policy.tags, params["TagKeys"]))
            store.save_policy(tx, account, changed)

        await self._parts.change(context, work)
        return None

    async def list_policy_tags(self, context: RequestContext, params: Params) -> Output:
        policy = await self._parts.look(
            context, lambda tx, account: policies.require_policy(tx, account, params["PolicyArn"])
        )
        return _tag_page(context, params, policy.tags)


def _tag_page(context: RequestContext, params: Params, found: Mapping[str, str]) -> Output:
    return sorted_page(context, params, "Tags", tags.to_wire(found), lambda tag: tag["Key"], lambda tag: tag)
