"""REST routes: literals, labels, greedy labels, query discriminators."""

from __future__ import annotations

import time

import pytest

from lambent.core.errors import AwsError, UnknownOperation
from lambent.server.protocol import ServiceModels
from lambent.server.protocol.faults import InvalidAction
from lambent.server.protocol.routing import Router, RouteSpec
from lambent.server.wire import WireRequest

MODELS = ServiceModels()
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


@pytest.mark.parametrize(
    ("method", "path", "query", "operation", "labels"),
    [
        ("GET", "/2015-03-31/functions", "", "ListFunctions", {}),
        ("GET", "/2015-03-31/functions/", "", "ListFunctions", {}),
        ("POST", "/2015-03-31/functions", "", "CreateFunction", {}),
        ("GET", "/2015-03-31/functions/f", "Qualifier=1", "GetFunction", {"FunctionName": "f"}),
        ("GET", f"/2015-03-31/functions/{ARN.replace(':', '%3A')}", "", "GetFunction", {"FunctionName": ARN}),
        ("GET", f"/2015-03-31/functions/{ARN}", "", "GetFunction", {"FunctionName": ARN}),
        ("POST", "/2015-03-31/functions/f/invocations", "", "Invoke", {"FunctionName": "f"}),
        ("POST", "/2014-11-13/functions/f/invoke-async", "", "InvokeAsync", {"FunctionName": "f"}),
        ("POST", "/2014-11-13/functions/f/invoke-async/", "", "InvokeAsync", {"FunctionName": "f"}),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency",
            "List=ALL",
            "ListProvisionedConcurrencyConfigs",
            {"FunctionName": "f"},
        ),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency",
            "Qualifier=1",
            "GetProvisionedConcurrencyConfig",
            {"FunctionName": "f"},
        ),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency",
            "",
            "GetProvisionedConcurrencyConfig",
            {"FunctionName": "f"},
        ),
        ("GET", "/2018-10-31/layers", "", "ListLayers", {}),
        ("GET", "/2018-10-31/layers", "find=LayerVersion&Arn=x", "GetLayerVersionByArn", {}),
        ("GET", "/2018-10-31/layers", "find=LayerVersion", "GetLayerVersionByArn", {}),
        ("DELETE", "/2017-03-31/tags/arn%3Aaws", "", "UntagResource", {"Resource": "arn:aws"}),
        ("GET", "/2015-03-31/functions/a%2Fb", "", "GetFunction", {"FunctionName": "a/b"}),
    ],
)
def test_lambda_routes(method: str, path: str, query: str, operation: str, labels: dict[str, str]) -> None:
    assert MODELS.service("lambda").route(method, path, query) == (operation, labels)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/2015-03-31/nothing"),
        ("PATCH", "/2015-03-31/functions"),
        ("GET", "/"),
        ("GET", "/2015-03-31/functions//code"),
    ],
)
def test_places_that_do_not_exist(method: str, path: str) -> None:
    assert MODELS.service("lambda").route(method, path, "") is None


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("GET", "/b", "", {}, "ListObjects"),
        ("GET", "/b/", "list-type=2", {}, "ListObjectsV2"),
        ("GET", "/b", "list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("GET", "/b", "versions", {}, "ListObjectVersions"),
        ("GET", "/b", "uploads=", {}, "ListMultipartUploads"),
        ("GET", "/b", "lifecycle", {}, "GetBucketLifecycleConfiguration"),
        ("GET", "/b", "notification", {}, "GetBucketNotificationConfiguration"),
        ("HEAD", "/b/k", "", {}, "HeadObject"),
        ("POST", "/b", "delete", {}, "DeleteObjects"),
        ("POST", "/b/k", "uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k", "uploadId=1", {}, "CompleteMultipartUpload"),
        ("PUT", "/b/k", "", {}, "PutObject"),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "a/b"}, "CopyObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=1", {}, "UploadPart"),
        ("PUT", "/b/k", "partNumber=1&uploadId=1", {"x-amz-copy-source": "a/b"}, "UploadPartCopy"),
        ("GET", "/b/k", "uploadId=1", {}, "ListParts"),
        ("DELETE", "/b/k", "uploadId=1", {}, "AbortMultipartUpload"),
        ("DELETE", "/b/k", "tagging", {}, "DeleteObjectTagging"),
    ],
)
def test_s3_operations_share_places(
    method: str, path: str, query: str, headers: dict[str, str], operation: str
) -> None:
    found = MODELS.service("s3").route(method, path, query, headers)
    assert found is not None
    assert found[0] == operation


