"""Tasks that move messages out of dead-letter queues: what they are, and their handles.

SQS API reference, "StartMessageMoveTask", "ListMessageMoveTasks" and "CancelMessageMoveTask".
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from lambent.sqs.errors import InvalidParameterValue

MAX_RATE: Final = 500
# SQS API reference, "StartMessageMoveTask": how long a task may run.
MAX_TASK_S: Final = 36 * 3600
# Ended tasks that are still listed; ListMessageMoveTasks shows ten at most.
KEPT_TASKS: Final = 10

Status = Literal["RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveTask:
    """One task. `rate` is messages a second, None for as fast as it goes; `to_move` was counted at the start."""

    id: str
    source_arn: str
    destination_arn: str | None
    rate: int | None
    status: Status
    started_ms: int
    moved: int
    to_move: int
    failure: str | None = None

    @property
    def active(self) -> bool:
        return self.status in ("RUNNING", "CANCELLING")


def handle_of(task: MoveTask) -> str:
    """The task's handle: opaque to clients, base64 of JSON as on AWS."""
    return base64.b64encode(msgspec.json.encode({"taskId": task.id, "sourceArn": task.source_arn})).decode()


def read_handle(handle: str) -> tuple[str, str]:
    """Task id and source ARN. Raises InvalidParameterValue."""
    try:
        found = msgspec.json.decode(base64.b64decode(handle, validate=True), type=dict[str, str])
        return found["taskId"], found["sourceArn"]
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError, KeyError):
        raise InvalidParameterValue("Value for parameter TaskHandle is invalid.") from None


def as_output(task: MoveTask) -> dict[str, Any]:
    """One element of ListMessageMoveTasks."""
    return {
        "TaskHandle": handle_of(task) if task.status == "RUNNING" else None,
        "Status": task.status,
        "SourceArn": task.source_arn,
        "DestinationArn": task.destination_arn,
        "MaxNumberOfMessagesPerSecond": task.rate,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "FailureReason": task.failure,
        "StartedTimestamp": task.started_ms,
    }
