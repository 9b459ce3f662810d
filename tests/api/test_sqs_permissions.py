"""Who may use a queue: permissions, policies, other accounts; boto3 against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lambent.testing.server import ServerProcess
from tests.api.sqs_queues import DENIED, arn_of, receive, refusal

Unique = Callable[[str], str]
Aws = Callable[..., Any]
OTHER = "222222222222"


@pytest.fixture
def sqs(aws: Aws) -> Any:
    return aws("sqs")


@pytest.fixture
def other(aws: Aws) -> Any:
    """A client of another account."""
    return aws("sqs", access_key=OTHER)


def test_another_account_gets_in_by_permission(sqs: Any, other: Any, unique: Unique) -> None:
    name = unique("q")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    assert refusal(lambda: other.send_message(QueueUrl=url, MessageBody="b"))[0] == DENIED
    assert refusal(lambda: other.get_queue_url(QueueName=name, QueueOwnerAWSAccountId="000000000000"))[0] == DENIED
    sqs.add_permission(QueueUrl=url, Label="in", AWSAccountIds=[OTHER], Actions=["SendMessage", "GetQueueUrl"])
    assert other.get_queue_url(QueueName=name, QueueOwnerAWSAccountId="000000000000")["QueueUrl"] == url
    other.send_message(QueueUrl=url, MessageBody="b")
    other.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "c"}])
    assert refusal(lambda: other.receive_message(QueueUrl=url))[0] == DENIED
    assert {message["Attributes"]["SenderId"] for message in receive(sqs, url)} == {OTHER}
    sqs.remove_permission(QueueUrl=url, Label="in")
    assert refusal(lambda: other.send_message(QueueUrl=url, MessageBody="b"))[0] == DENIED


def test_the_policy_that_permissions_make(sqs: Any, unique: Unique) -> None:
    url = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    arn = arn_of(sqs, url)

    def policy() -> Any:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
        return json.loads(found["Policy"]) if found else None

    sqs.add_permission(QueueUrl=url, Label="one", AWSAccountIds=[OTHER], Actions=["SendMessage"])
    sqs.add_permission(QueueUrl=url, Label="two", AWSAccountIds=[OTHER, "333333333333"], Actions=["*", "PurgeQueue"])
    found = policy()
    assert (found["Id"], found["Version"]) == (f"{arn}/SQSDefaultPolicy", "2008-10-17")
    assert found["Statement"][0] == {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"},
        "Action": "SQS:SendMessage",
        "Resource": arn,
    }
    assert found["Statement"][1]["Action"] == ["SQS:*", "SQS:PurgeQueue"]
    again = {"QueueUrl": url, "Label": "one", "AWSAccountIds": [OTHER], "Actions": ["SendMessage"]}
    assert refusal(lambda: sqs.add_permission(**again)) == (
        "InvalidParameterValue",
        "Value one for parameter Label is invalid. Reason: Already exists.",
    )
    many = {**again, "Label": "three", "Actions": ["SendMessage"] * 8}
    assert refusal(lambda: sqs.add_permission(**many)) == (
        "OverLimit",
        "8 Actions were found, maximum allowed is 7.",
    )
    for label in ("one", "two"):
        sqs.remove_permission(QueueUrl=url, Label=label)
    assert policy() is None
    assert refusal(lambda: sqs.remove_permission(QueueUrl=url, Label="one"))[1] == (
        "Value one for parameter Label is invalid. Reason: can't find label."
    )


def test_a_policy_can_deny_the_owner_too(sqs: Any, unique: Unique) -> None:
    url = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sqs:ReceiveMessage", "Resource": arn_of(sqs, url)}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(document)})
    sqs.send_message(QueueUrl=url, MessageBody="b")
    assert refusal(lambda: sqs.receive_message(QueueUrl=url))[0] == DENIED
    insecure = {**statement, "Action": "sqs:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    document["Statement"] = [insecure]  # what CDK's enforceSSL writes
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(document)})
    assert receive(sqs, url)[0]["Body"] == "b"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    wrong = refusal(lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": "{}"}))
    assert wrong == ("InvalidAttributeValue", "Invalid value for the parameter Policy.")


def test_only_the_owner_manages_a_queue(sqs: Any, other: Any, unique: Unique) -> None:
    url = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": arn_of(sqs, url)}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(document)})
    other.send_message(QueueUrl=url, MessageBody="b")
    for call in (
        lambda: other.delete_queue(QueueUrl=url),
        lambda: other.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "1"}),
        lambda: other.tag_queue(QueueUrl=url, Tags={"a": "b"}),
        lambda: other.list_queue_tags(QueueUrl=url),
        lambda: other.add_permission(QueueUrl=url, Label="l", AWSAccountIds=[OTHER], Actions=["*"]),
        lambda: other.start_message_move_task(SourceArn=arn_of(sqs, url)),
    ):
        assert refusal(call)[0] == DENIED


def test_the_sender_is_whoever_signed(unique: Unique) -> None:
    with ServerProcess() as server:
        server.client("iam").create_role(
            RoleName="sender",
            AssumeRolePolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
                }
            ),
        )
        session = server.client("sts").assume_role(
            RoleArn="arn:aws:iam::000000000000:role/sender", RoleSessionName="me"
        )
        sqs = server.client("sqs", access_key=session["Credentials"]["AccessKeyId"])
        url = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="b")
        sender = receive(sqs, url)[0]["Attributes"]["SenderId"]
        assert sender == session["AssumedRoleUser"]["AssumedRoleId"]
        assert sender.startswith("AROA")
        assert sender.endswith(":me")
