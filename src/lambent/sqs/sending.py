"""A message on its way in: everything that SQS checks before it takes one, in the order in which it checks.

SQS API reference, "SendMessage" and "SendMessageBatch", and what SQS answers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lambent.core.errors import AwsError
from lambent.sqs import message_attributes
from lambent.sqs.errors import InvalidMessageContents, InvalidParameterValue, MissingParameter, invalid_value
from lambent.sqs.message_attributes import Attributes, encoded, is_valid_text
from lambent.sqs.model import QueueSettings

MAX_DELAY_S: Final = 900

_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_WRONG_TYPE: Final = "The request include parameter that is not valid for this queue type."
_NO_DEDUPLICATION_ID: Final = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
)
_NONE: Final[Attributes] = ()


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A valid message that is not in a queue yet. `body` is UTF-8; `delay_s` None means the queue's own.

    `trace_header` is the AWSTraceHeader, be it from the attribute (then it is in `system`) or from the HTTP header.
    """

    body: bytes
    body_md5: str
    attributes: Attributes
    system: Attributes
    trace_header: str | None
    delay_s: int | None
    group: str | None
    deduplication_id: str | None


class WholeBatchFails(Exception):
    """An entry's mistake that AWS holds against the whole request."""

    def __init__(self, error: AwsError) -> None:
        super().__init__(str(error))
        self.error = error


def size_bytes(given: Mapping[str, Any]) -> int:
    """What a message (or entry) counts, before anything is known of its validity: body and message attributes."""
    size = _bytes(given.get("MessageBody"))
    attributes = given.get("MessageAttributes")
    if attributes:
        for name, value in attributes.items():
            size += _bytes(name)
            if value:
                size += _bytes(value.get("DataType")) + _bytes(value.get("StringValue") or value.get("BinaryValue"))
    return size


def read(
    given: Mapping[str, Any], settings: QueueSettings, *, trace_header: str | None = None, in_batch: bool = False
) -> Draft:
    """The message in the parameters of SendMessage, or in an entry of SendMessageBatch.

    Raises MissingParameter, InvalidParameterValue, InvalidMessageContents, UnsupportedOperation; in a batch also
    WholeBatchFails.
    """
    text = given.get("MessageBody")
    if not text:
        raise MissingParameter("MessageBody")
    given_attributes = given.get("MessageAttributes")
    body = encoded(text)
    size = size_bytes(given) if given_attributes or body is None else len(body)
    if size > settings.max_message_bytes:
        raise InvalidParameterValue(
            f"One or more parameters {'cannot be validated' if in_batch else 'are invalid'}. "
            f"Reason: Message must be shorter than {settings.max_message_bytes} bytes."
        )
    if body is None or not is_valid_text(body, text):
        raise InvalidMessageContents
    attributes = message_attributes.read_attributes(given_attributes) if given_attributes else _NONE
    group, deduplication_id = _ids(given, settings, body, in_batch=in_batch)
    delay_s = _delay(given.get("DelaySeconds"), fifo=settings.fifo is not None)
    given_system = given.get("MessageSystemAttributes")
    system = message_attributes.read_system_attributes(given_system) if given_system else _NONE
    return Draft(
        body=body,
        body_md5=hashlib.md5(body, usedforsecurity=False).hexdigest(),
        attributes=attributes,
        system=system,
        trace_header=system[0].value if system else trace_header,
        delay_s=delay_s,
        group=group,
        deduplication_id=deduplication_id,
    )


def _ids(
    given: Mapping[str, Any], settings: QueueSettings, body: bytes, *, in_batch: bool
) -> tuple[str | None, str | None]:
    """Message group and deduplication id, the latter from the body where the queue says so."""
    group, deduplication_id = given.get("MessageGroupId"), given.get("MessageDeduplicationId")
    for name, value in (("MessageGroupId", group), ("MessageDeduplicationId", deduplication_id)):
        if value is not None and not _ID.fullmatch(value):
            raise invalid_value(
                value, name, f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
            )
    fifo = settings.fifo
    if fifo is None:
        if deduplication_id is not None:
            raise invalid_value(deduplication_id, "MessageDeduplicationId", _WRONG_TYPE)
        return group, None
    if group is None:
        missing = MissingParameter("MessageGroupId")
        if in_batch:
            raise WholeBatchFails(InvalidParameterValue(missing.message))
        raise missing
    if deduplication_id is None:
        if not fifo.content_based:
            error = InvalidParameterValue(_NO_DEDUPLICATION_ID)
            raise WholeBatchFails(error) if in_batch else error
        deduplication_id = hashlib.sha256(body).hexdigest()
    return group, deduplication_id


def _delay(given: int | None, *, fifo: bool) -> int | None:
    if given is None:
        return None
    if not 0 <= given <= MAX_DELAY_S:
        raise invalid_value(given, "DelaySeconds", f"DelaySeconds must be >= 0 and <= {MAX_DELAY_S}.")
    if fifo:
        if given > 0:
            raise invalid_value(given, "DelaySeconds", _WRONG_TYPE)
        return None  # a FIFO queue delays all its messages, or none
    return given


def _bytes(value: str | bytes | None) -> int:
    if not value:
        return 0
    if isinstance(value, bytes) or value.isascii():
        return len(value)
    return len(value.encode("utf-8", "replace"))
