"""What is checked before a message is taken, and in which order."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from lambent.core.errors import AwsError
from lambent.sqs import attributes, batches, sending
from lambent.sqs.model import QueueSettings

PLAIN = attributes.initial({}, fifo=False)
FIFO = attributes.initial({}, fifo=True)
BY_CONTENT = attributes.initial({"ContentBasedDeduplication": "true"}, fifo=True)
MIB = 1024 * 1024


def refusal(given: dict[str, Any], settings: QueueSettings = PLAIN) -> tuple[str, str]:
    with pytest.raises(AwsError) as refused:
        sending.read(given, settings)
    return refused.value.query_code or refused.value.code, refused.value.message


def test_the_greatest_message() -> None:
    assert len(sending.read({"MessageBody": "x" * MIB}, PLAIN).body) == MIB
    code, message = refusal({"MessageBody": "x" * (MIB + 1)})
    assert (code, message) == (
        "InvalidParameterValue",
        "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
    )


def test_attributes_count_and_system_attributes_do_not() -> None:
    k = {"k": {"DataType": "String", "StringValue": "v"}}
    sending.read({"MessageBody": "x" * (MIB - 8), "MessageAttributes": k}, PLAIN)
    refusal({"MessageBody": "x" * (MIB - 6), "MessageAttributes": k})
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
    draft = sending.read({"MessageBody": "x" * MIB, "MessageSystemAttributes": trace}, PLAIN)
    assert draft.trace_header == "Root=1"


def test_size_is_bytes_of_utf_8() -> None:
    small = attributes.changed(PLAIN, {"MaximumMessageSize": "1024"})
    sending.read({"MessageBody": "é" * 512}, small)
    assert "shorter than 1024 bytes" in refusal({"MessageBody": "é" * 513}, small)[1]


@pytest.mark.parametrize(
    ("given", "settings", "code", "message"),
    [
        ({}, PLAIN, "MissingParameter", "The request must contain the parameter MessageBody."),
        ({"MessageBody": ""}, PLAIN, "MissingParameter", "The request must contain the parameter MessageBody."),
        ({"MessageBody": "\x00"}, PLAIN, "InvalidMessageContents", None),
        ({"MessageBody": "\ud800"}, PLAIN, "InvalidMessageContents", None),
        ({"MessageBody": "\uffff"}, PLAIN, "InvalidMessageContents", None),
        (
            {"MessageBody": "b", "MessageGroupId": "a b"},
            PLAIN,
            "InvalidParameterValue",
            "Value a b for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric "
            "and punctuation characters. 1 to 128 in length.",
        ),
        ({"MessageBody": "b", "MessageGroupId": ""}, PLAIN, "InvalidParameterValue", None),
        ({"MessageBody": "b", "MessageGroupId": "a" * 129}, PLAIN, "InvalidParameterValue", None),
        (
            {"MessageBody": "b", "MessageDeduplicationId": "d"},
            PLAIN,
            "InvalidParameterValue",
            "Value d for parameter MessageDeduplicationId is invalid. "
            "Reason: The request include parameter that is not valid for this queue type.",
        ),
        ({"MessageBody": "b"}, FIFO, "MissingParameter", "The request must contain the parameter MessageGroupId."),
        (
            {"MessageBody": "b", "MessageGroupId": "g"},
            FIFO,
            "InvalidParameterValue",
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly",
        ),
        (
            {"MessageBody": "b", "MessageGroupId": "g", "DelaySeconds": 1},
            BY_CONTENT,
            "InvalidParameterValue",
            "Value 1 for parameter DelaySeconds is invalid. "
            "Reason: The request include parameter that is not valid for this queue type.",
        ),
        (
            {"MessageBody": "b", "DelaySeconds": 901},
            PLAIN,
            "InvalidParameterValue",
            "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
        ),
    ],
)
def test_refusals(given: dict[str, Any], settings: QueueSettings, code: str, message: str | None) -> None:
    assert refusal(given, settings) == (code, message or refusal(given, settings)[1])


def test_fifo_ids() -> None:
    draft = sending.read({"MessageBody": "b", "MessageGroupId": "g", "DelaySeconds": 0}, BY_CONTENT)
    assert (draft.group, draft.deduplication_id) == ("g", hashlib.sha256(b"b").hexdigest())
    assert draft.delay_s is None
    explicit = sending.read({"MessageBody": "b", "MessageGroupId": "g", "MessageDeduplicationId": "d"}, BY_CONTENT)
    assert explicit.deduplication_id == "d"


def test_an_explicit_delay_of_zero_is_kept_on_a_standard_queue() -> None:
    assert sending.read({"MessageBody": "b", "DelaySeconds": 0}, PLAIN).delay_s == 0


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": str(number)} for number in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "a"}, {"Id": "a"}], "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b"}], "InvalidBatchEntryId"),
        ([{"Id": ""}], "InvalidBatchEntryId"),
        ([{"Id": "a" * 81}], "InvalidBatchEntryId"),
    ],
)
def test_batches_are_checked_as_a_whole(entries: list[dict[str, str]], code: str) -> None:
    with pytest.raises(AwsError) as refused:
        batches.check_entries(entries, "SendMessageBatchRequestEntry")
    assert refused.value.code == code


def test_a_batch_has_a_limit_of_its_own() -> None:
    entries = [{"Id": str(number), "MessageBody": "x" * 104_858} for number in range(10)]
    with pytest.raises(AwsError) as refused:
        batches.check_total(entries)
    assert refused.value.message == ("Batch requests cannot be longer than 1048576 bytes. You have sent 1048580 bytes.")
    batches.check_total(entries[:9])


def test_in_a_batch_some_mistakes_are_the_whole_batchs() -> None:
    with pytest.raises(sending.WholeBatchFails) as failed:
        sending.read({"MessageBody": "b"}, FIFO, in_batch=True)
    assert failed.value.error.query_code == "InvalidParameterValue"
