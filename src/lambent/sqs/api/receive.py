"""ReceiveMessage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.sqs import message_attributes
from lambent.sqs.api.furniture import SQS, Parts
from lambent.sqs.api.visibility import check_timeout
from lambent.sqs.errors import InvalidAttributeName, invalid_value
from lambent.sqs.messages import Delivery, Messages

MAX_MESSAGES: Final = 10
MAX_WAIT_S: Final = 20

_SYSTEM_NAMES: Final = frozenset(
    {
        "AWSTraceHeader",
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
        "DeadLetterQueueSourceArn",
        "MessageDeduplicationId",
        "MessageGroupId",
        "SenderId",
        "SentTimestamp",
        "SequenceNumber",
    }
)


def operations(parts: Parts, messages: Messages) -> list[Operation]:
    """ReceiveMessage; AWS's API page of the same name."""

    async def receive_message(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "ReceiveMessage")
        limit = params.get("MaxNumberOfMessages", 1)
        if not 1 <= limit <= MAX_MESSAGES:
            raise invalid_value(limit, "MaxNumberOfMessages", f"Must be between 1 and {MAX_MESSAGES}, if provided.")
        wait_s = params.get("WaitTimeSeconds")
        if wait_s is None:
            wait_s = queue.settings.wait_s
        elif not 0 <= wait_s <= MAX_WAIT_S:
            raise invalid_value(wait_s, "WaitTimeSeconds", f"Must be >= 0 and <= {MAX_WAIT_S}, if provided.")
        visibility_timeout_s = params.get("VisibilityTimeout")
        if visibility_timeout_s is not None:
            check_timeout(visibility_timeout_s)
        attempt_id = params.get("ReceiveRequestAttemptId")
        if attempt_id is not None:
            _check_attempt(attempt_id, fifo=queue.settings.fifo is not None)
        system = _system_names(params)
        wanted = message_attributes.chooser(params.get("MessageAttributeNames") or ())
        found = await messages.receive(
            queue,
            limit=limit,
            visibility_timeout_s=visibility_timeout_s,
            wait_s=wait_s,
            attempt_id=attempt_id,
        )
        return {"Messages": [_rendered(delivery, system, wanted) for delivery in found]} if found else {}

    return [
        Operation(
            service=SQS,
            name="ReceiveMessage",
            handler=receive_message,
            enforced=[
                "QueueUrl",
                "AttributeNames",
                "MessageSystemAttributeNames",
                "MessageAttributeNames",
                "MaxNumberOfMessages",
                "VisibilityTimeout",
                "WaitTimeSeconds",
                "ReceiveRequestAttemptId",
            ],
            note="A short poll returns what is available, not a sample of it.",
        )
    ]


def _system_names(params: Params) -> frozenset[str]:
    """The system attributes that both parameters ask for together. Raises InvalidAttributeName."""
    old, new = params.get("AttributeNames"), params.get("MessageSystemAttributeNames")
    if not (old or new):
        return frozenset()
    names: Sequence[str] = (*(old or ()), *(new or ()))
    if "All" in names:
        return _SYSTEM_NAMES
    for name in names:
        if name not in _SYSTEM_NAMES:
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
    return frozenset(names)


def _check_attempt(attempt_id: str, *, fifo: bool) -> None:
    name = "ReceiveRequestAttemptId"
    if not fifo:
        raise invalid_value(attempt_id, name, "The request include parameter that is not valid for this queue type.")
    if not 1 <= len(attempt_id) <= 128:
        raise invalid_value(
            attempt_id, name, f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        )


def _rendered(delivery: Delivery, system: frozenset[str], wanted: Callable[[str], bool]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "MessageId": delivery.message_id,
        "ReceiptHandle": delivery.receipt_handle,
        "MD5OfBody": delivery.body_md5,
        "Body": delivery.body,
    }
    if system:
        attributes = {name: value for name, value in _system(delivery).items() if name in system and value is not None}
        if attributes:
            message["Attributes"] = attributes
    if delivery.attributes:
        chosen = [attribute for attribute in delivery.attributes if wanted(attribute.name)]
        if chosen:
            message["MessageAttributes"] = {attribute.name: attribute.as_output() for attribute in chosen}
            message["MD5OfMessageAttributes"] = message_attributes.digest(chosen)
    return message


def _system(delivery: Delivery) -> dict[str, str | None]:
    return {
        "SenderId": delivery.sender_id,
        "SentTimestamp": str(delivery.sent_ms),
        "ApproximateReceiveCount": str(delivery.receive_count),
        "ApproximateFirstReceiveTimestamp": str(delivery.first_received_ms),
        "SequenceNumber": delivery.sequence_number,
        "MessageDeduplicationId": delivery.deduplication_id,
        "MessageGroupId": delivery.group,
        "AWSTraceHeader": delivery.trace_header,
        "DeadLetterQueueSourceArn": delivery.dead_letter_source_arn,
    }
