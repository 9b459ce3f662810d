"""What callers see when it is not the handler that failed but the environment under it.

Texts as AWS answers them (AWS documentation, "Troubleshoot invocation issues in Lambda", and recorded answers).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from lambent.core import limits

EXIT_ERROR = "Runtime.ExitError"
OUT_OF_MEMORY = "Runtime.OutOfMemory"
TIMED_OUT = "Sandbox.Timedout"
TOO_LARGE = "Function.ResponseSizeTooLarge"
TRUNCATED = "Runtime.TruncatedResponse"
INVALID_ENTRYPOINT = "Runtime.InvalidEntrypoint"
INVALID_RESPONSE_MODE = "Runtime.InvalidResponseModeHeader"

TOO_LARGE_TEXT = f"Response payload size exceeded maximum allowed payload size ({limits.LAMBDA_RESPONSE_BYTES} bytes)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error of the environment: its type, and what follows `RequestId: <id> Error: ` in its message."""

    error_type: str
    detail: str

    def body(self, request_id: str) -> bytes:
        """The JSON that the caller gets."""
        message = f"RequestId: {request_id} Error: {self.detail}"
        return msgspec.json.encode({"errorType": self.error_type, "errorMessage": message})

    def log_line(self, request_id: str) -> str:
        """What the function's log says about it."""
        return f"RequestId: {request_id} Error: {self.detail}\n{self.error_type}\n"


def timed_out(timeout_s: float) -> Failure:
    """The function ran longer than its Timeout."""
    return Failure(error_type=TIMED_OUT, detail=f"Task timed out after {timeout_s:.2f} seconds")


def exited(description: str | None) -> Failure:
    """The runtime process ended; `description` as from `launcher.describe_exit`."""
    if description is None:
        detail = "Runtime exited without providing a reason"
    else:
        detail = f"Runtime exited with error: {description}"
    return Failure(error_type=EXIT_ERROR, detail=detail)


def out_of_memory() -> Failure:
    """An environment of several events at once took more memory than it has."""
    return Failure(error_type=OUT_OF_MEMORY, detail="Runtime exited with error: signal: killed")


def cannot_execute(path: str, reason: str) -> Failure:
    """The runtime process could not be started; `reason` is the system's word, e.g. "permission denied"."""
    return Failure(error_type=INVALID_ENTRYPOINT, detail=f"fork/exec {path}: {reason}")


def no_bootstrap() -> Failure:
    """A custom runtime whose package and layers hold no `bootstrap`."""
    return Failure(
        error_type=INVALID_ENTRYPOINT,
        detail="Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
    )


def too_large() -> bytes:
    """The answer's JSON when the result is over the limit."""
    return msgspec.json.encode({"errorType": TOO_LARGE, "errorMessage": TOO_LARGE_TEXT})


def truncated() -> Failure:
    """A response whose end never came."""
    return Failure(error_type=TRUNCATED, detail="Runtime.TruncatedResponse")


def invalid_response_mode() -> Failure:
    """A response with a `Lambda-Runtime-Function-Response-Mode` header that is not `streaming`."""
    return Failure(error_type=INVALID_RESPONSE_MODE, detail=INVALID_RESPONSE_MODE)
