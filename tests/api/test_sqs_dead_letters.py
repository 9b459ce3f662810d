"""Dead letters and the tasks that move them back; boto3 against a real server."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from lambent.testing.server import ServerProcess
from tests.api.sqs_queues import arn_of, bodies, counts, receive, refusal

Unique = Callable[[str], str]
GONE = "The resource that you specified for the {} parameter doesn't exist."


@pytest.fixture
def sqs(aws: Callable[..., Any]) -> Any:
    return aws("sqs")


def policy(arn: str, count: int | str = 1) -> dict[str, str]:
    return {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": count})}


def pair(sqs: Any, name: str, count: int | str = 1) -> tuple[str, str]:
    """A source with a dead-letter queue: their URLs. Messages come back at once."""
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    settings = {"VisibilityTimeout": "0", **policy(arn_of(sqs, dead), count)}
    return sqs.create_queue(QueueName=name, Attributes=settings)["QueueUrl"], dead


def kill(sqs: Any, source: str, dead: str, number: int) -> None:
    """Send messages and let all of them end as dead letters."""
    for start in range(0, number, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(start, min(start + 10, number))]
        sqs.send_message_batch(QueueUrl=source, Entries=entries)
    deadline = time.monotonic() + 20
    while counts(sqs, dead)[0] < number and time.monotonic() < deadline:
        receive(sqs, source, WaitTimeSeconds=0)
    assert counts(sqs, dead)[0] == number


def test_a_message_dies_of_too_many_receives(sqs: Any, unique: Unique) -> None:
    source, dead = pair(sqs, unique("q"), "2")
    sent = sqs.send_message(QueueUrl=source, MessageBody="b", MessageAttributes={
        "a": {"DataType": "String", "StringValue": "v"}
    })  # fmt: skip
    seen = [receive(sqs, source)[0]["Attributes"]["ApproximateReceiveCount"] for _ in range(2)]
    assert seen == ["1", "2"]
    assert receive(sqs, source, WaitTimeSeconds=0) == []
    [letter] = receive(sqs, dead)
    assert (letter["MessageId"], letter["Body"]) == (sent["MessageId"], "b")
    assert letter["Attributes"]["ApproximateReceiveCount"] == "3"
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == arn_of(sqs, source)
    assert letter["MessageAttributes"] == {"a": {"DataType": "String", "StringValue": "v"}}
    found = sqs.list_dead_letter_source_queues(QueueUrl=dead)
    assert found["queueUrls"] == [source]
    assert sqs.list_dead_letter_source_queues(QueueUrl=source)["queueUrls"] == []


def test_policies_that_name_no_usable_queue(sqs: Any, aws: Callable[..., Any], unique: Unique) -> None:
    source = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]

    def refused(arn: str, count: int | str = 1) -> str:
        code, message = refusal(lambda: sqs.set_queue_attributes(QueueUrl=source, Attributes=policy(arn, count)))
        assert code == "InvalidParameterValue"
        return message.partition("Reason: ")[2]

    here = arn_of(sqs, sqs.create_queue(QueueName=unique("d"))["QueueUrl"])
    assert refused(here + "x") == "Dead letter target does not exist."
    assert refused(here, 0) == "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive."
    fifo = sqs.create_queue(QueueName=unique("d") + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    assert "same type" in refused(arn_of(sqs, fifo))
    elsewhere = aws("sqs", access_key="222222222222")
    other = arn_of(elsewhere, elsewhere.create_queue(QueueName=unique("d"))["QueueUrl"])
    assert "owner" in refused(other)
    sqs.set_queue_attributes(QueueUrl=source, Attributes=policy(here))
    sqs.set_queue_attributes(QueueUrl=source, Attributes={"RedrivePolicy": ""})
    assert "RedrivePolicy" not in sqs.get_queue_attributes(QueueUrl=source, AttributeNames=["All"])["Attributes"]


def test_a_dead_letter_queue_chooses_its_sources(sqs: Any, unique: Unique) -> None:
    first = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    second = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    dead = sqs.create_queue(QueueName=unique("d"))["QueueUrl"]
    use = policy(arn_of(sqs, dead))

    def allow(document: dict[str, Any]) -> None:
        sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps(document)})

    allow({"redrivePermission": "byQueue", "sourceQueueArns": [arn_of(sqs, first)]})
    sqs.set_queue_attributes(QueueUrl=first, Attributes=use)
    assert refusal(lambda: sqs.set_queue_attributes(QueueUrl=second, Attributes=use))[0] == "InvalidParameterValue"
    assert refusal(lambda: sqs.create_queue(QueueName=unique("q"), Attributes=use))[0] == "InvalidParameterValue"
    allow({"redrivePermission": "denyAll"})
    assert refusal(lambda: sqs.set_queue_attributes(QueueUrl=second, Attributes=use))[0] == "InvalidParameterValue"
    allow({"redrivePermission": "allowAll"})
    sqs.set_queue_attributes(QueueUrl=second, Attributes=use)


def wait_for(sqs: Any, arn: str, *statuses: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        task: dict[str, Any] = sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]
        if task["Status"] in statuses:
            return task
        time.sleep(0.05)
    raise AssertionError(f"the task is still {task}")


def test_letters_go_back_to_where_they_came_from(sqs: Any, unique: Unique) -> None:
    source, dead = pair(sqs, unique("q"))
    kill(sqs, source, dead, 12)
    arn = arn_of(sqs, dead)
    handle = sqs.start_message_move_task(SourceArn=arn)["TaskHandle"]
    assert json.loads(base64.b64decode(handle)).keys() == {"taskId", "sourceArn"}
    task = wait_for(sqs, arn, "COMPLETED")
    assert (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (12, 12)
    assert "TaskHandle" not in task
    assert "DestinationArn" not in task
    assert abs(task["StartedTimestamp"] - time.time() * 1000) < 60_000
    assert (counts(sqs, dead)[0], counts(sqs, source)[0]) == (0, 12)
    assert receive(sqs, source)[0]["Attributes"]["ApproximateReceiveCount"] == "1"


def test_letters_go_where_they_are_sent_at_a_rate_until_cancelled(sqs: Any, unique: Unique) -> None:
    source, dead = pair(sqs, unique("q"))
    target = sqs.create_queue(QueueName=unique("t"))["QueueUrl"]
    kill(sqs, source, dead, 40)
    arn, target_arn = arn_of(sqs, dead), arn_of(sqs, target)
    handle = sqs.start_message_move_task(SourceArn=arn, DestinationArn=target_arn, MaxNumberOfMessagesPerSecond=5)[
        "TaskHandle"
    ]
    again = refusal(lambda: sqs.start_message_move_task(SourceArn=arn))
    assert again == (
        "InvalidParameterValue",
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
    )
    running = sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]
    assert (running["TaskHandle"], running["DestinationArn"], running["MaxNumberOfMessagesPerSecond"]) == (
        handle,
        target_arn,
        5,
    )
    deadline = time.monotonic() + 10
    while not counts(sqs, target)[0] and time.monotonic() < deadline:
        time.sleep(0.05)
    moved = sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    task = wait_for(sqs, arn, "CANCELLED")
    assert 1 <= moved <= task["ApproximateNumberOfMessagesMoved"] < 40
    assert counts(sqs, target)[0] == task["ApproximateNumberOfMessagesMoved"]
    assert counts(sqs, dead)[0] + counts(sqs, target)[0] == 40
    assert refusal(lambda: sqs.cancel_message_move_task(TaskHandle=handle))[0] in (
        "ResourceNotFoundException",
        "InvalidParameterValue",
        "AWS.SimpleQueueService.UnsupportedOperation",
    )


def test_tasks_that_cannot_be(sqs: Any, unique: Unique) -> None:
    plain = arn_of(sqs, sqs.create_queue(QueueName=unique("q"))["QueueUrl"])
    _source, dead = pair(sqs, unique("q"))
    arn = arn_of(sqs, dead)

    def start(**parameters: Any) -> tuple[str, str]:
        return refusal(lambda: sqs.start_message_move_task(**parameters))

    invalid, missing = "InvalidParameterValue", "ResourceNotFoundException"
    assert start(SourceArn=plain) == (invalid, "Source queue must be configured as a Dead Letter Queue.")
    assert start(SourceArn=plain + "x") == (missing, GONE.format("SourceArn"))
    assert start(SourceArn=arn, DestinationArn=plain + "x") == (missing, GONE.format("DestinationArn"))
    assert start(SourceArn="nonsense") == (
        invalid,
        "You must use this format to specify the SourceArn: "
        "arn:<partition>:<service>:<region>:<account-id>:<resource-id>",
    )
    assert start(SourceArn=arn, MaxNumberOfMessagesPerSecond=501)[0] == invalid
    cancel = sqs.cancel_message_move_task
    assert refusal(lambda: cancel(TaskHandle="nonsense")) == (invalid, "Value for parameter TaskHandle is invalid.")

    def handle(arn: str) -> str:
        return base64.b64encode(json.dumps({"taskId": "none", "sourceArn": arn}).encode()).decode()

    assert refusal(lambda: cancel(TaskHandle=handle(arn + "x"))) == (missing, GONE.format("SourceArn"))
    assert refusal(lambda: cancel(TaskHandle=handle(arn))) == (missing, "Task does not exist.")
    assert refusal(lambda: sqs.list_message_move_tasks(SourceArn=arn, MaxResults=11))[0] == invalid
    assert not sqs.list_message_move_tasks(SourceArn=arn).get("Results")


def test_a_destination_that_goes_away_fails_the_task(sqs: Any, unique: Unique) -> None:
    source, dead = pair(sqs, unique("q"))
    target = sqs.create_queue(QueueName=unique("t"))["QueueUrl"]
    kill(sqs, source, dead, 10)
    arn = arn_of(sqs, dead)
    sqs.start_message_move_task(SourceArn=arn, DestinationArn=arn_of(sqs, target), MaxNumberOfMessagesPerSecond=2)
    sqs.delete_queue(QueueUrl=target)
    task = wait_for(sqs, arn, "FAILED")
    assert task["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert counts(sqs, dead)[0] >= 5


def test_a_task_goes_on_after_a_restart(unique: Unique) -> None:
    with ServerProcess() as server:
        sqs = server.client("sqs")
        source, dead = pair(sqs, unique("q"))
        kill(sqs, source, dead, 30)
        arn, source_name = arn_of(sqs, dead), source.rpartition("/")[2]
        sqs.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=15)
        server.kill()
        server.start()
        sqs = server.client("sqs")
        task = wait_for(sqs, arn, "COMPLETED")
        assert counts(sqs, source_name)[0] == 30
        assert task["ApproximateNumberOfMessagesMoved"] == 30
        assert len(bodies(receive(sqs, source_name))) == 10
