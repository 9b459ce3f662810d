"""Lambda's errors, with the HTTP status of its service model.

The protocol layer adds `Type: User` and picks `message` or `Message` as the model spells it.
"""

from __future__ import annotations

from lambent.core.errors import AwsError, ValidationError


class ResourceNotFound(AwsError):
    """The function, version, alias, layer or mapping does not exist."""

    code = "ResourceNotFoundException"
    status = 404


class ResourceConflict(AwsError):
    """The resource exists already, or another operation on it is under way."""

    code = "ResourceConflictException"
    status = 409


class InvalidParameterValue(AwsError):
    """A parameter that the service layer refuses (the constraint layer raises `ValidationError`)."""

    code = "InvalidParameterValueException"
    status = 400


class PreconditionFailed(AwsError):
    """The RevisionId given is not the latest."""

    code = "PreconditionFailedException"
    status = 412


class TooManyRequests(AwsError):
    """Throttled. `members["Reason"]` is one of AWS's ThrottleReasons."""

    code = "TooManyRequestsException"
    status = 429


class RequestEntityTooLarge(AwsError):
    """The code on the wire for oversized requests and packages, although the model calls it RequestTooLarge."""

    code = "RequestEntityTooLargeException"
    status = 413


class InvalidRequestContent(AwsError):
    """The payload is not JSON."""

    code = "InvalidRequestContentException"
    status = 400


class CodeStorageExceeded(AwsError):
    """The account's code storage is full."""

    code = "CodeStorageExceededException"
    status = 400


class PolicyLengthExceeded(AwsError):
    """The resource policy would pass 20 KB."""

    code = "PolicyLengthExceededException"
    status = 400


class RecursiveInvocation(AwsError):
    """The function has run too often in one chain of requests."""

    code = "RecursiveInvocationException"
    status = 400


class ServiceFault(AwsError):
    """Lambda itself failed; the function did not run."""

    code = "ServiceException"
    status = 500


class InvalidRuntime(AwsError):
    """No machine here can run the function's runtime."""

    code = "InvalidRuntimeException"
    status = 502


class SnapStartNotReady(AwsError):
    """The version's snapshot is still being taken."""

    code = "SnapStartNotReadyException"
    status = 409


class SnapStartFault(AwsError):
    """An after-restore hook of the function failed."""

    code = "SnapStartException"
    status = 400


class SnapStartTimeout(AwsError):
    """The restore took longer than it may."""

    code = "SnapStartTimeoutException"
    status = 408


class InvalidZipFile(AwsError):
    """The function's package cannot be unpacked at invoke time."""

    code = "InvalidZipFileException"
    status = 502


class ProvisionedConcurrencyConfigNotFound(AwsError):
    """The alias or version has no provisioned concurrency."""

    code = "ProvisionedConcurrencyConfigNotFoundException"
    status = 404


class CodeSigningConfigNotFound(AwsError):
    """The code signing configuration does not exist."""

    code = "CodeSigningConfigNotFoundException"
    status = 404


FUNCTIONS_ONLY = (
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
    "Please specify either a function name or an unqualified function ARN."
)
RECURSIVE_LOOP = (
    "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services resources and "
    "stopped your function's invocation."
)
STALE_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. Call the {operation} API to retrieve the "
    "latest Revision Id"
)


def function_not_found(function_arn: str) -> ResourceNotFound:
    """The error for a missing function, version or alias; `function_arn` carries the qualifier that was asked for."""
    return ResourceNotFound(f"Function not found: {function_arn}")


def constraint(value: object, path: str, rule: str) -> ValidationError:
    """One failure of the constraint layer, e.g. `constraint("901", "timeout", "Member must have value ...")`."""
    return ValidationError(
        f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: {rule}"
    )


def check_revision(given: str | None, current: str, operation: str = "GetFunction/GetAlias") -> None:
    """Raises PreconditionFailed when a RevisionId is given and is not the current one."""
    if given and given != current:
        raise PreconditionFailed(STALE_REVISION.format(operation=operation))
