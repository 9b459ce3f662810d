"""Event source mappings with boto3: the wire, the states that waiters see, tags, and the article's own calls."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.api.event_sources_server import ServedMappings
from tests.unit.event_sources.fakes import FIFO, FUNCTION, QUEUE, Function, Queue

ARTICLE_QUEUE = "arn:aws:sqs:us-east-1:000000000000:transactions-queue"


def client(server: ServedMappings) -> Any:
    return boto3.client(
        "lambda",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}),
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServedMappings]:
    with ServedMappings(tmp_path) as served:
        yield served


@pytest.fixture
def lambda_(server: ServedMappings) -> Any:
    return client(server)


def refused(call: Any, **params: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


def plainly(url: str, headers: dict[str, str], body: object = None) -> tuple[int, Any]:
    """Status and JSON of a GET, or of a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def status(response: dict[str, Any]) -> int:
    code: int = response["ResponseMetadata"]["HTTPStatusCode"]
    return code


def test_from_creation_to_deletion(server: ServedMappings, lambda_: Any) -> None:
    made = lambda_.create_event_source_mapping(FunctionName="f", EventSourceArn=QUEUE, BatchSize=7)
    uuid = made["UUID"]
    assert (status(made), made["State"], made["BatchSize"], len(uuid)) == (202, "Creating", 7, 36)
    assert made["LastModified"].timestamp() == server.clock.now()
    assert refused(lambda_.delete_event_source_mapping, UUID=uuid)[:2] == (400, "ResourceInUseException")

    server.settle()
    got = lambda_.get_event_source_mapping(UUID=uuid)
    assert (status(got), got["State"], got["StateTransitionReason"]) == (200, "Enabled", "USER_INITIATED")
    changed = lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)
    assert (status(changed), changed["State"]) == (202, "Disabling")
    server.settle()
    (listed,) = lambda_.list_event_source_mappings(FunctionName=FUNCTION)["EventSourceMappings"]
    assert (listed["UUID"], listed["State"]) == (uuid, "Disabled")

    gone = lambda_.delete_event_source_mapping(UUID=uuid)
    assert (status(gone), gone["State"]) == (202, "Deleting")
    server.settle()
    expected = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
    assert refused(lambda_.get_event_source_mapping, UUID=uuid) == expected


def test_exactly_these_members(server: ServedMappings) -> None:
    code, made = plainly(
        f"{server.url}/2015-03-31/event-source-mappings/",
        {
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
            "SignedHeaders=host, Signature=0"
        },
        {"FunctionName": "f", "EventSourceArn": QUEUE},
    )
    assert code == 202
    assert sorted(made) == [
        "BatchSize",
        "EventSourceArn",
        "EventSourceMappingArn",
        "FunctionArn",
        "FunctionResponseTypes",
        "LastModified",
        "MaximumBatchingWindowInSeconds",
        "State",
        "StateTransitionReason",
        "UUID",
    ]
    assert isinstance(made["LastModified"], float | int)


