"""Queues' resource policies: their grammar, AddPermission and RemovePermission, and who they let in.

SQS developer guide, "Using custom policies with the Amazon SQS Access Policy Language"; IAM user guide, "Policy
evaluation logic". Identity policies are not evaluated by Lambent: within its own account a caller may do whatever the
queue's policy does not deny; from another account, only what it allows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from lambent.sqs import conditions
from lambent.sqs.errors import InvalidAttributeValue, InvalidParameterValue, MissingParameter, OverLimit, invalid_value

Document = Mapping[str, Any]
Decision = Literal["allow", "deny", "none"]

MAX_ACTIONS: Final = 7
# SQS developer guide, "Quotas related to policies": bytes, statements.
_MAX_BYTES: Final = 8192
_MAX_STATEMENTS: Final = 20
_TOP = {"Version", "Id", "Statement"}
_STATEMENT = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}  # fmt: skip
_ACTION = re.compile(r"\*|(?i:sqs):[A-Za-z*?]+")
_ACCOUNT = re.compile(r"[0-9]{12}")
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACCOUNT_ROOT = re.compile(r"arn:[a-z-]+:iam::([0-9]{12}):root")
_SESSION = re.compile(r"arn:([a-z-]+):sts::([0-9]{12}):assumed-role/([^/]+)/[^/]+")
_ROLE = re.compile(r"arn:[a-z-]+:iam::([0-9]{12}):role/(?:.*/)?([^/]+)")
# API reference, "AddPermission": what others may be let do.
GRANTABLE: Final = (
    "*",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Who tries what. `action` is without its prefix; `service` is a service's principal, such as sns.amazonaws.com."""

    account: str
    arn: str
    action: str
    resource: str
    keys: conditions.Keys
    service: str | None = None


