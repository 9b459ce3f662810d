"""Records have exactly the members that AWS sends."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.event_sources import records
from lambent.sqs.message_attributes import MessageAttribute, digest
from tests.unit.event_sources.fakes import QUEUE
from tests.unit.event_sources.messages import delivery


def recorder(window_s: int = 0) -> records.Recorder:
    return records.Recorder(queue_arn=QUEUE, region="us-east-1", window_s=window_s, digest=digest)


def test_a_plain_message() -> None:
    assert recorder().record(delivery()) == {
        "messageId": "m1",
        "receiptHandle": "handle-1",
        "body": "hello",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1700000000000",
            "SenderId": "AIDAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": "1700000000001",
        },
        "messageAttributes": {},
        "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE,
        "awsRegion": "us-east-1",
    }


def test_a_batching_window_brings_a_null_digest() -> None:
    record = recorder(window_s=1).record(delivery())
    assert record["md5OfMessageAttributes"] is None


@pytest.mark.parametrize("window_s", [0, 1])
def test_attributes(window_s: int) -> None:
    attributes = (MessageAttribute("b", "Binary", b"\x00\xff"), MessageAttribute("n", "Number", "6"))
    record = recorder(window_s).record(delivery(attributes=attributes))
    assert record["messageAttributes"] == {
        "b": {"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        "n": {"stringValue": "6", "stringListValues": [], "binaryListValues": [], "dataType": "Number"},
    }
    assert record["md5OfMessageAttributes"] == digest(attributes)


def test_what_only_some_messages_have() -> None:
    record = recorder().record(
        delivery(
            sequence_number="18849496460467696128",
            group="g",
            deduplication_id="d",
            trace_header="Root=1-5759e988-bd862e3fe1be46a994272793",
            dead_letter_source_arn=f"{QUEUE}-source",
            receive_count=2,
        )
    )
    assert record["attributes"] == {
        "ApproximateReceiveCount": "2",
        "SentTimestamp": "1700000000000",
        "SenderId": "AIDAEXAMPLE",
        "ApproximateFirstReceiveTimestamp": "1700000000001",
        "SequenceNumber": "18849496460467696128",
        "MessageGroupId": "g",
        "MessageDeduplicationId": "d",
        "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793",
        "DeadLetterQueueSourceArn": f"{QUEUE}-source",
    }


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_events_are_json_of_the_length_that_was_counted(bodies: list[str]) -> None:
    made = [recorder().record(delivery(number, body=body)) for number, body in enumerate(bodies)]
    encoded = [records.encode(record) for record in made]
    event = records.payload(encoded)
    assert json.loads(event) == {"Records": made}
    assert len(event) == records.payload_bytes([len(one) for one in encoded])
