"""Resource policy documents: what AddPermission writes, what PutResourcePolicy may bring. Pure.

A document is kept as the JSON text that GetPolicy answers with, so nothing is lost of a document that a caller wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lambent.core.limits import LAMBDA_POLICY_BYTES
from lambent.lambda_.errors import InvalidParameterValue, PolicyLengthExceeded, ResourceConflict, ResourceNotFound

INVOKE = "lambda:InvokeFunction"
INVOKE_URL = "lambda:InvokeFunctionUrl"

_ACCOUNT = re.compile(r"\d{12}")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.(?:amazonaws\.com(?:\.cn)?|amazon\.com)")
_PRINCIPAL_ARN = re.compile(
    r"arn:aws[a-zA-Z-]*:(?:iam::\d{12}:(?:root|(?:user|role|federated-user)/[\w+=,.@/-]+)"
    r"|sts::\d{12}:(?:assumed-role|federated-user)/[\w+=,.@/-]+)"
)


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One grant as AddPermission and AddLayerVersionPermission take it."""

    statement_id: str
    action: str
    principal: str
    source_arn: str | None = None
    source_account: str | None = None
    principal_org_id: str | None = None
    function_url_auth_type: str | None = None
    event_source_token: str | None = None
    invoked_via_function_url: bool = False


def build_statement(permission: Permission, resource: str, partition: str = "aws") -> dict[str, Any]:
    """The policy statement for a grant on `resource`, with the keys and their capitalisation as AWS writes them.

    Raises InvalidParameterValue for a principal that is none and for members that exclude each other.
    """
    _check_combination(permission)
    equals = {
        "AWS:SourceAccount": permission.source_account,
        "aws:PrincipalOrgID": permission.principal_org_id,
        "lambda:FunctionUrlAuthType": permission.function_url_auth_type,
        "lambda:EventSourceToken": permission.event_source_token,
    }
    condition: dict[str, dict[str, str]] = {}
    if given := {key: value for key, value in equals.items() if value is not None}:
        condition["StringEquals"] = given
    if permission.invoked_via_function_url:
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": "true"}
    if permission.source_arn is not None:
        condition["ArnLike"] = {"AWS:SourceArn": permission.source_arn}
    statement: dict[str, Any] = {
        "Sid": permission.statement_id,
        "Effect": "Allow",
        "Principal": _principal(permission.principal, partition),
        "Action": permission.action,
        "Resource": resource,
    }
    if condition:
        statement["Condition"] = condition
    return statement


def _principal(principal: str, partition: str) -> str | dict[str, str]:
    if principal == "*":
        return "*"
    if _ACCOUNT.fullmatch(principal):
        return {"AWS": f"arn:{partition}:iam::{principal}:root"}
    if _PRINCIPAL_ARN.fullmatch(principal):
        return {"AWS": principal}
    if _SERVICE.fullmatch(principal):
        return {"Service": principal}
    raise InvalidParameterValue("The provided principal was invalid. Please check the principal and try again.")


def _check_combination(permission: Permission) -> None:
    if permission.function_url_auth_type is not None and permission.action != INVOKE_URL:
        raise InvalidParameterValue(f"FunctionUrlAuthType is only supported for {INVOKE_URL} action")
    if permission.invoked_via_function_url and permission.action != INVOKE:
        raise InvalidParameterValue(f"InvokedViaFunctionUrl is only supported for {INVOKE} action")
    if permission.event_source_token is not None and (permission.source_arn or permission.source_account):
        raise InvalidParameterValue("EventSourceToken cannot be used together with SourceAccount and SourceArn")