def parse(text: str) -> Document:
    """The policy. Raises InvalidAttributeValue unless it is one that can be evaluated."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if "${" in text:
        raise InvalidAttributeValue(
            "Invalid value for the parameter Policy. Lambent does not evaluate policy variables (${...})."
        )
    if not (isinstance(document, dict) and _is_valid(document)) or len(text.encode("utf-8", "replace")) > _MAX_BYTES:
        raise InvalidAttributeValue("Invalid value for the parameter Policy.")
    return document


def decide(document: Document, attempt: Attempt) -> Decision:
    """What a valid policy says: an explicit denial outweighs every grant."""
    decision: Decision = "none"
    for statement in _listed(document["Statement"]):
        if _applies(statement, attempt):
            if statement["Effect"] == "Deny":
                return "deny"
            decision = "allow"
    return decision


def add_permission(
    policy: str | None, *, arn: str, partition: str, label: str, accounts: Sequence[str], actions: Sequence[str]
) -> str:
    """The policy with one more grant. Raises InvalidParameterValue, MissingParameter, OverLimit."""
    if not _LABEL.fullmatch(label):
        raise invalid_value(
            label, "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )
    if not actions:
        raise MissingParameter("Actions")
    if len(actions) > MAX_ACTIONS:
        raise OverLimit(f"{len(actions)} Actions were found, maximum allowed is {MAX_ACTIONS}.")
    for action in actions:
        if action not in GRANTABLE:
            raise invalid_value(
                f"SQS:{action}", "ActionName", "Please refer to the appropriate WSDL for a list of valid actions. "
            )
    if not accounts or not all(account and _ACCOUNT.fullmatch(account) for account in accounts):
        raise invalid_value(f"[{', '.join(map(str, accounts))}]", "PrincipalId", "Unable to verify.")
    document = _editable(policy) or {"Version": "2008-10-17", "Id": f"{arn}/SQSDefaultPolicy", "Statement": []}
    if any(statement.get("Sid") == label for statement in document["Statement"]):
        raise invalid_value(label, "Label", "Already exists.")
    if len(document["Statement"]) >= _MAX_STATEMENTS:
        raise OverLimit(f"{_MAX_STATEMENTS + 1} statements were found, maximum allowed is {_MAX_STATEMENTS}.")
    statement = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_many([f"arn:{partition}:iam::{account}:root" for account in accounts])},
        "Action": _one_or_many([f"SQS:{action}" for action in actions]),
        "Resource": arn,
    }
    document["Statement"].append(statement)
    return json.dumps(document, separators=(",", ":"))


def remove_permission(policy: str | None, label: str) -> str | None:
    """The policy without a grant, None without its last. Raises InvalidParameterValue."""
    document = _editable(policy)
    statements = document["Statement"] if document else []
    kept = [statement for statement in statements if statement.get("Sid") != label]
    if document is None or len(kept) == len(statements):
        raise InvalidParameterValue(f"Value {label} for parameter Label is invalid. Reason: can't find label.")
    if not kept:
        return None
    return json.dumps({**document, "Statement": kept}, separators=(",", ":"))


def _editable(policy: str | None) -> dict[str, Any] | None:
    if policy is None:
        return None
    document = json.loads(policy)
    return {**document, "Statement": _listed(document["Statement"])}


def _is_valid(document: dict[str, Any]) -> bool:
    statements = _listed(document.get("Statement"))
    return (
        document.keys() <= _TOP
        and document.get("Version", "2012-10-17") in ("2012-10-17", "2008-10-17")
        and 1 <= len(statements) <= _MAX_STATEMENTS
        and all(isinstance(statement, dict) and _is_statement(statement) for statement in statements)
    )


def _is_statement(statement: dict[str, Any]) -> bool:
    pairs = (("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource"))
    if statement.keys() - _STATEMENT or statement.get("Effect") not in ("Allow", "Deny"):
        return False
    if any((one in statement) == (other in statement) for one, other in pairs):
        return False
    actions = _listed(statement.get("Action", statement.get("NotAction")))
    resources = _listed(statement.get("Resource", statement.get("NotResource")))
    return (
        isinstance(statement.get("Sid", ""), str)
        and bool(actions)
        and all(isinstance(action, str) and _ACTION.fullmatch(action) for action in actions)
        and bool(resources)
        and all(isinstance(resource, str) and resource for resource in resources)
        and _is_principal(statement.get("Principal", statement.get("NotPrincipal")))
        and conditions.is_valid(statement.get("Condition", {}))
    )


def _is_principal(principal: object) -> bool:
    if principal == "*":
        return True
    return (
        isinstance(principal, dict)
        and bool(principal)
        and principal.keys() <= {"AWS", "Service", "Federated", "CanonicalUser"}
        and all(isinstance(name, str) and name for named in principal.values() for name in _listed(named))
    )


def _applies(statement: Mapping[str, Any], attempt: Attempt) -> bool:
    if "Principal" in statement:
        if not _is_named(statement["Principal"], attempt):
            return False
    elif _is_named(statement["NotPrincipal"], attempt):
        return False
    action = f"sqs:{attempt.action}".lower()
    if not _either(statement, "Action", lambda pattern: conditions.wildcard(action, pattern.lower())):
        return False
    if not _either(statement, "Resource", lambda pattern: conditions.wildcard(attempt.resource, pattern)):
        return False
    return conditions.holds(statement.get("Condition", {}), attempt.keys)


def _either(statement: Mapping[str, Any], name: str, matches: Any) -> bool:
    if name in statement:
        return any(matches(pattern) for pattern in _listed(statement[name]))
    return not any(matches(pattern) for pattern in _listed(statement[f"Not{name}"]))


def _is_named(principal: Any, attempt: Attempt) -> bool:
    if principal == "*":
        return True
    if attempt.service is not None:
        return attempt.service in _listed(principal.get("Service", []))
    return any(_is_caller(name, attempt) for name in _listed(principal.get("AWS", [])))


def _is_caller(name: str, attempt: Attempt) -> bool:
    if name == "*" or name == attempt.arn or name == attempt.account:
        return True
    if root := _ACCOUNT_ROOT.fullmatch(name):
        return root[1] == attempt.account
    role, session = _ROLE.fullmatch(name), _SESSION.fullmatch(attempt.arn)
    return role is not None and session is not None and (role[1], role[2]) == (session[2], session[3])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _one_or_many(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else values
