"""Finding managed policies: the account's own and AWS's."""

from __future__ import annotations

from lambent.core.arns import Arn
from lambent.iam import aws_managed, store
from lambent.iam.errors import AccessDenied, InvalidInput, not_attachable
from lambent.iam.model import Policy, entity_name
from lambent.storage.database import Transaction


def find_policy(tx: Transaction, account: str, arn: str) -> Policy | None:
    """The managed policy with this ARN as this account sees it, or None. Raises InvalidInput for what is no ARN."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        raise InvalidInput(f"ARN {arn} is not valid.") from None
    if parsed.service != "iam":
        raise InvalidInput(f"ARN {arn} is not valid.")
    if parsed.account == "aws":
        return aws_managed.find(arn)
    policy = store.get_policy(tx, account, entity_name(arn))
    return policy if policy is not None and policy.arn == arn else None


def require_policy(tx: Transaction, account: str, arn: str) -> Policy:
    """The managed policy, to be used. Raises NoSuchEntity and InvalidInput."""
    policy = find_policy(tx, account, arn)
    if policy is None:
        raise not_attachable(arn)
    return policy


def require_own_policy(tx: Transaction, account: str, arn: str, operation: str) -> Policy:
    """The customer managed policy, to be changed. Raises NoSuchEntity, InvalidInput, and AccessDenied for AWS's."""
    policy = require_policy(tx, account, arn)
    if policy.aws:
        raise AccessDenied(f"Access denied: nobody may perform iam:{operation} on the AWS managed policy {arn}")
    return policy
