"""FIFO queues: order, deduplication, groups; boto3 against a real server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.sqs_queues import bodies, counts, receive, refusal

Unique = Callable[[str], str]
Make = Callable[..., str]


@pytest.fixture
def sqs(aws: Callable[..., Any]) -> Any:
    return aws("sqs")


@pytest.fixture
def make(sqs: Any, unique: Unique) -> Make:
    def make_queue(**attributes: str) -> str:
        settings = {"FifoQueue": "true", "ContentBasedDeduplication": "true", **attributes}
        url: str = sqs.create_queue(QueueName=unique("q") + ".fifo", Attributes=settings)["QueueUrl"]
        return url

    return make_queue


def send(sqs: Any, url: str, body: str, group: str = "g", **more: Any) -> dict[str, Any]:
    sent: dict[str, Any] = sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, **more)
    return sent


def test_order_and_what_only_fifo_messages_have(sqs: Any, make: Make) -> None:
    url = make()
    sent = [send(sqs, url, str(number)) for number in range(12)]
    numbers = [message["SequenceNumber"] for message in sent]
    assert numbers == sorted(numbers)
    assert all(len(number) == 20 and number.isdigit() for number in numbers)
    first = receive(sqs, url)
    assert bodies(first) == [str(number) for number in range(10)]
    attributes = first[0]["Attributes"]
    assert attributes["SequenceNumber"] == numbers[0]
    assert attributes["MessageGroupId"] == "g"
    assert len(attributes["MessageDeduplicationId"]) == 64
    assert receive(sqs, url, WaitTimeSeconds=0) == []  # the group is blocked
    send(sqs, url, "other", group="h")
    assert bodies(receive(sqs, url)) == ["other"]
    for message in first:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert bodies(receive(sqs, url)) == ["10", "11"]


@pytest.mark.parametrize(("extended", "left"), [(0, []), (1, ["m0"]), (2, ["m0", "m1"])])
def test_a_group_yields_its_messages_up_to_the_first_in_flight(
    sqs: Any, make: Make, extended: int, left: list[str]
) -> None:
    url = make(VisibilityTimeout="1")
    for number in range(3):
        send(sqs, url, f"m{number}")
    held = receive(sqs, url)
    assert bodies(held) == ["m0", "m1", "m2"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=held[extended]["ReceiptHandle"], VisibilityTimeout=60)
    time.sleep(1.1)  # the visibility timeout itself, in real time
    assert bodies(receive(sqs, url, WaitTimeSeconds=0)) == left


def test_deduplication_outlives_deletion(sqs: Any, make: Make) -> None:
    url = make()
    first = send(sqs, url, "b")
    [message] = receive(sqs, url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    again = send(sqs, url, "b")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    assert counts(sqs, url) == (0, 0, 0)
    assert send(sqs, url, "b", MessageDeduplicationId="other")["MessageId"] != first["MessageId"]
    assert send(sqs, url, "c", MessageDeduplicationId="other")["MD5OfMessageBody"]
    assert counts(sqs, url) == (1, 0, 0)


def test_the_scope_of_deduplication(sqs: Any, make: Make) -> None:
    whole = make()
    assert send(sqs, whole, "b", "g")["MessageId"] == send(sqs, whole, "b", "h")["MessageId"]
    by_group = make(DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    assert send(sqs, by_group, "b", "g")["MessageId"] != send(sqs, by_group, "b", "h")["MessageId"]
    assert send(sqs, by_group, "b", "g")["MessageId"] == send(sqs, by_group, "b", "g")["MessageId"]
    assert counts(sqs, by_group) == (2, 0, 0)
    sqs.set_queue_attributes(QueueUrl=whole, Attributes={"DeduplicationScope": "messageGroup"})
    send(sqs, whole, "b", "h")  # the history of the wider scope still counts
    assert counts(sqs, whole) == (1, 0, 0)


def test_duplicates_in_one_batch(sqs: Any, make: Make) -> None:
    url = make()
    entries = [{"Id": str(number), "MessageBody": "same", "MessageGroupId": "g"} for number in range(3)]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
    assert len({entry["MessageId"] for entry in sent}) == 1
    assert counts(sqs, url) == (1, 0, 0)


def test_what_fifo_queues_refuse(sqs: Any, make: Make) -> None:
    url = make(ContentBasedDeduplication="false")
    assert refusal(lambda: sqs.send_message(QueueUrl=url, MessageBody="b")) == (
        "MissingParameter",
        "The request must contain the parameter MessageGroupId.",
    )
    missing = (
        "InvalidParameterValue",
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
    )
    assert refusal(lambda: send(sqs, url, "b")) == missing
    entries = [
        {"Id": "a", "MessageBody": "b", "MessageGroupId": "g", "MessageDeduplicationId": "d"},
        {"Id": "b", "MessageBody": "b", "MessageGroupId": "g"},
    ]
    assert refusal(lambda: sqs.send_message_batch(QueueUrl=url, Entries=entries)) == missing
    assert (
        refusal(lambda: send(sqs, url, "b", MessageDeduplicationId="d", DelaySeconds=1))[0] == "InvalidParameterValue"
    )
    assert counts(sqs, url) == (0, 0, 0)
    send(sqs, url, "b", MessageDeduplicationId="d", DelaySeconds=0)
    assert counts(sqs, url) == (1, 0, 0)


def test_an_expired_handle_deletes_nothing(sqs: Any, make: Make) -> None:
    url = make(VisibilityTimeout="1")
    send(sqs, url, "b")
    [message] = receive(sqs, url)
    time.sleep(1.1)  # the visibility timeout itself, in real time
    handle = message["ReceiptHandle"]
    assert refusal(lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)) == (
        "InvalidParameterValue",
        f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
    )
    assert counts(sqs, url) == (1, 0, 0)


def test_a_receive_can_be_tried_again(sqs: Any, make: Make) -> None:
    url = make()
    send(sqs, url, "b")
    first = receive(sqs, url, ReceiveRequestAttemptId="try")
    again = receive(sqs, url, ReceiveRequestAttemptId="try")
    assert [message["ReceiptHandle"] for message in again] == [message["ReceiptHandle"] for message in first]
    assert receive(sqs, url, WaitTimeSeconds=0, ReceiveRequestAttemptId="another") == []
