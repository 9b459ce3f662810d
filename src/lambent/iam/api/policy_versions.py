"""CreatePolicyVersion, GetPolicyVersion, ListPolicyVersions, DeletePolicyVersion, SetDefaultPolicyVersion."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.core.errors import NotImplementedOperation
from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.iam import aws_managed, model, policies, store
from lambent.iam.api.furniture import IAM, NOT_EVALUATED, Parts, encoded, sorted_page
from lambent.iam.api.policies import checked_policy
from lambent.iam.errors import DeleteConflict, LimitExceeded, NoSuchEntity
from lambent.iam.model import Policy, PolicyVersion
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    room = _PolicyVersions(parts)
    return [
        Operation(
            service=IAM,
            name="CreatePolicyVersion",
            handler=room.create,
            enforced=("PolicyArn", "SetAsDefault"),
            simulated={"PolicyDocument": NOT_EVALUATED},
        ),
        Operation(
            service=IAM,
            name="GetPolicyVersion",
            handler=room.get,
            enforced=("PolicyArn", "VersionId"),
            note="The documents of some long AWS managed policies are not kept; asking for them is an error.",
        ),
        Operation(
            service=IAM, name="ListPolicyVersions", handler=room.list, enforced=("PolicyArn", "Marker", "MaxItems")
        ),
        Operation(service=IAM, name="DeletePolicyVersion", handler=room.delete, enforced=("PolicyArn", "VersionId")),
        Operation(
            service=IAM, name="SetDefaultPolicyVersion", handler=room.set_default, enforced=("PolicyArn", "VersionId")
        ),
    ]  # fmt: skip


def _describe(version: PolicyVersion, policy: Policy) -> dict[str, Any]:
    return {
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.number == policy.default_version,
        "CreateDate": version.created_at,
    }


def _require_version(tx: Transaction, account: str, policy: Policy, version_id: str) -> PolicyVersion:
    for version in store.policy_versions(tx, account, policy.name):
        if f"v{version.number}" == version_id:
            return version
    raise _no_such_version(policy, version_id)


def _no_such_version(policy: Policy, version_id: str) -> NoSuchEntity:
    return NoSuchEntity(f"Policy {policy.arn} version {version_id} does not exist or is not attachable.")


class _PolicyVersions:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, context: RequestContext, params: Params) -> Output:
        document = checked_policy(params["PolicyDocument"])
        now_s = self._parts.now_s()

        def work(tx: Transaction, account: str) -> dict[str, Any]:
            policy = policies.require_own_policy(tx, account, params["PolicyArn"], "CreatePolicyVersion")
            if len(store.policy_versions(tx, account, policy.name)) >= model.VERSIONS_PER_POLICY:
                raise LimitExceeded(
                    f"A managed policy can have up to {model.VERSIONS_PER_POLICY} versions. "
                    "Before you create a new version, you must delete an existing version."
                )
            number = policy.last_version + 1
            changed = msgspec.structs.replace(
                policy,
                last_version=number,
                default_version=number if params.get("SetAsDefault") else policy.default_version,
                updated_at=now_s,
            )
            version = PolicyVersion(number=number, document=document, created_at=now_s)
            store.save_policy(tx, account, changed)
            store.save_version(tx, account, policy.name, version)
            return _describe(version, changed)

        return {"PolicyVersion": await self._parts.change(context, work)}

    async def get(self, context: RequestContext, params: Params) -> Output:
        version_id = params["VersionId"]

        def work(tx: Transaction, account: str) -> tuple[Policy, PolicyVersion | None]:
            policy = policies.require_policy(tx, account, params["PolicyArn"])
            if not policy.aws:
                return policy, _require_version(tx, account, policy, version_id)
            return policy, aws_managed.default_version(policy)

        policy, version = await self._parts.look(context, work)
        if policy.aws and version_id != f"v{policy.default_version}":
            raise _no_such_version(policy, version_id)
        if version is None:
            raise NotImplementedOperation(
                f"Lambent knows the AWS managed policy {policy.name} by name only: it can be attached, not read."
            )
        return {"PolicyVersion": _describe(version, policy) | {"Document": encoded(version.document)}}

    async def list(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> tuple[Policy, list[PolicyVersion]]:
            policy = policies.require_policy(tx, account, params["PolicyArn"])
            if policy.aws:
                only = PolicyVersion(number=policy.default_version, document="", created_at=policy.updated_at)
                return policy, [only]
            return policy, store.policy_versions(tx, account, policy.name)

        policy, versions = await self._parts.look(context, work)
        return sorted_page(
            context,
            params,
            "Versions",
            versions,
            key=lambda version: f"{10**9 - version.number:010}",  # newest first
            render=lambda version: _describe(version, policy),
        )

    async def delete(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, account: str) -> None:
            policy = policies.require_own_policy(tx, account, params["PolicyArn"], "DeletePolicyVersion")
            version = _require_version(tx, account, policy, params["VersionId"])
            if version.number == policy.default_version:
                raise DeleteConflict("Cannot delete the default version of a policy.")
            store.delete_version(tx, account, policy.name, version.number)

        await self._parts.change(context, work)
        return None

    async def set_default(self, context: RequestContext, params: Params) -> Output:
        now_s = self._parts.now_s()

        def work(tx: Transaction, account: str) -> None:
            policy = policies.require_own_policy(tx, account, params["PolicyArn"], "SetDefaultPolicyVersion")
            version = _require_version(tx, account, policy, params["VersionId"])
            changed = msgspec.structs.replace(policy, default_version=version.number, updated_at=now_s)
            store.save_policy(tx, account, changed)

        await self._parts.change(context, work)
        return None
