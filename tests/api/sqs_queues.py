"""What the tests of SQS share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytest.importorskip("lambent.sqs.engine", reason="SQS has no message engine yet")
DENIED = "AccessDenied"


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that a call must end with."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return error["Code"], error["Message"]


def arn_of(sqs: Any, url: str) -> str:
    """A queue's ARN."""
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn


def receive(sqs: Any, url: str, **options: Any) -> list[dict[str, Any]]:
    """The messages of one receive with every attribute; waits up to two seconds unless told otherwise."""
    options = {"WaitTimeSeconds": 2, "MaxNumberOfMessages": 10, **options}
    answer = sqs.receive_message(
        QueueUrl=url, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"], **options
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


def counts(sqs: Any, url: str) -> tuple[int, int, int]:
    """Visible, in flight, delayed."""
    names = (
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    )
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    visible, in_flight, delayed = (int(found[name]) for name in names)
    return visible, in_flight, delayed