def test_greedy_labels_keep_their_slashes() -> None:
    s3 = MODELS.service("s3")
    assert s3.route("GET", "/b/a/b%20c//d/", "") == ("GetObject", {"Bucket": "b", "Key": "a/b c//d/"})


def test_literals_may_follow_a_greedy_label() -> None:
    router = Router(
        [
            RouteSpec(operation="Tail", method="GET", uri="/x/{Key+}/meta"),
            RouteSpec(operation="All", method="GET", uri="/x/{Key+}"),
        ]
    )
    assert router.match("GET", "/x/a/b/meta", "") == ("Tail", {"Key": "a/b"})
    assert router.match("GET", "/x/a/b/meta/c", "") == ("All", {"Key": "a/b/meta/c"})


def test_a_literal_goes_before_a_label_and_a_dead_end_is_left_again() -> None:
    router = Router(
        [
            RouteSpec(operation="Literal", method="GET", uri="/a/list/x"),
            RouteSpec(operation="Label", method="GET", uri="/a/{Name}/y"),
        ]
    )
    assert router.match("GET", "/a/list/x", "") == ("Literal", {})
    assert router.match("GET", "/a/list/y", "") == ("Label", {"Name": "list"})


def test_labels_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(AwsError) as caught:
        MODELS.service("lambda").route("GET", "/2015-03-31/functions/%ff", "")
    assert caught.value.code == "SerializationException"


def test_cost_does_not_grow_with_the_number_of_operations() -> None:
    def router(size: int) -> Router:
        return Router(
            RouteSpec(operation=f"Op{n}", method="GET", uri=f"/v1/things{n}/{{Id}}/part") for n in range(size)
        )

    def cost(routes: Router) -> float:
        best = 1.0
        for _ in range(15):
            start = time.perf_counter()
            for _ in range(200):
                routes.match("GET", "/v1/things1/x/part", "")
            best = min(best, time.perf_counter() - start)
        return best

    assert cost(router(4000)) < 4 * cost(router(4))


def request(**fields: object) -> WireRequest:
    return WireRequest(**{"method": "POST", "path": "/", "query": "", "headers": {}, "body": b"", **fields})  # type: ignore[arg-type]


def test_targets_and_actions_name_operations() -> None:
    sqs = MODELS.service("sqs")
    found, _ = sqs.find(request(headers={"x-amz-target": "AmazonSQS.SendMessage"}))
    assert (found.name, found.protocol) == ("SendMessage", "json")
    found, _ = sqs.find(request(body=b"Version=2012-11-05&Action=SendMessage&MessageBody=Action=x"))
    assert (found.name, found.protocol) == ("SendMessage", "query")
    found, _ = sqs.find(request(method="GET", query="Action=ListQueues&Version=2012-11-05"))
    assert (found.name, found.protocol) == ("ListQueues", "query")


def test_unknown_operations_are_refused_in_the_words_of_the_protocol() -> None:
    sqs = MODELS.service("sqs")
    with pytest.raises(UnknownOperation):
        sqs.find(request(headers={"x-amz-target": "AmazonSQS.Nope"}))
    with pytest.raises(UnknownOperation):
        sqs.find(request(headers={"x-amz-target": "Other.SendMessage"}))
    with pytest.raises(InvalidAction, match="The action Nope is not valid for this web service"):
        sqs.find(request(body=b"Action=Nope"))
    with pytest.raises(InvalidAction):
        sqs.find(request(body=b"MessageBody=Action=SendMessage"))
    with pytest.raises(UnknownOperation):
        MODELS.service("lambda").find(request(path="/nowhere"))