def encode(value: Mapping[str, Any]) -> str:
    """JSON as AWS writes it: compact, members in the order given."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def statements_of(document: str | None) -> list[dict[str, Any]]:
    """The statements of a stored document, in order. A document may hold a single statement without a list."""
    if document is None:
        return []
    statements = json.loads(document).get("Statement", [])
    return [statements] if isinstance(statements, dict) else list(statements)


def add_statement(document: str | None, statement: Mapping[str, Any]) -> str:
    """The document with `statement` at its end; a new one where there was none.

    Raises ResourceConflict when its Sid is taken and PolicyLengthExceeded when the result passes 20 KB.
    """
    statements = statements_of(document)
    if any(known.get("Sid") == statement["Sid"] for known in statements):
        raise ResourceConflict(
            f"The statement id ({statement['Sid']}) provided already exists. Please provide a new statement id, or "
            "remove the existing statement."
        )
    result = _with_statements(document, [*statements, dict(statement)])
    size = len(result.encode())
    if size > LAMBDA_POLICY_BYTES:
        raise PolicyLengthExceeded(f"The final policy size ({size}) is bigger than the limit ({LAMBDA_POLICY_BYTES}).")
    return result


def remove_statement(document: str, statement_id: str) -> str | None:
    """The document without that statement; None when it was the last one.

    Raises ResourceNotFound when no statement has that Sid.
    """
    statements = statements_of(document)
    kept = [statement for statement in statements if statement.get("Sid") != statement_id]
    if len(kept) == len(statements):
        raise ResourceNotFound(f"Statement {statement_id} is not found in resource policy.")
    return _with_statements(document, kept) if kept else None


def _with_statements(document: str | None, statements: Sequence[Mapping[str, Any]]) -> str:
    head = {"Version": "2012-10-17", "Id": "default"} if document is None else json.loads(document)
    return encode({**head, "Statement": statements})


_DOCUMENT_KEYS = frozenset({"Version", "Id", "Statement"})
_STATEMENT_KEYS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)


def check_document(text: str, resource: str) -> None:
    """Whether `text` is a resource policy for `resource` in the grammar of IAM's policy reference.

    Raises InvalidParameterValue saying what is wrong, and PolicyLengthExceeded beyond 20 KB.
    """
    size = len(text.encode())
    if size > LAMBDA_POLICY_BYTES:
        raise PolicyLengthExceeded(f"The final policy size ({size}) is bigger than the limit ({LAMBDA_POLICY_BYTES}).")
    try:
        document = json.loads(text, object_pairs_hook=_unique_members)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterValue(f"The policy is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise _invalid("it must be a JSON object")
    if unknown := document.keys() - _DOCUMENT_KEYS:
        raise _invalid(f"unknown element {min(unknown)}")
    if document.get("Version", "2008-10-17") not in ("2012-10-17", "2008-10-17"):
        raise _invalid("Version must be 2012-10-17 or 2008-10-17")
    if not isinstance(document.get("Id", ""), str):
        raise _invalid("Id must be a string")
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise _invalid("Statement is required")
    for statement in statements:
        _check_statement(statement, resource)
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    if len(sids) != len(set(sids)):
        raise _invalid("statement ids must be unique")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an element is given twice")
    return members


def _check_statement(statement: object, resource: str) -> None:
    if not isinstance(statement, dict):
        raise _invalid("a statement must be an object")
    if unknown := statement.keys() - _STATEMENT_KEYS:
        raise _invalid(f"unknown element {min(unknown)}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _invalid("Effect must be Allow or Deny")
    if not isinstance(statement.get("Sid", ""), str):
        raise _invalid("Sid must be a string")
    for element in ("Principal", "Action", "Resource"):
        if (element in statement) == (f"Not{element}" in statement):
            raise _invalid(f"a statement needs exactly one of {element} and Not{element}")
    _check_principal(statement.get("Principal", statement.get("NotPrincipal")))
    for action in _strings(statement.get("Action", statement.get("NotAction")), "Action"):
        if action != "*" and not re.fullmatch(r"lambda:[a-zA-Z*?]+", action):
            raise _invalid(f"{action} is not an action of Lambda")
    for named in _strings(statement.get("Resource", statement.get("NotResource")), "Resource"):
        if "Resource" in statement and not _covers(named, resource):
            raise _invalid(f"Resource must be {resource}")
    _check_condition(statement.get("Condition", {}))


def _check_principal(principal: object) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict) or not principal:
        raise _invalid("Principal must be * or name principals by kind")
    for kind, named in principal.items():
        if kind not in ("AWS", "Service", "Federated", "CanonicalUser"):
            raise _invalid(f"unknown kind of principal {kind}")
        _strings(named, "Principal")


def _check_condition(condition: object) -> None:
    if not isinstance(condition, dict):
        raise _invalid("Condition must be an object")
    for operator, keys in condition.items():
        if not isinstance(keys, dict) or not keys:
            raise _invalid(f"the condition operator {operator} must hold condition keys")
        for values in keys.values():
            for value in values if isinstance(values, list) else [values]:
                if not isinstance(value, str | bool | int | float):
                    raise _invalid(f"the condition operator {operator} must compare with plain values")


def _covers(pattern: str, resource: str) -> bool:
    """Whether an ARN pattern of IAM (`*` any characters, `?` one) matches `resource`."""
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, resource) is not None


def _strings(value: object, element: str) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    strings = [entry for entry in listed if isinstance(entry, str) and entry]
    if not strings or len(strings) != len(listed):
        raise _invalid(f"{element} must be a string or a list of strings")
    return strings


def _invalid(why: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"The provided policy document is not valid: {why}.")
