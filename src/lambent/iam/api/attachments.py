"""AttachRolePolicy, DetachRolePolicy, ListAttachedRolePolicies."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.iam import model, policies, roles, store
from lambent.iam.api.furniture import IAM, NOT_EVALUATED, Parts, sorted_page
from lambent.iam.errors import no_such_policy, quota
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    room = _Attachments(parts)
    return [
        Operation(
            service=IAM,
            name="AttachRolePolicy",
            handler=room.attach,
            enforced=("RoleName",),
            simulated={"PolicyArn": NOT_EVALUATED},
            note="Of AWS's managed policies, those that are usual with Lambda are known.",
        ),
        Operation(service=IAM, name="DetachRolePolicy", handler=room.detach, enforced=("RoleName", "PolicyArn")),
        Operation(
            service=IAM,
            name="ListAttachedRolePolicies",
            handler=room.list,
            enforced=("RoleName", "PathPrefix", "Marker", "MaxItems"),
        ),
    ]


class _Attachments:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def attach(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            policy = policies.require_policy(tx, account, params["PolicyArn"])
            attached = store.attached_policies(tx, account, role.name)
            if policy.arn not in attached and len(attached) >= model.POLICIES_PER_ROLE:
                raise quota("PoliciesPerRole", model.POLICIES_PER_ROLE)
            store.attach(tx, account, role.name, policy.arn)

        await self._parts.change(context, work)
        return None

    async def detach(self, context: RequestContext, params: Params) -> Output:
        arn = params["PolicyArn"]

        def work(tx: Transaction, account: str) -> None:
            role = roles.require_modifiable(tx, account, params["RoleName"])
            if not store.detach(tx, account, role.name, arn):
                raise no_such_policy(arn)

        await self._parts.change(context, work)
        return None

    async def list(self, context: RequestContext, params: Params) -> Output:
        prefix = params.get("PathPrefix", "/")

        def work(tx: Transaction, account: str) -> list[str]:
            role = roles.require_role(tx, account, params["RoleName"])
            return store.attached_policies(tx, account, role.name)

        arns = [arn for arn in await self._parts.look(context, work) if _path(arn).startswith(prefix)]
        return sorted_page(
            context,
            params,
            "AttachedPolicies",
            arns,
            # Names repeat between AWS's policies and the account's, ARNs are too long for a marker.
            key=lambda arn: f"{model.entity_name(arn)} {arn.split(':')[4]}",
            render=lambda arn: {"PolicyName": model.entity_name(arn), "PolicyArn": arn},
        )


def _path(policy_arn: str) -> str:
    return "/" + policy_arn.partition(":policy/")[2].removesuffix(model.entity_name(policy_arn))
