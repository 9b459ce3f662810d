"""What STS needs of others: someone who mints and knows credentials, someone who knows roles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol


class IssuedCredential(Protocol):
    """An access key and whom it speaks for. `expires_at` is epoch seconds."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def session_token(self) -> str | None: ...
    @property
    def account(self) -> str: ...
    @property
    def principal_arn(self) -> str: ...
    @property
    def expires_at(self) -> float | None: ...


class CredentialMinter(Protocol):
    """Makes temporary credentials, and knows them again; `server.credentials.Credentials` is one."""

    def mint(self, *, account: str, principal_arn: str, lifetime_s: float | None = None) -> IssuedCredential:
        """New temporary credentials that speak for `principal_arn`."""

    def secret_for(self, access_key: str) -> IssuedCredential | None:
        """The credentials of this access key, configured or minted; None when nobody knows the key."""


class KnownRole(Protocol):
    """What STS must know of a role."""

    @property
    def arn(self) -> str: ...
    @property
    def role_id(self) -> str: ...
    @property
    def max_session_s(self) -> int: ...


class RoleDirectory(Protocol):
    """Finds roles in any account; `iam.roles.Roles` is one."""

    async def named(self, account: str, name: str) -> KnownRole | None:
        """The role of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is calling."""

    account: str
    arn: str
    temporary: bool  # whether the credentials end by themselves

    @property
    def assumed_role(self) -> tuple[str, str] | None:
        """Role name and session name of an assumed role."""
        found = _ASSUMED_ROLE.fullmatch(self.arn)
        return (found[1], found[2]) if found else None

    @property
    def is_root(self) -> bool:
        return self.arn.endswith(":root")


_ASSUMED_ROLE = re.compile(r"arn:[a-z-]+:sts::\d{12}:assumed-role/([^/]+)/([^/]+)")
