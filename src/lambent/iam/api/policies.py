"""CreatePolicy, GetPolicy, DeletePolicy, ListPolicies: managed policies as a whole."""

from __future__ import annotations

from typing import Any

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.iam import aws_managed, model, policies, store, tags
from lambent.iam.api.furniture import IAM, NOT_EVALUATED, Parts, present, sorted_page
from lambent.iam.errors import DeleteConflict, EntityAlreadyExists, no_such_policy, quota
from lambent.iam.model import Policy, PolicyVersion
from lambent.iam.policy_document import check_identity_policy, compact_size
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    room = _Policies(parts)
    return [
        Operation(
            service=IAM,
            name="CreatePolicy",
            handler=room.create,
            enforced=("PolicyName", "Path", "Description", "Tags"),
            simulated={"PolicyDocument": NOT_EVALUATED},
        ),
        Operation(service=IAM, name="GetPolicy", handler=room.get, enforced=("PolicyArn",)),
        Operation(service=IAM, name="DeletePolicy", handler=room.delete, enforced=("PolicyArn",)),
        Operation(
            service=IAM,
            name="ListPolicies",
            handler=room.list,
            enforced=("Scope", "OnlyAttached", "PathPrefix", "PolicyUsageFilter", "Marker", "MaxItems"),
            note="Of AWS's managed policies, those that are usual with Lambda are known.",
        ),
    ]


def checked_policy(document: str) -> str:
    """`document`, when it may be a managed policy's. Raises MalformedPolicyDocument and LimitExceeded."""
    check_identity_policy(document, managed=True)
    if compact_size(document) > model.MANAGED_POLICY_CHARACTERS:
        raise quota("PolicySize", model.MANAGED_POLICY_CHARACTERS)
    return document


def describe(policy: Policy, attached: int, bounding: int) -> dict[str, Any]:
    """The members that every answer about a policy has."""
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.policy_id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default_version}",
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": bounding,
        "IsAttachable": True,
        "CreateDate": policy.created_at,
        "UpdateDate": policy.updated_at,
    }


class _Policies:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, context: RequestContext, params: Params) -> Output:
        document = checked_policy(params["PolicyDocument"])
        name, path = params["PolicyName"], params.get("Path", "/")
        scope, now_s = context.scope, self._parts.now_s()
        policy = Policy(
            name=name,
            path=path,
            policy_id=model.entity_id("ANPA", self._parts.new_id),
            arn=f"arn:{scope.partition}:iam::{scope.account}:policy{path}{name}",
            created_at=now_s,
            updated_at=now_s,
            description=params.get("Description"),
            tags=tags.from_wire(params.get("Tags", [])),
        )

        def work(tx: Transaction, account: str) -> None:
            if store.policy_name_taken(tx, account, name):
                raise EntityAlreadyExists(f"A policy called {name} already exists. Duplicate names are not allowed.")
            if len(store.list_policies(tx, account)) >= model.POLICIES_PER_ACCOUNT:
                raise quota("PoliciesPerAccount", model.POLICIES_PER_ACCOUNT)
            store.save_policy(tx, account, policy)
            store.save_version(tx, account, name, PolicyVersion(number=1, document=document, created_at=now_s))

        await self._parts.change(context, work)
        return {"Policy": describe(policy, 0, 0) | present({"Tags": tags.to_wire(policy.tags)})}

    async def get(self, context: RequestContext, params: Params) -> Output:
        arn = params["PolicyArn"]

        def work(tx: Transaction, account: str) -> dict[str, Any]:
            policy = policies.find_policy(tx, account, arn)
            if policy is None:
                raise no_such_policy(arn)
            attached, bounding = store.attachment_counts(tx, account), store.boundary_counts(tx, account)
            optional = {"Description": policy.description, "Tags": tags.to_wire(policy.tags)}
            return describe(policy, attached.get(arn, 0), bounding.get(arn, 0)) | present(optional)

        return {"Policy": await self._parts.look(context, work)}

    async def delete(self, context: RequestContext, params: Params) -> Output:
        arn = params["PolicyArn"]

        def work(tx: Transaction, account: str) -> None:
            policy = policies.require_own_policy(tx, account, arn, "DeletePolicy")
            if arn in store.attachment_counts(tx, account) or arn in store.boundary_counts(tx, account):
                raise DeleteConflict("Cannot delete a policy attached to entities.")
            if len(store.policy_versions(tx, account, policy.name)) > 1:
                raise DeleteConflict(
                    "This policy has more than one version. Before you delete a policy, you must delete the "
                    "policy's versions. The default version is deleted with the policy."
                )
            store.delete_policy(tx, account, policy.name)

        await self._parts.change(context, work)
        return None

    async def list(self, context: RequestContext, params: Params) -> Output:
        scope, prefix = params.get("Scope", "All"), params.get("PathPrefix", "/")
        usage, only_attached = params.get("PolicyUsageFilter"), params.get("OnlyAttached", False)

        def work(tx: Transaction, account: str) -> tuple[list[Policy], dict[str, int], dict[str, int]]:
            own = store.list_policies(tx, account) if scope != "AWS" else []
            return own, store.attachment_counts(tx, account), store.boundary_counts(tx, account)

        found, attached, bounding = await self._parts.look(context, work)
        if scope != "Local":
            found += aws_managed.every(context.scope.partition)

        def wanted(policy: Policy) -> bool:
            used_as = {
                "PermissionsPolicy": policy.arn in attached,
                "PermissionsBoundary": policy.arn in bounding,
            }
            return (
                policy.path.startswith(prefix)
                and (usage is None or used_as[usage])
                and (not only_attached or policy.arn in attached)
            )

        return sorted_page(
            context,
            params,
            "Policies",
            list(filter(wanted, found)),
            key=lambda policy: f"{policy.name} {'aws' if policy.aws else 'own'}",
            render=lambda policy: describe(policy, attached.get(policy.arn, 0), bounding.get(policy.arn, 0)),
        )
