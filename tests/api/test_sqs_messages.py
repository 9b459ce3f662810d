"""Messages on standard queues: sending, receiving, visibility, deletion, batches; boto3 against a real server."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.api.sqs_queues import bodies, counts, receive, refusal

Unique = Callable[[str], str]
MIB = 1024 * 1024
INVALID = "InvalidParameterValue"


@pytest.fixture
def sqs(aws: Callable[..., Any]) -> Any:
    return aws("sqs")


@pytest.fixture
def url(sqs: Any, unique: Unique) -> str:
    made: str = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    return made


def text(value: str, data_type: str = "String") -> dict[str, str]:
    return {"DataType": data_type, "StringValue": value}


def test_a_message_goes_through(sqs: Any, url: str) -> None:
    attributes = {"A": text("x"), "N": text("6", "Number"), "B": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    trace = {"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793")}
    sent = sqs.send_message(
        QueueUrl=url, MessageBody="héllo", MessageAttributes=attributes, MessageSystemAttributes=trace
    )
    assert sent["MD5OfMessageBody"] == hashlib.md5("héllo".encode()).hexdigest()
    assert sent["MD5OfMessageAttributes"]
    assert sent["MD5OfMessageSystemAttributes"]
    assert "SequenceNumber" not in sent
    [message] = receive(sqs, url)
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "héllo")
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    found = message["Attributes"]
    assert found.keys() == {
        "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "AWSTraceHeader"
    }  # fmt: skip
    assert found["ApproximateReceiveCount"] == "1"
    assert abs(int(found["SentTimestamp"]) - time.time() * 1000) < 60_000
    assert found["AWSTraceHeader"].startswith("Root=1-")
    assert counts(sqs, url) == (0, 1, 0)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert counts(sqs, url) == (0, 0, 0)
    assert "-" not in message["ReceiptHandle"]


def test_what_was_not_asked_for_is_not_answered(sqs: Any, url: str) -> None:
    attributes = {"foo.a": text("1"), "foo.b": text("2"), "bar": text("3")}
    sqs.send_message(QueueUrl=url, MessageBody="b", MessageAttributes=attributes)
    asked = {"QueueUrl": url, "VisibilityTimeout": 0, "WaitTimeSeconds": 1}
    [plain] = sqs.receive_message(**asked)["Messages"]
    assert plain.keys() == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}
    [prefixed] = sqs.receive_message(**asked, MessageAttributeNames=["foo.*", "missing"])["Messages"]
    assert prefixed["MessageAttributes"].keys() == {"foo.a", "foo.b"}  # boto3 does not check the digest; see the units
    [none] = sqs.receive_message(**asked, MessageAttributeNames=["missing"])["Messages"]
    assert not {"MessageAttributes", "MD5OfMessageAttributes"} & none.keys()
    [united] = sqs.receive_message(**asked, AttributeNames=["SentTimestamp"], MessageSystemAttributeNames=["SenderId"])[
        "Messages"
    ]
    assert united["Attributes"].keys() == {"SentTimestamp", "SenderId"}


def test_an_empty_receive_has_no_messages(sqs: Any, url: str) -> None:
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_the_trace_header_may_come_by_http(sqs: Any, url: str, aws: Callable[..., Any]) -> None:
    client = aws("sqs", user_agent_extra="traced")
    client.meta.events.register(
        "before-sign.sqs.SendMessage", lambda request, **_: request.headers.add_header("X-Amzn-Trace-Id", "Root=1-http")
    )
    sent = client.send_message(QueueUrl=url, MessageBody="b")
    assert "MD5OfMessageSystemAttributes" not in sent
    assert receive(sqs, url)[0]["Attributes"]["AWSTraceHeader"] == "Root=1-http"


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"MessageBody": ""}, "MissingParameter", "The request must contain the parameter MessageBody."),
        ({"MessageBody": "\x01"}, "InvalidMessageContents", None),
        (
            {"MessageBody": "b", "DelaySeconds": 901},
            INVALID,
            "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
        ),
        (
            {"MessageBody": "b", "MessageAttributes": {"a": text("")}},
            INVALID,
            "Message (user) attribute 'a' must contain a non-empty value of type 'String'.",
        ),
        (
            {"MessageBody": "b", "MessageDeduplicationId": "d"},
            INVALID,
            "Value d for parameter MessageDeduplicationId is invalid. "
            "Reason: The request include parameter that is not valid for this queue type.",
        ),
    ],
)
def test_messages_that_are_refused(
    sqs: Any, url: str, parameters: dict[str, Any], code: str, message: str | None
) -> None:
    found = refusal(lambda: sqs.send_message(QueueUrl=url, **parameters))
    assert found == (code, message or found[1])
    assert counts(sqs, url) == (0, 0, 0)


def test_a_mebibyte_and_not_a_byte_more(sqs: Any, url: str) -> None:
    body = "x" * MIB
    sent = sqs.send_message(QueueUrl=url, MessageBody=body)
    assert receive(sqs, url)[0]["Body"] == body
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    assert refusal(lambda: sqs.send_message(QueueUrl=url, MessageBody=body + "x")) == (
        INVALID,
        "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
    )
    attributes = {"k": text("v")}
    refusal(lambda: sqs.send_message(QueueUrl=url, MessageBody="x" * (MIB - 6), MessageAttributes=attributes))


def test_receive_parameters(sqs: Any, url: str) -> None:
    for wrong in (0, 11):
        assert refusal(partial(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=wrong)) == (
            INVALID,
            f"Value {wrong} for parameter MaxNumberOfMessages is invalid. "
            "Reason: Must be between 1 and 10, if provided.",
        )
    assert refusal(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=21)) == (
        INVALID,
        "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
    )
    assert refusal(lambda: sqs.receive_message(QueueUrl=url, VisibilityTimeout=43201))[0] == INVALID
    assert refusal(lambda: sqs.receive_message(QueueUrl=url, AttributeNames=["Nonsense"]))[0] == "InvalidAttributeName"


def test_delays(sqs: Any, unique: Unique) -> None:
    url = sqs.create_queue(QueueName=unique("q"), Attributes={"DelaySeconds": "1"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="late")
    sqs.send_message(QueueUrl=url, MessageBody="now", DelaySeconds=0)
    assert counts(sqs, url) == (1, 0, 1)
    assert bodies(receive(sqs, url, WaitTimeSeconds=0)) == ["now"]
    started = time.monotonic()
    assert bodies(receive(sqs, url, WaitTimeSeconds=5)) == ["late"]
    assert time.monotonic() - started < 3


def test_visibility(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="b")
    [first] = receive(sqs, url, VisibilityTimeout=30)
    assert receive(sqs, url, WaitTimeSeconds=0) == []
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    [second] = receive(sqs, url)
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    started = first["Attributes"]["ApproximateFirstReceiveTimestamp"]
    assert second["Attributes"]["ApproximateFirstReceiveTimestamp"] == started
    handle = second["ReceiptHandle"]

    def change(value: int, handle: str = handle) -> Any:
        return sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=value)

    assert refusal(lambda: change(43201))[1] == (
        "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200."
    )
    assert refusal(lambda: change(43200)) == (
        INVALID,
        "Value 43200 for parameter VisibilityTimeout is invalid. "
        "Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
    )
    assert refusal(lambda: change(1, "nonsense")) == (
        "ReceiptHandleIsInvalid",
        'The input receipt handle "nonsense" is not a valid receipt handle.',
    )
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])  # an older handle deletes too
    assert refusal(lambda: change(1)) == (
        INVALID,
        f"Value {handle} for parameter ReceiptHandle is invalid. "
        "Reason: Message does not exist or is not available for visibility timeout change.",
    )


def test_handles_belong_to_their_queue(sqs: Any, url: str, unique: Unique) -> None:
    other = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="b")
    handle = receive(sqs, url)[0]["ReceiptHandle"]
    assert refusal(lambda: sqs.delete_message(QueueUrl=other, ReceiptHandle=handle))[0] == "ReceiptHandleIsInvalid"
    assert counts(sqs, url) == (0, 1, 0)


def test_batches(sqs: Any, url: str) -> None:
    entries = [{"Id": f"m{number}", "MessageBody": f"body {number}"} for number in range(10)]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in sent["Successful"]] == [entry["Id"] for entry in entries]
    assert "Failed" not in sent
    messages = receive(sqs, url)
    assert len({message["MessageId"] for message in messages}) == 10
    changes = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 60}
        for number, message in enumerate(messages[:9])
    ]
    changes.append({"Id": "bad", "ReceiptHandle": "nonsense", "VisibilityTimeout": 60})
    changed = sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes)
    assert len(changed["Successful"]) == 9
    assert changed["Failed"] == [
        {
            "Id": "bad",
            "SenderFault": True,
            "Code": "ReceiptHandleIsInvalid",
            "Message": 'The input receipt handle "nonsense" is not a valid receipt handle.',
        }
    ]
    deletions = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=deletions)
    assert (len(deleted["Successful"]), "Failed" in deleted) == (10, False)
    assert counts(sqs, url) == (0, 0, 0)


def test_entries_fail_one_by_one(sqs: Any, unique: Unique) -> None:
    url = sqs.create_queue(QueueName=unique("q"), Attributes={"MaximumMessageSize": "1024"})["QueueUrl"]
    sent = sqs.send_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "good", "MessageBody": "x" * 1024},
            {"Id": "long", "MessageBody": "x" * 1025},
            {"Id": "odd", "MessageBody": "\x00"},
        ],
    )
    assert [entry["Id"] for entry in sent["Successful"]] == ["good"]
    assert sent["Failed"][0] == {
        "Id": "long",
        "SenderFault": True,
        "Code": INVALID,
        "Message": "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.",
    }
    assert sent["Failed"][1]["Code"] == "InvalidMessageContents"
    assert counts(sqs, url) == (1, 0, 0)


def test_batches_that_are_refused(sqs: Any, url: str) -> None:
    def send(entries: list[dict[str, str]]) -> tuple[str, str]:
        return refusal(lambda: sqs.send_message_batch(QueueUrl=url, Entries=entries))

    prefix = "AWS.SimpleQueueService."
    assert send([]) == (
        prefix + "EmptyBatchRequest",
        "There should be at least one SendMessageBatchRequestEntry in the request.",
    )
    assert send([{"Id": str(n), "MessageBody": "b"} for n in range(11)]) == (
        prefix + "TooManyEntriesInBatchRequest",
        "Maximum number of entries per request are 10. You have sent 11.",
    )
    assert send([{"Id": "a", "MessageBody": "b"}] * 2) == (prefix + "BatchEntryIdsNotDistinct", "Id a repeated.")
    assert send([{"Id": "a.b", "MessageBody": "b"}])[0] == prefix + "InvalidBatchEntryId"
    assert send([{"Id": str(n), "MessageBody": "x" * 104_858} for n in range(10)]) == (
        prefix + "BatchRequestTooLong",
        "Batch requests cannot be longer than 1048576 bytes. You have sent 1048580 bytes.",
    )
    assert refusal(lambda: sqs.delete_message_batch(QueueUrl=url, Entries=[])) == (
        prefix + "EmptyBatchRequest",
        "There should be at least one DeleteMessageBatchRequestEntry in the request.",
    )
    assert counts(sqs, url) == (0, 0, 0)


def test_a_long_poll_wakes_at_once(sqs: Any, url: str) -> None:
    found: list[float] = []

    def poll() -> None:
        if receive(sqs, url, WaitTimeSeconds=20):
            found.append(time.monotonic())

    poller = threading.Thread(target=poll)
    poller.start()
    deadline = time.monotonic() + 5
    while not _waiting(poller) and time.monotonic() < deadline:
        time.sleep(0.05)
    sqs.send_message(QueueUrl=url, MessageBody="b")
    sent = time.monotonic()
    poller.join(10)
    assert found
    assert found[0] - sent < 1.0


def _waiting(thread: threading.Thread) -> bool:
    thread.join(0.3)  # long enough for its request to be at the server
    return thread.is_alive()


def test_the_queues_own_wait_and_an_explicit_zero(sqs: Any, unique: Unique) -> None:
    url = sqs.create_queue(QueueName=unique("q"), Attributes={"ReceiveMessageWaitTimeSeconds": "1"})["QueueUrl"]
    started = time.monotonic()
    sqs.receive_message(QueueUrl=url)
    assert time.monotonic() - started >= 0.9
    started = time.monotonic()
    sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    assert time.monotonic() - started < 0.9


def test_a_purge_takes_everything_once_a_minute(sqs: Any, url: str) -> None:
    for body in ("visible", "in flight"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sqs.send_message(QueueUrl=url, MessageBody="delayed", DelaySeconds=60)
    [held] = receive(sqs, url, MaxNumberOfMessages=1)
    assert counts(sqs, url) == (1, 1, 1)
    sqs.purge_queue(QueueUrl=url)
    assert counts(sqs, url) == (0, 0, 0)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
    name = url.rpartition("/")[2]
    assert refusal(lambda: sqs.purge_queue(QueueUrl=url)) == (
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        f"Only one PurgeQueue operation on {name} is allowed every 60 seconds.",
    )


def test_two_pollers_never_hold_the_same_message(sqs: Any, url: str, aws: Callable[..., Any]) -> None:
    total = 60
    for start in range(0, total, 10):
        entries = [{"Id": str(number), "MessageBody": str(start + number)} for number in range(10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    seen: list[str] = []

    def drain(client: Any) -> None:
        while messages := receive(client, url, WaitTimeSeconds=0, MaxNumberOfMessages=3):
            seen.extend(bodies(messages))

    pollers = [threading.Thread(target=drain, args=(aws("sqs", user_agent_extra=f"p{n}"),)) for n in range(4)]
    for poller in pollers:
        poller.start()
    for poller in pollers:
        poller.join(30)
    assert sorted(seen, key=int) == [str(number) for number in range(total)]


def test_a_group_on_a_standard_queue_is_a_tenant(sqs: Any, url: str) -> None:
    sent = sqs.send_message(QueueUrl=url, MessageBody="b", MessageGroupId="tenant")
    assert "SequenceNumber" not in sent
    assert receive(sqs, url)[0]["Attributes"]["MessageGroupId"] == "tenant"
