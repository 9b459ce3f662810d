"""SQS's older protocol, with the names of its API version 2012-11-05."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

from lambent.server.protocol import ServiceModels
from lambent.server.wire import WireRequest

SQS = ServiceModels().service("sqs")
NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"
ATTRIBUTE = {"DataType": "Binary", "BinaryValue": b"hi"}

REQUESTS: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    (
        "CreateQueue",
        {
            "QueueName": "q",
            "Attribute.1.Name": "DelaySeconds",
            "Attribute.1.Value": "3",
            "Tag.1.Key": "k",
            "Tag.1.Value": "v",
        },
        {"QueueName": "q", "Attributes": {"DelaySeconds": "3"}, "tags": {"k": "v"}},
    ),
    (
        "GetQueueUrl",
        {"QueueName": "q", "QueueOwnerAWSAccountId": "1"},
        {"QueueName": "q", "QueueOwnerAWSAccountId": "1"},
    ),
    ("ListQueues", {"QueueNamePrefix": "a", "MaxResults": "5"}, {"QueueNamePrefix": "a", "MaxResults": 5}),
    (
        "GetQueueAttributes",
        {"AttributeName.1": "All", "AttributeName.2": "Policy"},
        {"AttributeNames": ["All", "Policy"]},
    ),
    ("SetQueueAttributes", {"Attribute.Name": "a", "Attribute.Value": "b"}, {"Attributes": {"a": "b"}}),
    (
        "SendMessage",
        {
            "MessageBody": "a&b",
            "DelaySeconds": "0",
            "MessageAttribute.1.Name": "x",
            "MessageAttribute.1.Value.DataType": "Binary",
            "MessageAttribute.1.Value.BinaryValue": "aGk=",
            "MessageSystemAttribute.1.Name": "AWSTraceHeader",
            "MessageSystemAttribute.1.Value.DataType": "String",
            "MessageSystemAttribute.1.Value.StringValue": "t",
        },
        {
            "MessageBody": "a&b",
            "DelaySeconds": 0,
            "MessageAttributes": {"x": ATTRIBUTE},
            "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "t"}},
        },
    ),
    (
        "SendMessageBatch",
        {
            "SendMessageBatchRequestEntry.1.Id": "a",
            "SendMessageBatchRequestEntry.1.MessageBody": "b",
            "SendMessageBatchRequestEntry.1.MessageAttribute.1.Name": "x",
            "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType": "Binary",
            "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.BinaryValue": "aGk=",
        },
        {"Entries": [{"Id": "a", "MessageBody": "b", "MessageAttributes": {"x": ATTRIBUTE}}]},
    ),
    (
        "ReceiveMessage",
        {"AttributeName.1": "All", "MessageAttributeName.1": "x", "MaxNumberOfMessages": "10"},
        {"AttributeNames": ["All"], "MessageAttributeNames": ["x"], "MaxNumberOfMessages": 10},
    ),
    (
        "DeleteMessageBatch",
        {"DeleteMessageBatchRequestEntry.1.Id": "a", "DeleteMessageBatchRequestEntry.1.ReceiptHandle": "r"},
        {"Entries": [{"Id": "a", "ReceiptHandle": "r"}]},
    ),
    (
        "ChangeMessageVisibilityBatch",
        {
            "ChangeMessageVisibilityBatchRequestEntry.1.Id": "a",
            "ChangeMessageVisibilityBatchRequestEntry.1.ReceiptHandle": "r",
            "ChangeMessageVisibilityBatchRequestEntry.1.VisibilityTimeout": "5",
        },
        {"Entries": [{"Id": "a", "ReceiptHandle": "r", "VisibilityTimeout": 5}]},
    ),
    ("TagQueue", {"Tag.1.Key": "k", "Tag.1.Value": ""}, {"Tags": {"k": ""}}),
    ("UntagQueue", {"TagKey.1": "k"}, {"TagKeys": ["k"]}),
    (
        "AddPermission",
        {"Label": "l", "AWSAccountId.1": "1", "ActionName.1": "SendMessage"},
        {"Label": "l", "AWSAccountIds": ["1"], "Actions": ["SendMessage"]},
    ),
]


@pytest.mark.parametrize(("action", "form", "params"), REQUESTS, ids=[case[0] for case in REQUESTS])
def test_requests(action: str, form: dict[str, str], params: dict[str, Any]) -> None:
    body = urlencode({"Action": action, "Version": "2012-11-05", **form}).encode()
    request = WireRequest(method="POST", path="/", query="", headers={}, body=body)
    operation, labels = SQS.find(request)
    assert (operation.name, operation.protocol) == (action, "query")
    assert operation.parse(request, labels) == params
    read = WireRequest(method="GET", path="/", query=body.decode(), headers={})
    assert operation.parse(read, {}) == params


def test_the_path_names_the_queue_where_no_parameter_does() -> None:
    operation = SQS.operation("PurgeQueue", "query")

    def queue(path: str, body: bytes) -> object:
        request = WireRequest(method="POST", path=path, query="", headers={}, body=body)
        return operation.parse(request, {}).get("QueueUrl")

    assert queue("/000000000000/q", b"Action=PurgeQueue") == "/000000000000/q"
    assert queue("/000000000000/q", b"Action=PurgeQueue&QueueUrl=http://x/1/other") == "http://x/1/other"
    assert queue("/", b"Action=PurgeQueue") is None


def names(element: ElementTree.Element) -> list[str]:
    return [child.tag.removeprefix(NAMESPACE) for child in element]


def answer(action: str, output: dict[str, Any]) -> ElementTree.Element:
    response = SQS.operation(action, "query").render(output, request_id="request-1", headers={})
    assert isinstance(response.body, bytes)
    assert dict(response.headers)["Content-Type"] == "text/xml"
    root = ElementTree.fromstring(response.body)
    assert root.tag == f"{NAMESPACE}{action}Response"
    assert root.findtext(f"{NAMESPACE}ResponseMetadata/{NAMESPACE}RequestId") == "request-1"
    return root


def result(action: str, output: dict[str, Any]) -> ElementTree.Element:
    return answer(action, output)[0]


def test_responses() -> None:
    assert names(result("ListQueues", {"QueueUrls": ["a", "b"], "NextToken": "t"})) == [
        "QueueUrl",
        "QueueUrl",
        "NextToken",
    ]
    assert names(result("ListDeadLetterSourceQueues", {"queueUrls": ["a"]})) == ["QueueUrl"]
    attributes = result("GetQueueAttributes", {"Attributes": {"a": "1", "b": "2"}})
    assert names(attributes) == ["Attribute", "Attribute"]
    assert names(attributes[0]) == ["Name", "Value"]
    batch = {"Successful": [{"Id": "a", "MessageId": "m"}], "Failed": [{"Id": "b", "SenderFault": True}]}
    assert names(result("SendMessageBatch", batch)) == ["SendMessageBatchResultEntry", "BatchResultErrorEntry"]
    assert names(result("DeleteMessageBatch", {"Successful": [{"Id": "a"}]})) == ["DeleteMessageBatchResultEntry"]
    tags = result("ListQueueTags", {"Tags": {"k": "v"}})
    assert (names(tags), names(tags[0])) == (["Tag"], ["Key", "Value"])
    moves = result("ListMessageMoveTasks", {"Results": [{"Status": "RUNNING"}]})
    assert names(moves) == ["ListMessageMoveTasksResultEntry"]


def test_received_messages() -> None:
    message = {
        "MessageId": "m",
        "Body": "<&>\r\n",
        "Attributes": {"SentTimestamp": "1"},
        "MessageAttributes": {"x": ATTRIBUTE},
    }
    received = result("ReceiveMessage", {"Messages": [message, {"MessageId": "n"}]})
    assert names(received) == ["Message", "Message"]
    first = received[0]
    assert names(first) == ["MessageId", "Body", "Attribute", "MessageAttribute"]
    assert first.findtext(f"{NAMESPACE}Body") == "<&>\r\n"
    assert names(first[2]) == ["Name", "Value"]
    assert names(first[3]) == ["Name", "Value"]
    assert names(first[3][1]) == ["DataType", "BinaryValue"]


@pytest.mark.parametrize("action", ["DeleteMessage", "PurgeQueue", "TagQueue", "AddPermission", "SetQueueAttributes"])
def test_actions_without_output_have_no_result_element(action: str) -> None:
    assert names(answer(action, {})) == ["ResponseMetadata"]
    assert SQS.operation(action, "json").render({}, request_id="r", headers={}).body == b""


def test_the_json_protocol_keeps_its_own_names() -> None:
    response = SQS.operation("ListQueues").render({"QueueUrls": ["a"]}, request_id="r", headers={})
    assert response.body == b'{"QueueUrls":["a"]}'
    assert response.headers == [("x-amzn-RequestId", "r"), ("Content-Type", "application/x-amz-json-1.0")]
