"""The errors of IAM, by the codes that it puts on the wire (its model names the shapes `...Exception`)."""

from __future__ import annotations

from lambent.core.errors import AwsError


class NoSuchEntity(AwsError):
    """There is no such role, policy or version."""

    code = "NoSuchEntity"
    status = 404


class EntityAlreadyExists(AwsError):
    """The name is taken."""

    code = "EntityAlreadyExists"
    status = 409


class DeleteConflict(AwsError):
    """What shall be deleted is still in use."""

    code = "DeleteConflict"
    status = 409


class LimitExceeded(AwsError):
    """A quota of the account or of one entity."""

    code = "LimitExceeded"
    status = 409


class MalformedPolicyDocument(AwsError):
    """A policy document that breaks the policy grammar."""

    code = "MalformedPolicyDocument"


class InvalidInput(AwsError):
    """A parameter that makes no sense here."""

    code = "InvalidInput"


class IamValidationError(AwsError):
    """A parameter that breaks a constraint."""

    code = "ValidationError"


class UnmodifiableEntity(AwsError):
    """A role that only the service which owns it may change."""

    code = "UnmodifiableEntity"


class AccessDenied(AwsError):
    """Nobody outside AWS may change an AWS managed policy."""

    code = "AccessDenied"
    status = 403


def no_such_role(name: str) -> NoSuchEntity:
    return NoSuchEntity(f"The role with name {name} cannot be found.")


def no_such_policy(arn: str) -> NoSuchEntity:
    """For reads of the policy itself."""
    return NoSuchEntity(f"Policy {arn} was not found.")


def not_attachable(arn: str) -> NoSuchEntity:
    """For everything that uses the policy."""
    return NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")


def quota(name: str, limit: int) -> LimitExceeded:
    """`name` as in AWS's service quotas, e.g. `RolesPerAccount`."""
    return LimitExceeded(f"Cannot exceed quota for {name}: {limit}")