def test_everything_that_can_be_set(lambda_: Any) -> None:
    settings = {
        "BatchSize": 10_000,
        "MaximumBatchingWindowInSeconds": 300,
        "FilterCriteria": {"Filters": [{"Pattern": ' {"body": {"k": [{"exists": true}]}} '}]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ProvisionedPollerConfig": {"MinimumPollers": 2, "MaximumPollers": 10_000},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }
    made = lambda_.create_event_source_mapping(FunctionName="f", EventSourceArn=QUEUE, **settings)
    assert {name: made[name] for name in settings} == settings
    assert made["ResponseMetadata"]["HTTPHeaders"]["x-lambent-simulated"] == "MetricsConfig"


def test_the_block_of_the_article(server: ServedMappings, lambda_: Any) -> None:
    server.functions.there["transaction-processor", None] = Function()
    server.queues.there[ARTICLE_QUEUE] = Queue(visibility_timeout_s=60, max_receive_count=3)
    response = lambda_.create_event_source_mapping(
        FunctionName="arn:aws:lambda:us-east-1:123456789:function:transaction-processor",
        EventSourceArn="arn:aws:sqs:us-east-1:123456789:transactions-queue",
        BatchSize=100,
        MaximumBatchingWindowInSeconds=5,
        ProvisionedPollerConfig={"MinimumPollers": 10, "MaximumPollers": 500},
        ScalingConfig={"MaximumConcurrency": 1000},
        FilterCriteria={
            "Filters": [{"Pattern": '{"body": {"event_type": ["PAYMENT", "REFUND", "CHARGEBACK"]}}'}],
        },
    )
    assert response["UUID"]
    assert response["EventSourceArn"] == ARTICLE_QUEUE
    server.settle()
    changed = lambda_.update_event_source_mapping(
        UUID=response["UUID"],
        ProvisionedPollerConfig={"MinimumPollers": 20, "MaximumPollers": 2000},
        ScalingConfig={"MaximumConcurrency": 5000},
    )
    assert changed["ScalingConfig"] == {"MaximumConcurrency": 5000}


def test_strict_aws(tmp_path: Path) -> None:
    with ServedMappings(tmp_path, strict_aws=True) as server:
        create = client(server).create_event_source_mapping
        pollers = {"MinimumPollers": 2, "MaximumPollers": 5}
        code = "InvalidParameterValueException"
        both = {"ProvisionedPollerConfig": pollers, "ScalingConfig": {"MaximumConcurrency": 5}}
        assert refused(create, FunctionName="f", EventSourceArn=QUEUE, **both) == (
            400,
            code,
            "Maximum concurrency and provisioned mode cannot be configured together for an event source mapping.",
        )
        more = {"ScalingConfig": {"MaximumConcurrency": 5000}}
        assert refused(create, FunctionName="f", EventSourceArn=QUEUE, **more) == (
            400,
            "ValidationException",
            "1 validation error detected: Value '5000' at 'scalingConfig.maximumConcurrency' failed to satisfy "
            "constraint: Member must have value less than or equal to 1000",
        )
        short = "arn:aws:sqs:us-east-1:123456789:q"
        assert refused(create, FunctionName="f", EventSourceArn=short)[:2] == (400, "ValidationException")


@pytest.mark.parametrize(
    "more",
    [
        {"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k"},
        {"ProvisionedPollerConfig": {"PollerGroupName": "group"}},
        {"SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": "arn:aws:secretsmanager:x"}]},
        {"StartingPosition": "LATEST"},
        {"BisectBatchOnFunctionError": True},
    ],
)
def test_nothing_is_taken_and_ignored(lambda_: Any, more: dict[str, Any]) -> None:
    create = lambda_.create_event_source_mapping
    code = refused(create, FunctionName="f", EventSourceArn=QUEUE, **more)[:2]
    assert code == (400, "InvalidParameterValueException")


def test_a_second_mapping_of_the_pair(lambda_: Any) -> None:
    create = lambda_.create_event_source_mapping
    uuid = create(FunctionName="f", EventSourceArn=QUEUE)["UUID"]
    code, name, message = refused(create, FunctionName="f", EventSourceArn=QUEUE)
    assert (code, name) == (409, "ResourceConflictException")
    assert message.endswith(f"Please update or delete the existing mapping with UUID {uuid}")


def test_pages(lambda_: Any) -> None:
    create = lambda_.create_event_source_mapping
    uuids = {create(FunctionName="f", EventSourceArn=arn, Enabled=False)["UUID"] for arn in (QUEUE, FIFO)}
    pages = list(lambda_.get_paginator("list_event_source_mappings").paginate(PaginationConfig={"PageSize": 1}))
    assert [len(page["EventSourceMappings"]) for page in pages] == [1, 1]
    assert {entry["UUID"] for page in pages for entry in page["EventSourceMappings"]} == uuids


def test_tags(lambda_: Any) -> None:
    made = lambda_.create_event_source_mapping(FunctionName="f", EventSourceArn=QUEUE, Tags={"team": "payments"})
    arn = made["EventSourceMappingArn"]
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"team": "payments"}
    lambda_.tag_resource(Resource=arn, Tags={"stage": "test"})
    lambda_.untag_resource(Resource=arn, TagKeys=["team"])
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"stage": "test"}
    missing = f"{arn[:-1]}{'0' if arn[-1] != '0' else '1'}"
    expected = (404, "ResourceNotFoundException", f"Event source mapping not found: {missing}")
    assert refused(lambda_.list_tags, Resource=missing) == expected


def test_what_people_are_told(server: ServedMappings, lambda_: Any) -> None:
    server.queues.there[QUEUE] = Queue(max_receive_count=3)
    uuid = lambda_.create_event_source_mapping(FunctionName="f", EventSourceArn=QUEUE)["UUID"]
    server.settle()
    del server.functions.there["f", None]
    url = f"{server.url}/_lambent/event-sources"
    code, (row,) = plainly(url, {"X-Lambent": "1"})
    assert code == 200
    assert (row["uuid"], row["state"], row["pollers"]) == (uuid, "Enabled", {"pollers": 5})
    assert row["problems"] == ["the function does not exist: messages are received, and come back"]
    assert row["warnings"][0].startswith("maxReceiveCount is 3")
    assert plainly(url, {})[0] == 403
