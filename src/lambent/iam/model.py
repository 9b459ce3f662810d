"""What IAM keeps: roles, customer managed policies and their versions."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec

from lambent.core.ids import IdSource

SERVICE_LINKED_PATH = "/aws-service-role/"

# IAM and STS quotas page (defaults of a new account)
ROLES_PER_ACCOUNT = 1000
POLICIES_PER_ACCOUNT = 1500
VERSIONS_PER_POLICY = 5
POLICIES_PER_ROLE = 10
TAGS_PER_ENTITY = 50
TRUST_POLICY_CHARACTERS = 2048
MANAGED_POLICY_CHARACTERS = 6144
INLINE_POLICIES_CHARACTERS = 10_240
DEFAULT_SESSION_S = 3600


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A role. `created_at` is epoch seconds; tags keep the order in which they were given."""

    name: str
    path: str
    role_id: str
    arn: str
    created_at: int
    trust_policy: str
    description: str | None = None
    max_session_s: int = DEFAULT_SESSION_S
    boundary_arn: str | None = None
    tags: Mapping[str, str] = {}

    @property
    def service_linked(self) -> bool:
        return self.path.startswith(SERVICE_LINKED_PATH)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A managed policy, AWS's or a customer's. Dates are epoch seconds, versions count from 1."""

    name: str
    path: str
    policy_id: str
    arn: str
    created_at: int
    updated_at: int
    default_version: int = 1
    last_version: int = 1
    description: str | None = None
    tags: Mapping[str, str] = {}
    aws: bool = False


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a managed policy."""

    number: int
    document: str
    created_at: int


def entity_id(prefix: str, new_hex: IdSource) -> str:
    """A stable id as IAM's: four letters of kind (`AROA`, `ANPA`) and 17 of base 32. `new_hex` gives 32 hex digits."""
    return prefix + base64.b32encode(bytes.fromhex(new_hex())).decode()[:17]


def entity_name(arn: str) -> str:
    """The last part of an entity's ARN: its friendly name."""
    return arn.rpartition("/")[2]
