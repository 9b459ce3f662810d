"""GetCallerIdentity, AssumeRole, GetSessionToken, GetAccessKeyInfo."""

from __future__ import annotations

import re
from typing import Any, Final

from lambent.core.arns import Arn
from lambent.core.config import DEFAULT_ACCOUNT
from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext, Service
from lambent.sts import principals
from lambent.sts.errors import AccessDenied, StsValidationError
from lambent.sts.model import CredentialMinter, IssuedCredential, KnownRole, RoleDirectory

STS = Service(name="sts", validation_code="ValidationError", unsupported_code="ValidationError")

_ROLE_RESOURCE = re.compile(r"role/([\w+=,.@/-]*/)?([\w+=,.@-]{1,64})", re.ASCII)
_DEFAULT_ROLE_SESSION_S: Final = 3600
_DEFAULT_USER_SESSION_S: Final = 43_200
_CHAINED_SESSION_S: Final = 3600
_ROOT_SESSION_S: Final = 3600
_TOKEN_SIZE: Final = Rejection(reason="session tokens have one size")
_NO_MFA: Final = Rejection(reason="there are no MFA devices")


def operations(credentials: CredentialMinter, roles: RoleDirectory) -> list[Operation]:
    """Everything that STS offers. Minted credentials end with their lifetime, or with the server."""
    room = _Tokens(credentials, roles)
    return [
        Operation(service=STS, name="GetCallerIdentity", handler=room.get_caller_identity),
        Operation(
            service=STS,
            name="AssumeRole",
            handler=room.assume_role,
            enforced=("RoleArn", "RoleSessionName", "DurationSeconds", "SourceIdentity"),
            simulated={
                "ExternalId": "trust policies are not evaluated yet",
                "Policy": "policies are not evaluated yet",
                "PolicyArns": "policies are not evaluated yet",
                "Tags": "policies are not evaluated yet",
                "TransitiveTagKeys": "policies are not evaluated yet",
            },
            rejected={
                "SerialNumber": _NO_MFA,
                "TokenCode": _NO_MFA,
                "MinimumSessionTokenSize": _TOKEN_SIZE,
                "ProvidedContexts": Rejection(reason="there are no context providers"),
            },
            note="The role must exist; its trust policy is not evaluated yet.",
        ),
        Operation(
            service=STS,
            name="GetSessionToken",
            handler=room.get_session_token,
            enforced=("DurationSeconds",),
            rejected={"SerialNumber": _NO_MFA, "TokenCode": _NO_MFA, "MinimumSessionTokenSize": _TOKEN_SIZE},
        ),
        Operation(
            service=STS,
            name="GetAccessKeyInfo",
            handler=room.get_access_key_info,
            enforced=("AccessKeyId",),
            note="An access key that nobody configured or minted belongs to the account that its requests belong to.",
        ),
    ]


class _Tokens:
    def __init__(self, credentials: CredentialMinter, roles: RoleDirectory) -> None:
        self._credentials = credentials
        self._roles = roles

    async def get_caller_identity(self, context: RequestContext, params: Params) -> Output:
        caller = principals.caller(context, self._credentials)
        user_id = await principals.user_id(caller, self._roles)
        return {"UserId": user_id, "Account": caller.account, "Arn": caller.arn}

    async def assume_role(self, context: RequestContext, params: Params) -> Output:
        caller = principals.caller(context, self._credentials)
        arn, session = params["RoleArn"], params["RoleSessionName"]
        role, account, partition = await self._role(arn)
        if role is None:
            raise AccessDenied(f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}")
        lifetime_s = params.get("DurationSeconds", _DEFAULT_ROLE_SESSION_S)
        if caller.assumed_role and lifetime_s > _CHAINED_SESSION_S:
            raise StsValidationError(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
            )
        if lifetime_s > role.max_session_s:
            raise StsValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        role_name = role.arn.rpartition("/")[2]
        session_arn = f"arn:{partition}:sts::{account}:assumed-role/{role_name}/{session}"
        issued = self._credentials.mint(account=account, principal_arn=session_arn, lifetime_s=lifetime_s)
        answer: dict[str, Any] = {
            "Credentials": _wire(issued),
            "AssumedRoleUser": {"AssumedRoleId": f"{role.role_id}:{session}", "Arn": session_arn},
        }
        if "SourceIdentity" in params:
            answer["SourceIdentity"] = params["SourceIdentity"]
        return answer

    async def get_session_token(self, context: RequestContext, params: Params) -> Output:
        caller = principals.caller(context, self._credentials)
        if caller.temporary:
            raise AccessDenied("Cannot call GetSessionToken with session credentials")
        lifetime_s = params.get("DurationSeconds", _DEFAULT_USER_SESSION_S)
        if caller.is_root:
            # STS API reference: sessions of the account's owner end after an hour, whatever was asked for.
            lifetime_s = min(lifetime_s, _ROOT_SESSION_S)
        issued = self._credentials.mint(account=caller.account, principal_arn=caller.arn, lifetime_s=lifetime_s)
        return {"Credentials": _wire(issued)}

    async def get_access_key_info(self, context: RequestContext, params: Params) -> Output:
        access_key = params["AccessKeyId"]
        known = self._credentials.secret_for(access_key)
        return {"Account": known.account if known else DEFAULT_ACCOUNT}

    async def _role(self, arn: str) -> tuple[KnownRole | None, str, str]:
        """The role (None when it does not exist), its account and its partition. Raises ValidationError."""
        try:
            parsed = Arn.parse(arn)
        except ValueError:
            raise StsValidationError(f"{arn} is invalid") from None
        found = _ROLE_RESOURCE.fullmatch(parsed.resource)
        if parsed.service != "iam" or not re.fullmatch(r"\d{12}", parsed.account, re.ASCII) or not found:
            raise StsValidationError("Request ARN is invalid")
        role = await self._roles.named(parsed.account, found[2])
        return (role if role is not None and role.arn == arn else None), parsed.account, parsed.partition


def _wire(issued: IssuedCredential) -> dict[str, Any]:
    return {
        "AccessKeyId": issued.access_key,
        "SecretAccessKey": issued.secret,
        "SessionToken": issued.session_token,
        "Expiration": issued.expires_at,
    }
