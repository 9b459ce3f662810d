"""The errors of STS, by the codes that it puts on the wire."""

from __future__ import annotations

from lambent.core.errors import AwsError


class StsValidationError(AwsError):
    """A parameter that makes no sense here."""

    code = "ValidationError"


class AccessDenied(AwsError):
    """The caller may not have these credentials."""

    code = "AccessDenied"
    status = 403
