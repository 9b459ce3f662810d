"""Queues: creating, finding, changing, tagging, deleting; boto3 against a real server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambent.testing.server import ServerProcess
from tests.api.sqs_queues import arn_of, refusal

Unique = Callable[[str], str]
Aws = Callable[..., Any]
PLAIN = {
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "DelaySeconds",
    "LastModifiedTimestamp",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "QueueArn",
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
}
NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


@pytest.fixture
def sqs(aws: Aws) -> Any:
    return aws("sqs")


def test_a_queue_is_created_found_and_deleted(sqs: Any, server: ServerProcess, unique: Unique) -> None:
    name = unique("q")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    assert url == f"{server.endpoint}/000000000000/{name}"
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert arn_of(sqs, url) == f"arn:aws:sqs:us-east-1:000000000000:{name}"
    sqs.delete_queue(QueueUrl=url)
    assert refusal(lambda: sqs.delete_queue(QueueUrl=url)) == NO_QUEUE
    assert refusal(lambda: sqs.get_queue_url(QueueName=name)) == NO_QUEUE


def test_errors_are_what_clients_catch(sqs: Any, unique: Unique) -> None:
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as failed:
        sqs.get_queue_url(QueueName=unique("q"))
    error = failed.value.response["Error"]
    assert error == {
        "Message": "The specified queue does not exist.",
        "Code": "AWS.SimpleQueueService.NonExistentQueue",
        "QueryErrorCode": "QueueDoesNotExist",
        "Type": "Sender",
    }
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_all_attributes_of_a_plain_queue(sqs: Any, unique: Unique) -> None:
    url = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes.keys() == PLAIN
    assert attributes["CreatedTimestamp"].isdigit()
    assert len(attributes["CreatedTimestamp"]) == 10
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url)
    fifo = sqs.create_queue(QueueName=unique("q") + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    assert sqs.get_queue_attributes(QueueUrl=fifo, AttributeNames=["All"])["Attributes"].keys() == PLAIN | {
        "ContentBasedDeduplication",
        "DeduplicationScope",
        "FifoQueue",
        "FifoThroughputLimit",
    }
    unknown = refusal(lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Nonsense"]))
    assert unknown == ("InvalidAttributeName", "Unknown Attribute Nonsense.")


def test_creating_a_queue_again(sqs: Any, unique: Unique) -> None:
    name = unique("q")
    url = sqs.create_queue(QueueName=name, Attributes={"DelaySeconds": "3"})["QueueUrl"]
    assert sqs.create_queue(QueueName=name)["QueueUrl"] == url
    assert sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"}, tags={"a": "b"})["QueueUrl"] == url
    with pytest.raises(sqs.exceptions.QueueNameExists) as failed:
        sqs.create_queue(QueueName=name, Attributes={"DelaySeconds": "4"})
    error = failed.value.response["Error"]
    assert (error["Code"], error["Message"]) == (
        "QueueAlreadyExists",
        "A queue already exists with the same name and a different value for attribute DelaySeconds",
    )


@pytest.mark.parametrize(
    ("name", "attributes", "code"),
    [
        ("has space", {}, "InvalidParameterValue"),
        ("q.fifo", {}, "InvalidParameterValue"),
        ("q", {"FifoQueue": "true"}, "InvalidParameterValue"),
        ("q", {"FifoQueue": "false"}, "InvalidAttributeName"),
        ("q", {"Nonsense": "1"}, "InvalidAttributeName"),
        ("q", {"DelaySeconds": "901"}, "InvalidAttributeValue"),
        ("q", {"ContentBasedDeduplication": "true"}, "InvalidAttributeName"),
    ],
)
def test_queues_that_cannot_be(sqs: Any, name: str, attributes: dict[str, str], code: str) -> None:
    assert refusal(lambda: sqs.create_queue(QueueName=name, Attributes=attributes))[0] == code


def test_attributes_are_changed(sqs: Any, unique: Unique) -> None:
    url = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7", "KmsMasterKeyId": "alias/k"})
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["VisibilityTimeout"], found["SqsManagedSseEnabled"]) == ("7", "false")
    answer = sqs.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": "alias/k"})
    assert "Attributes.KmsMasterKeyId" in answer["ResponseMetadata"]["HTTPHeaders"]["x-lambent-simulated"]
    assert refusal(lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "-1"})) == (
        "InvalidAttributeValue",
        "Invalid value for the parameter DelaySeconds.",
    )
    assert refusal(lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={}))[0] == "MissingParameter"


def test_lists_in_pages(aws: Aws, unique: Unique) -> None:
    sqs = aws("sqs", access_key="123456789012")
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix=unique("none"))
    prefix = unique("p")
    urls = [sqs.create_queue(QueueName=f"{prefix}-{number}")["QueueUrl"] for number in range(5)]
    sqs.create_queue(QueueName=prefix.upper() + "-other")
    whole = sqs.list_queues(QueueNamePrefix=prefix)
    assert (whole["QueueUrls"], "NextToken" in whole) == (urls, False)
    pages = list(sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2}))
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    for wrong in (0, 1001):
        assert refusal(partial(sqs.list_queues, MaxResults=wrong))[0] == "InvalidParameterValue"
    assert refusal(lambda: sqs.list_queues(MaxResults=2, NextToken="forged"))[0] == "InvalidParameterValue"


def test_regions_and_accounts_are_apart(aws: Aws, unique: Unique) -> None:
    name = unique("q")
    aws("sqs").create_queue(QueueName=name)
    for options in ({"region": "eu-west-1"}, {"access_key": "222222222222"}):
        with pytest.raises(ClientError):
            aws("sqs", **options).get_queue_url(QueueName=name)


def test_tags(sqs: Any, unique: Unique) -> None:
    url = sqs.create_queue(QueueName=unique("q"), tags={"a": "1", "b": ""})["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "1", "b": ""}
    sqs.tag_queue(QueueUrl=url, Tags={"b": "2", "c": "3"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["a", "nothing"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2", "c": "3"}
    sqs.untag_queue(QueueUrl=url, TagKeys=["b", "c"])
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)
    too_many = {str(number): "v" for number in range(51)}
    assert refusal(lambda: sqs.tag_queue(QueueUrl=url, Tags=too_many))[0] == "InvalidParameterValue"
    assert refusal(lambda: sqs.tag_queue(QueueUrl=url, Tags={"k" * 129: "v"}))[0] == "InvalidParameterValue"
    assert refusal(lambda: sqs.tag_queue(QueueUrl=url, Tags={}))[0] == "MissingParameter"


def test_every_form_of_a_queue_url_works(aws: Aws, server: ServerProcess, unique: Unique) -> None:
    sqs, name = aws("sqs"), unique("q")
    sqs.create_queue(QueueName=name)
    for form in (
        name,
        f"{server.endpoint}/queue/us-east-1/000000000000/{name}",
        f"https://sqs.us-east-1.amazonaws.com/000000000000/{name}",
        f"https://us-east-1.queue.amazonaws.com/000000000000/{name}",
        f"/000000000000/{name}",
    ):
        assert sqs.get_queue_attributes(QueueUrl=form, AttributeNames=["QueueArn"])["Attributes"]
    assert refusal(lambda: sqs.list_queue_tags(QueueUrl=f"{server.endpoint}/nonsense"))[0] == "InvalidAddress"


def test_a_deleted_name_is_free_at_once_unless_strict(sqs: Any, unique: Unique) -> None:
    name = unique("q")
    sqs.delete_queue(QueueUrl=sqs.create_queue(QueueName=name)["QueueUrl"])
    sqs.delete_queue(QueueUrl=sqs.create_queue(QueueName=name)["QueueUrl"])
    with ServerProcess("--strict-aws") as strict:
        sqs = strict.client("sqs")
        sqs.delete_queue(QueueUrl=sqs.create_queue(QueueName=name)["QueueUrl"])
        assert refusal(lambda: sqs.create_queue(QueueName=name)) == (
            "AWS.SimpleQueueService.QueueDeletedRecently",
            "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
        )
        strict.restart()
        with pytest.raises(ClientError):
            strict.client("sqs").create_queue(QueueName=name)
