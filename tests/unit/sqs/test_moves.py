"""Handles of move tasks, and what a list of tasks shows."""

from __future__ import annotations

import base64
import dataclasses
import json

import pytest

from lambent.sqs import moves
from lambent.sqs.errors import InvalidParameterValue

TASK = moves.MoveTask(
    id="11111111-2222-4333-8444-555555555555",
    source_arn="arn:aws:sqs:us-east-1:000000000000:dead",
    destination_arn=None,
    rate=None,
    status="RUNNING",
    started_ms=1,
    moved=2,
    to_move=3,
)


def test_handles_lead_back_to_their_task() -> None:
    handle = moves.handle_of(TASK)
    assert json.loads(base64.b64decode(handle)) == {"taskId": TASK.id, "sourceArn": TASK.source_arn}
    assert moves.read_handle(handle) == (TASK.id, TASK.source_arn)


@pytest.mark.parametrize("handle", ["nonsense", "", "e30=", base64.b64encode(b"[]").decode(), "é"])
def test_what_is_no_handle(handle: str) -> None:
    with pytest.raises(InvalidParameterValue, match=r"Value for parameter TaskHandle is invalid\."):
        moves.read_handle(handle)


def test_only_a_running_task_shows_its_handle() -> None:
    assert moves.as_output(TASK)["TaskHandle"] == moves.handle_of(TASK)
    assert moves.as_output(dataclasses.replace(TASK, status="CANCELLING"))["TaskHandle"] is None
