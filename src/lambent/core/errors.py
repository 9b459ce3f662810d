"""Errors with a stable AWS code. Rooms raise them; `server.protocol` alone gives them a wire shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class AwsError(Exception):
    """The request cannot be carried out.

    Subclasses set `code` (the modelled shape name or the code that AWS puts on the wire) and `status`.
    `members` are further members of the error's body (`Type`, `Reason`); `headers` further response headers.
    `query_code` and `query_message` are those of the query protocol where they differ (SQS).
    """

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 400
    query_code: ClassVar[str | None] = None
    query_message: ClassVar[str | None] = None

    def __init__(
        self,
        message: str = "",
        *,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.members: Mapping[str, Any] = members or {}
        self.headers: Mapping[str, str] = headers or {}

    @property
    def sender_fault(self) -> bool:
        """Whether AWS blames the caller (`Sender`) rather than itself (`Receiver`)."""
        return self.status < 500


class ValidationError(AwsError):
    """A request that breaks constraints of the service model (length, range, pattern, enum, required)."""

    code = "ValidationException"


class InternalFailure(AwsError):
    """An unexpected fault on our side; the cause is in the server log, never in the answer."""

    code = "InternalFailure"
    status = 500


class NotImplementedOperation(AwsError):
    """An operation that AWS has and Lambent does not (yet)."""

    code = "NotImplementedException"
    status = 501


class UnknownOperation(AwsError):
    """An operation that the service does not have."""

    code = "UnknownOperationException"
    status = 404


class AccessDenied(AwsError):
    """The caller may not do this."""

    code = "AccessDeniedException"
    status = 403


class MachineFault(Exception):
    """What the machine should give failed (a full disk): no mistake in the program, and worth another try later."""


class UserFacingError(Exception):
    """Something the person who runs Lambent must change: one line saying what is wrong and what to do."""
