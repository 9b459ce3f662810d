"""The AWS managed policies that people attach to Lambda roles.

Their statements are kept where they are known; of the long ones (`ReadOnlyAccess` has thousands of actions) only the
name is, so that they can be attached, and asking for their text is an honest error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec

from lambent.iam.model import Policy, PolicyVersion, entity_id, entity_name


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    created: int  # epoch seconds
    updated: int
    version: int
    statements: list[dict[str, object]] | None = None


def find(arn: str) -> Policy | None:
    """The AWS managed policy with this ARN, in any partition."""
    prefix, _, resource = arn.partition(":policy/")
    entry = _entries().get(resource)
    if entry is None or not prefix.startswith("arn:aws") or not prefix.endswith(":iam::aws"):
        return None
    digest = hashlib.sha256(resource.encode()).hexdigest()[:32]
    path = resource[: len(resource) - len(entity_name(arn))]
    return Policy(
        name=entity_name(arn),
        path=f"/{path}",
        policy_id=entity_id("ANPA", lambda: digest),
        arn=arn,
        created_at=entry.created,
        updated_at=entry.updated,
        default_version=entry.version,
        last_version=entry.version,
        aws=True,
    )


def every(partition: str) -> list[Policy]:
    """All of them, by name."""
    found = [find(f"arn:{partition}:iam::aws:policy/{resource}") for resource in _entries()]
    return sorted((policy for policy in found if policy is not None), key=lambda policy: policy.name)


def default_version(policy: Policy) -> PolicyVersion | None:
    """The default version with its document; None where its text is not kept."""
    entry = _entries()[policy.arn.partition(":policy/")[2]]
    if entry.statements is None:
        return None
    document = json.dumps({"Version": "2012-10-17", "Statement": entry.statements}, indent=2)
    return PolicyVersion(number=entry.version, document=document, created_at=entry.updated)


@cache
def _entries() -> Mapping[str, _Entry]:
    """By path and name, e.g. `service-role/AWSLambdaBasicExecutionRole`."""
    data = resources.files("lambent.iam").joinpath("aws_managed.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, _Entry])
