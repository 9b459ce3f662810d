"""Who a request comes from, and the stable ids that STS gives to callers."""

from __future__ import annotations

import base64
import hashlib

from lambent.core.operations import RequestContext
from lambent.sts.model import CredentialMinter, Principal, RoleDirectory


def caller(context: RequestContext, credentials: CredentialMinter) -> Principal:
    """The principal that signed the request: of a known access key its own, otherwise the account's root."""
    known = credentials.secret_for(context.access_key) if context.access_key else None
    if known is None:
        account = context.scope.account
        return Principal(account=account, arn=f"arn:{context.scope.partition}:iam::{account}:root", temporary=False)
    return Principal(account=known.account, arn=known.principal_arn, temporary=known.session_token is not None)


async def user_id(principal: Principal, roles: RoleDirectory) -> str:
    """`AROA...:session` for an assumed role, `AIDA...` for a user, the account for its root."""
    if principal.is_root:
        return principal.account
    if (session := principal.assumed_role) is None:
        return _derived_id("AIDA", principal.arn)
    role_name, session_name = session
    role = await roles.named(principal.account, role_name)
    # Functions may run with a role that was never created here; its id is then derived from its name.
    role_id = role.role_id if role else _derived_id("AROA", f"{principal.account}/{role_name}")
    return f"{role_id}:{session_name}"


def _derived_id(prefix: str, text: str) -> str:
    return prefix + base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:17]
