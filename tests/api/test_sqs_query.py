"""The legacy query protocol by raw HTTP, side by side with the JSON one."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest

from lambent.testing.server import ServerProcess
from tests.api.sqs_queues import refusal

Unique = Callable[[str], str]
NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=00"
NAMES = {"q": NAMESPACE}


class Query:
    """Speaks the query protocol to a server."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def __call__(
        self, action: str, path: str = "/", method: str = "POST", **parameters: str
    ) -> tuple[int, ElementTree.Element]:
        """Status and document of an answer; dots in parameter names are written as double underscores."""
        form = {"Action": action, "Version": "2012-11-05"}
        form.update({name.replace("__", "."): value for name, value in parameters.items()})
        encoded = urllib.parse.urlencode(form)
        headers = {"Authorization": AUTHORIZATION}
        if method == "GET":
            request = urllib.request.Request(f"{self.endpoint}{path}?{encoded}", headers=headers)
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            request = urllib.request.Request(f"{self.endpoint}{path}", data=encoded.encode(), headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, ElementTree.fromstring(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ElementTree.fromstring(error.read())

    def texts(self, document: ElementTree.Element, path: str) -> list[str]:
        """The texts of all elements at `path`, whose names are without their namespace."""
        steps = "/".join(f"q:{step}" for step in path.split("/"))
        return [element.text or "" for element in document.findall(f".//{steps}", NAMES)]


@pytest.fixture
def query(server: ServerProcess) -> Query:
    return Query(server.endpoint)


@pytest.fixture
def sqs(aws: Callable[..., Any]) -> Any:
    return aws("sqs")


def test_a_queue_by_form(query: Query, sqs: Any, unique: Unique) -> None:
    name = unique("q")
    status, created = query(
        "CreateQueue",
        QueueName=name,
        Attribute__1__Name="VisibilityTimeout",
        Attribute__1__Value="40",
        Tag__1__Key="a",
        Tag__1__Value="b",
    )
    assert status == 200
    assert created.tag == f"{{{NAMESPACE}}}CreateQueueResponse"
    [url] = query.texts(created, "CreateQueueResult/QueueUrl")
    assert query.texts(created, "ResponseMetadata/RequestId")
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    path = f"/000000000000/{name}"
    _, found = query("GetQueueAttributes", path, AttributeName__1="All")
    pairs = zip(query.texts(found, "Attribute/Name"), query.texts(found, "Attribute/Value"), strict=True)
    assert dict(pairs)["VisibilityTimeout"] == "40"
    status, changed = query("SetQueueAttributes", path, Attribute__Name="VisibilityTimeout", Attribute__Value="50")
    assert status == 200
    assert not changed.findall("q:SetQueueAttributesResult", NAMES)
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"] == {
        "VisibilityTimeout": "50"
    }
    _, tags = query("ListQueueTags", path)
    assert (query.texts(tags, "Tag/Key"), query.texts(tags, "Tag/Value")) == (["a"], ["b"])
    _, listed = query("ListQueues", method="GET", QueueNamePrefix=name)
    assert query.texts(listed, "ListQueuesResult/QueueUrl") == [url]
    assert query("DeleteQueue", path)[0] == 200


def test_messages_are_the_same_in_both_protocols(query: Query, sqs: Any, unique: Unique) -> None:
    name = unique("q")
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    path = f"/000000000000/{name}"
    _, sent = query(
        "SendMessage",
        path,
        MessageBody="a<b>&\n",
        MessageAttribute__1__Name="B",
        MessageAttribute__1__Value__DataType="Binary",
        MessageAttribute__1__Value__BinaryValue="AP8=",
    )
    [message] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=1)["Messages"]
    assert query.texts(sent, "SendMessageResult/MessageId") == [message["MessageId"]]
    assert query.texts(sent, "SendMessageResult/MD5OfMessageBody") == [message["MD5OfBody"]]
    assert query.texts(sent, "SendMessageResult/MD5OfMessageAttributes") == [message["MD5OfMessageAttributes"]]
    assert message["Body"] == "a<b>&\n"
    assert message["MessageAttributes"]["B"]["BinaryValue"] == b"\x00\xff"
    _, got = query(
        "ReceiveMessage", path, AttributeName__1="All", MessageAttributeName__1="All", VisibilityTimeout="30"
    )
    assert query.texts(got, "Message/Body") == ["a<b>&\n"]
    assert "SenderId" in query.texts(got, "Message/Attribute/Name")
    assert query.texts(got, "Message/MessageAttribute/Value/BinaryValue") == ["AP8="]
    [handle] = query.texts(got, "Message/ReceiptHandle")
    assert query("ChangeMessageVisibility", path, ReceiptHandle=handle, VisibilityTimeout="60")[0] == 200
    _, deleted = query(
        "DeleteMessageBatch",
        path,
        DeleteMessageBatchRequestEntry__1__Id="x",
        DeleteMessageBatchRequestEntry__1__ReceiptHandle=handle,
        DeleteMessageBatchRequestEntry__2__Id="y",
        DeleteMessageBatchRequestEntry__2__ReceiptHandle="nonsense",
    )
    assert query.texts(deleted, "DeleteMessageBatchResultEntry/Id") == ["x"]
    assert query.texts(deleted, "BatchResultErrorEntry/Code") == ["ReceiptHandleIsInvalid"]
    _, batch = query(
        "SendMessageBatch",
        path,
        SendMessageBatchRequestEntry__1__Id="one",
        SendMessageBatchRequestEntry__1__MessageBody="1",
        SendMessageBatchRequestEntry__2__Id="two",
        SendMessageBatchRequestEntry__2__MessageBody="2",
    )
    assert query.texts(batch, "SendMessageBatchResultEntry/Id") == ["one", "two"]


def test_errors_are_the_same_but_for_one_text(query: Query, sqs: Any, unique: Unique) -> None:
    name = unique("q")
    status, missing = query("GetQueueUrl", QueueName=name)
    assert status == 400
    assert query.texts(missing, "Error/Type") == ["Sender"]
    assert query.texts(missing, "Error/Code") == ["AWS.SimpleQueueService.NonExistentQueue"]
    assert query.texts(missing, "Error/Message") == ["The specified queue does not exist for this wsdl version."]
    assert query.texts(missing, "Error/Detail") == [""]
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    path = f"/000000000000/{name}"
    for action, parameters, call in (
        ("SendMessage", {}, lambda: sqs.send_message(QueueUrl=url, MessageBody="")),
        (
            "ReceiveMessage",
            {"MaxNumberOfMessages": "11"},
            lambda: sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=11),
        ),
        ("SendMessageBatch", {}, lambda: sqs.send_message_batch(QueueUrl=url, Entries=[])),
        (
            "DeleteMessage",
            {"ReceiptHandle": "nonsense"},
            lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="nonsense"),
        ),
        (
            "SetQueueAttributes",
            {"Attribute__1__Name": "Nonsense", "Attribute__1__Value": "1"},
            lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"Nonsense": "1"}),
        ),
    ):  # fmt: skip
        _, failed = query(action, path, **parameters)
        [code], [message] = query.texts(failed, "Error/Code"), query.texts(failed, "Error/Message")
        assert (code, message) == refusal(call)
    assert query("Nonsense")[0] == 400
    assert query.texts(query("SendMessage", MessageBody="b")[1], "Error/Code") == ["MissingParameter"]
