"""The grammar of policy documents, as IAM checks it when a document is stored. Nothing is evaluated here.

Two dialects with texts of their own: identity policies (what may its holder do) go through IAM's older parser, which
mostly says `Syntax errors in policy.`; trust policies (who may assume the role) through one that names the field.
The rules follow the IAM user guide, "Grammar of the IAM JSON policy language" and "JSON policy elements".
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lambent.iam.errors import MalformedPolicyDocument

VERSIONS = ("2012-10-17", "2008-10-17")

_SYNTAX = "Syntax errors in policy."
_TOP = {"Version", "Id", "Statement"}
_STATEMENT = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}  # fmt: skip
_SID = re.compile(r"[A-Za-z0-9]*")
_VENDOR = re.compile(r"[A-Za-z0-9-]+")
_PARTITION = re.compile(r"aws(-[a-z]+)*|\*")
_OPERATOR = re.compile(
    r"(ForAllValues:|ForAnyValue:)?"
    r"((String(Not)?(Equals|EqualsIgnoreCase|Like)"
    r"|(Numeric|Date)((Not)?Equals|(LessThan|GreaterThan)(Equals)?)"
    r"|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?|Null)",
    re.IGNORECASE,
)
_STS_ACTIONS = (
    "sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity", "sts:tagsession",
    "sts:setsourceidentity", "sts:setcontext",
)  # fmt: skip
_PRINCIPAL_KINDS = {"AWS", "Service", "Federated", "CanonicalUser"}
_AWS_PRINCIPAL = re.compile(
    r"\*|\d{12}|arn:aws[a-z-]*:(iam::\d{12}:(root|(user|role)/[^*]+)|sts::\d{12}:(assumed-role|federated-user)/[^*]+)"
    r"|A(ROA|IDA)[A-Z0-9]{17}"  # a principal that was deleted stays behind as its id
)
_SERVICE_PRINCIPAL = re.compile(r"[a-z0-9.-]+\.(amazonaws\.com(\.cn)?|amazon\.com)")


def compact_size(text: str) -> int:
    """The characters that count against a size quota: white space is free."""
    return sum(not character.isspace() for character in text)


def check_identity_policy(text: str, *, managed: bool) -> None:
    """Raise MalformedPolicyDocument unless `text` is a policy for an identity.

    A `managed` policy must be of version 2012-10-17; an inline one may be older.
    """
    document = _parse(text, _SYNTAX)
    version = document.get("Version", VERSIONS[1])
    if document.keys() - _TOP or version not in VERSIONS or not isinstance(document.get("Id", ""), str):
        raise MalformedPolicyDocument(_SYNTAX)
    statements = list(_statements(document, _SYNTAX))
    for statement in statements:
        _check_shape(statement)
    if managed and version != VERSIONS[0]:
        raise MalformedPolicyDocument("Policy document must be version 2012-10-17 or greater.")
    for statement in statements:
        if "Principal" in statement or "NotPrincipal" in statement:
            raise MalformedPolicyDocument("Policy document should not specify a principal.")
        actions = _either(statement, "Action", "NotAction")
        if not actions:
            raise MalformedPolicyDocument("Policy statement must contain actions.")
        for action in actions:
            _check_action(action)
        resources = _either(statement, "Resource", "NotResource")
        if not resources:
            raise MalformedPolicyDocument("Policy statement must contain resources.")
        for resource in resources:
            _check_resource(resource)
        _check_condition(statement.get("Condition", {}))
    _check_sids(statements)


def check_trust_policy(text: str) -> None:
    """Raise MalformedPolicyDocument unless `text` says who may assume a role.

    Whether principals exist is not checked: users, other accounts and federations are unknown here.
    """
    document = _parse(text, "This policy contains invalid Json")
    for field in document.keys() - _TOP:
        raise MalformedPolicyDocument(f"Unknown field {field}")
    if document.get("Version", VERSIONS[1]) not in VERSIONS:
        raise MalformedPolicyDocument(_SYNTAX)
    if not document.get("Statement"):
        raise MalformedPolicyDocument("Missing required field Statement")
    statements = list(_statements(document, _SYNTAX))
    for statement in statements:
        for field in statement.keys() - _STATEMENT:
            raise MalformedPolicyDocument(f"Unknown field {field}")
        for field in ("Resource", "NotResource"):
            if field in statement:
                raise MalformedPolicyDocument(f"Has prohibited field {field}")
        if "Effect" not in statement:
            raise MalformedPolicyDocument("Missing required field Effect")
        if not statement.get("Principal") and not statement.get("NotPrincipal"):
            raise MalformedPolicyDocument("Missing required field Principal")
        _check_shape(statement)
        actions = _either(statement, "Action", "NotAction")
        if not actions:
            raise MalformedPolicyDocument("Missing required field Action")
        for action in actions:
            _check_sts_action(action)
        for member in ("Principal", "NotPrincipal"):
            if member in statement:
                _check_principal(statement[member])
        _check_condition(statement.get("Condition", {}))
    _check_sids(statements)


def _parse(text: str, problem: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedPolicyDocument(problem) from None
    if not isinstance(document, dict):
        raise MalformedPolicyDocument(problem)
    return document


def _statements(document: Mapping[str, Any], problem: str) -> Iterator[dict[str, Any]]:
    statements = document.get("Statement")
    found = [statements] if isinstance(statements, dict) else statements
    if not isinstance(found, list) or not found:
        raise MalformedPolicyDocument(problem)
    for statement in found:
        if not isinstance(statement, dict):
            raise MalformedPolicyDocument(problem)
        yield statement


def _check_shape(statement: Mapping[str, Any]) -> None:
    pairs = (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal"))
    if (
        statement.keys() - _STATEMENT
        or statement.get("Effect") not in ("Allow", "Deny")
        or any(first in statement and second in statement for first, second in pairs)
        or not isinstance(statement.get("Sid", ""), str)
        or not isinstance(statement.get("Condition", {}), dict)
    ):
        raise MalformedPolicyDocument(_SYNTAX)


def _either(statement: Mapping[str, Any], first: str, second: str) -> list[str]:
    """The strings of whichever of two members is there; none when neither is."""
    return _strings(statement.get(first, statement.get(second, [])))


def _strings(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    strings = [item for item in values if isinstance(item, str)]
    if len(strings) != len(values):
        raise MalformedPolicyDocument(_SYNTAX)
    return strings


def _check_action(action: str) -> None:
    if action == "*":
        return
    vendor, *names = action.split(":")
    if not names:
        raise MalformedPolicyDocument("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    if not _VENDOR.fullmatch(vendor):
        raise MalformedPolicyDocument(f"Vendor {vendor} is not valid")
    if len(names) > 1:
        raise MalformedPolicyDocument("Actions/Condition can contain only one colon.")
    if not names[0]:
        raise MalformedPolicyDocument(_SYNTAX)


def _check_sts_action(action: str) -> None:
    wanted = action.lower()
    if not wanted.startswith("sts:") or not any(fnmatch.fnmatchcase(known, wanted) for known in _STS_ACTIONS):
        raise MalformedPolicyDocument("AssumeRole policy may only specify STS AssumeRole actions.")


def _check_resource(resource: str) -> None:
    if resource == "*":
        return
    # Missing fields at the end mean wildcards; the last field keeps its own colons and ${variables}.
    parts = resource.split(":", 5)
    if parts[0] != "arn" or len(parts) < 2:
        raise MalformedPolicyDocument(f'Resource {resource} must be in ARN format or "*".')
    if not _PARTITION.fullmatch(parts[1]):
        raise MalformedPolicyDocument(f'Partition "{parts[1]}" is not valid for resource "{resource}".')
    service, region = [*parts, "", "", ""][2:4]
    if service == "iam" and region not in ("", "*"):
        raise MalformedPolicyDocument(f"IAM resource {resource} cannot contain region information.")
    if service == "s3" and region not in ("", "*") and len(parts) == 6 and not _has_s3_region(parts[5]):
        raise MalformedPolicyDocument(f"Resource {resource} can not contain region information.")


def _has_s3_region(resource: str) -> bool:
    # Access points and jobs are regional, buckets and objects are not.
    return resource.startswith(("accesspoint/", "job/", "storage-lens", "access-grants", "*"))


def _check_principal(principal: object) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict):
        raise MalformedPolicyDocument(_SYNTAX)
    for kind, value in principal.items():
        for name in _strings(value):
            if (
                kind not in _PRINCIPAL_KINDS
                or not name
                or (kind == "AWS" and not _AWS_PRINCIPAL.fullmatch(name))
                or (kind == "Service" and not _SERVICE_PRINCIPAL.fullmatch(name))
            ):
                shown = kind.upper() if kind in _PRINCIPAL_KINDS else kind
                raise MalformedPolicyDocument(f'Invalid principal in policy: "{shown}":"{name}"')


def _check_condition(condition: Mapping[str, Any]) -> None:
    for operator, tests in condition.items():
        if not _OPERATOR.fullmatch(operator) or not isinstance(tests, dict):
            raise MalformedPolicyDocument(_SYNTAX)
        for key, value in tests.items():
            if ":" not in key:
                raise MalformedPolicyDocument(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
                )
            for item in value if isinstance(value, list) else [value]:
                if not isinstance(item, str | bool | int | float):
                    raise MalformedPolicyDocument(_SYNTAX)


def _check_sids(statements: list[dict[str, Any]]) -> None:
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    for sid in sids:
        if not _SID.fullmatch(sid):
            raise MalformedPolicyDocument(
                "Statement IDs (SID) must be alpha-numeric. "
                "Check that your input satisfies the regular expression [A-Za-z0-9]*"
            )
    if len(sids) != len(set(sids)):
        raise MalformedPolicyDocument("Statement IDs (SID) in a single policy must be unique.")
