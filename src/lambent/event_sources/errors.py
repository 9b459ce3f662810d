"""Lambda's errors that the operations on event source mappings answer."""

from __future__ import annotations

from lambent.core.errors import AwsError, ValidationError


class ResourceNotFound(AwsError):
    """There is no such mapping."""

    code = "ResourceNotFoundException"
    status = 404


class ResourceConflict(AwsError):
    """The function is mapped to this queue already."""

    code = "ResourceConflictException"
    status = 409


class ResourceInUse(AwsError):
    """The mapping is in transition."""

    code = "ResourceInUseException"
    status = 400


class InvalidParameterValue(AwsError):
    """A parameter that the service layer refuses."""

    code = "InvalidParameterValueException"
    status = 400


def not_found() -> ResourceNotFound:
    """The error for a UUID that no mapping has."""
    return ResourceNotFound("The resource you requested does not exist.")


def in_use(verb: str) -> ResourceInUse:
    """The error for changing a mapping in transition; `verb` is `update` or `delete`."""
    return ResourceInUse(f"Cannot {verb} the event source mapping because it is in use.")


def conflict(queue_arn: str, function: str, uuid: str) -> ResourceConflict:
    """The error for a second mapping of one function to one queue, with AWS's inner spaces."""
    return ResourceConflict(
        f'An event source mapping with SQS arn (" {queue_arn} ") and function (" {function} ") already exists. '
        f"Please update or delete the existing mapping with UUID {uuid}"
    )


def constraint(value: object, path: str, rule: str) -> ValidationError:
    """One failure of the constraint layer, where Lambent keeps a rule of it itself."""
    return ValidationError(
        f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: {rule}"
    )
