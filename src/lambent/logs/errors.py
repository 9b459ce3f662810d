"""The errors of CloudWatch Logs."""

from __future__ import annotations

from lambent.core.errors import AwsError


class ResourceNotFound(AwsError):
    """There is no such group or stream."""

    code = "ResourceNotFoundException"


class ResourceAlreadyExists(AwsError):
    """The name is taken."""

    code = "ResourceAlreadyExistsException"


class InvalidParameter(AwsError):
    """A parameter, or a combination of parameters, that makes no sense."""

    code = "InvalidParameterException"


class TooManyTags(AwsError):
    """A log group has 50 tags at most."""

    code = "TooManyTagsException"


class SessionTimeout(AwsError):
    """A live tail session has been open for three hours."""

    code = "SessionTimeoutException"


def no_such_group() -> ResourceNotFound:
    return ResourceNotFound("The specified log group does not exist.")


def no_such_stream() -> ResourceNotFound:
    return ResourceNotFound("The specified log stream does not exist.")
