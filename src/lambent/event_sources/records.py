"""Messages as functions get them (Lambda developer guide, "Using Lambda with Amazon SQS": the example events)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec


class Attribute(Protocol):
    """A message attribute: `value` is text for String and Number, bytes for Binary."""

    @property
    def name(self) -> str: ...
    @property
    def data_type(self) -> str: ...
    @property
    def value(self) -> Any: ...


class Message(Protocol):
    """A message as it was received. Times are epoch milliseconds."""

    @property
    def message_id(self) -> str: ...
    @property
    def receipt_handle(self) -> str: ...
    @property
    def body(self) -> str: ...
    @property
    def body_md5(self) -> str: ...
    @property
    def attributes(self) -> Sequence[Attribute]: ...
    @property
    def sender_id(self) -> str: ...
    @property
    def sent_ms(self) -> int: ...
    @property
    def receive_count(self) -> int: ...
    @property
    def first_received_ms(self) -> int: ...
    @property
    def sequence_number(self) -> str | None: ...
    @property
    def group(self) -> str | None: ...
    @property
    def deduplication_id(self) -> str | None: ...
    @property
    def trace_header(self) -> str | None: ...
    @property
    def dead_letter_source_arn(self) -> str | None: ...


HEAD: Final = b'{"Records":['
TAIL: Final = b"]}"
_SYSTEM_ATTRIBUTES: Final = (
    ("SequenceNumber", "sequence_number"),
    ("MessageGroupId", "group"),
    ("MessageDeduplicationId", "deduplication_id"),
    ("AWSTraceHeader", "trace_header"),
    ("DeadLetterQueueSourceArn", "dead_letter_source_arn"),
)
_encode: Final = msgspec.json.Encoder().encode


class Recorder:
    """Makes the records of one mapping. `digest` is SQS's MD5 of message attributes.

    AWS leaves `md5OfMessageAttributes` out of records without attributes, but sends null for mappings with a batching
    window: so do we.
    """

    def __init__(self, *, queue_arn: str, region: str, window_s: int, digest: Callable[[Sequence[Any]], str]) -> None:
        self._queue_arn = queue_arn
        self._region = region
        self._null_digest = window_s > 0
        self._digest = digest

    def record(self, message: Message) -> dict[str, Any]:
        """The record: what filters look at, and once encoded what the function gets."""
        system = {
            "ApproximateReceiveCount": str(message.receive_count),
            "SentTimestamp": str(message.sent_ms),
            "SenderId": message.sender_id,
            "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
        }
        for name, field in _SYSTEM_ATTRIBUTES:
            value = getattr(message, field)
            if value is not None:
                system[name] = value
        record: dict[str, Any] = {
            "messageId": message.message_id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": system,
            "messageAttributes": {attribute.name: _attribute(attribute) for attribute in message.attributes},
        }
        if message.attributes:
            record["md5OfMessageAttributes"] = self._digest(message.attributes)
        elif self._null_digest:
            record["md5OfMessageAttributes"] = None
        record["md5OfBody"] = message.body_md5
        record["eventSource"] = "aws:sqs"
        record["eventSourceARN"] = self._queue_arn
        record["awsRegion"] = self._region
        return record


def encode(record: dict[str, Any]) -> bytes:
    """JSON in UTF-8, without escapes that only make it longer."""
    return _encode(record)


def payload(records: Sequence[bytes]) -> bytes:
    """The event of encoded records."""
    return b"".join((HEAD, b",".join(records), TAIL))


def payload_bytes(sizes: Sequence[int]) -> int:
    """The length of the event of records of these lengths."""
    return len(HEAD) + sum(sizes) + max(0, len(sizes) - 1) + len(TAIL)


def _attribute(attribute: Attribute) -> dict[str, Any]:
    value = attribute.value
    shape: dict[str, Any] = {}
    if isinstance(value, bytes):
        shape["binaryValue"] = base64.b64encode(value).decode()
    else:
        shape["stringValue"] = value
    shape |= {"stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type}
    return shape
