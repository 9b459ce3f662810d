"""PutRolePolicy, GetRolePolicy, DeleteRolePolicy, ListRolePolicies: policies that live inside a role."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.iam import model, roles, store
from lambent.iam.api.furniture import IAM, NOT_EVALUATED, Parts, encoded, sorted_page
from lambent.iam.errors import LimitExceeded, NoSuchEntity
from lambent.iam.policy_document import check_identity_policy, compact_size
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    room = _InlinePolicies(parts)
    return [
        Operation(
            service=IAM,
            name="PutRolePolicy",
            handler=room.put,
            enforced=("RoleName", "PolicyName"),
            simulated={"PolicyDocument": NOT_EVALUATED},
        ),
        Operation(service=IAM, name="GetRolePolicy", handler=room.get, enforced=("RoleName", "PolicyName")),
        Operation(service=IAM, name="DeleteRolePolicy", handler=room.delete, enforced=("RoleName", "PolicyName")),
        Operation(
            service=IAM, name="ListRolePolicies", handler=room.list, enforced=("RoleName", "Marker", "MaxItems")
        ),
    ]  # fmt: skip


class _InlinePolicies:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def put(self, context: RequestContext, params: Params) -> Output:
        name, document = params["PolicyName"], params["PolicyDocument"]
        check_identity_policy(document, managed=False)

        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            documents = store.inline_policies(tx, account, role.name) | {name: document}
            if sum(map(compact_size, documents.values())) > model.INLINE_POLICIES_CHARACTERS:
                raise LimitExceeded(
                    f"Maximum policy size of {model.INLINE_POLICIES_CHARACTERS} bytes exceeded for role {role.name}"
                )
            store.save_inline_policy(tx, account, role.name, name, document)

        await self._parts.change(context, work)
        return None

    async def get(self, context: RequestContext, params: Params) -> Output:
        name = params["PolicyName"]

        def work(tx: Transaction, account: str) -> tuple[str, str]:
            role = roles.require_role(tx, account, params["RoleName"])
            document = store.get_inline_policy(tx, account, role.name, name)
            if document is None:
                raise _no_such_inline_policy(name)
            return role.name, document

        role_name, document = await self._parts.look(context, work)
        return {"RoleName": role_name, "PolicyName": name, "PolicyDocument": encoded(document)}

    async def delete(self, context: RequestContext, params: Params) -> Output:
        name = params["PolicyName"]

        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            if not store.delete_inline_policy(tx, account, role.name, name):
                raise _no_such_inline_policy(name)

        await self._parts.change(context, work)
        return None

    async def list(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> list[str]:
            role = roles.require_role(tx, account, params["RoleName"])
            return list(store.inline_policies(tx, account, role.name))

        names = await self._parts.look(context, work)
        return sorted_page(context, params, "PolicyNames", names, str, str)


def _no_such_inline_policy(name: str) -> NoSuchEntity:
    return NoSuchEntity(f"The role policy with name {name} cannot be found.")
