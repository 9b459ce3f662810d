"""What is refused, in AWS's words; and what Lambent takes although AWS does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.errors import AwsError
from lambent.core.operations import Scope
from lambent.event_sources import references, validation
from lambent.event_sources.errors import InvalidParameterValue
from lambent.event_sources.model import ProvisionedPollers, Settings
from tests.unit.event_sources.conftest import Room
from tests.unit.event_sources.fakes import FIFO, FUNCTION, QUEUE, SCOPE, Function, Queue

INVALID = "InvalidParameterValueException"
NO_FILTER = "Invalid filter pattern definition."
NO_WINDOW = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
BOTH = "Maximum concurrency and provisioned mode cannot be configured together for an event source mapping."
ARTICLE: dict[str, Any] = {
    "FunctionName": "arn:aws:lambda:us-east-1:123456789:function:transaction-processor",
    "EventSourceArn": "arn:aws:sqs:us-east-1:123456789:transactions-queue",
    "BatchSize": 100,
    "MaximumBatchingWindowInSeconds": 5,
    "ProvisionedPollerConfig": {"MinimumPollers": 10, "MaximumPollers": 500},
    "ScalingConfig": {"MaximumConcurrency": 1000},
    "FilterCriteria": {"Filters": [{"Pattern": '{"body": {"event_type": ["PAYMENT", "REFUND", "CHARGEBACK"]}}'}]},
}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"EventSourceArn": None}, "Unrecognized event source."),
        ({"EventSourceArn": "arn:aws:s3:::bucket"}, "Unrecognized event source."),
        ({"StartingPosition": "LATEST"}, "StartingPosition is not valid for SQS event sources."),
        (
            {"DestinationConfig": {"OnSuccess": {"Destination": QUEUE}}},
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        ),
        (
            {"ParallelizationFactor": 2},
            "Unsupported ParallelizationFactor parameter for given event source mapping type.",
        ),
        ({"FilterCriteria": {"Filters": [{"Pattern": "text"}]}}, NO_FILTER),
        ({"FilterCriteria": {"Filters": [{}]}}, NO_FILTER),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"body": {"a": []}}'}]}}, NO_FILTER),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"body": {"a": "b"}}'}]}}, NO_FILTER),
        ({"BatchSize": 11}, NO_WINDOW),
        ({"BatchSize": 11, "MaximumBatchingWindowInSeconds": 0}, NO_WINDOW),
        (
            {"EventSourceArn": FIFO, "MaximumBatchingWindowInSeconds": 1},
            "Batching window is not supported for FIFO queues",
        ),
        (
            {"EventSourceArn": FIFO, "BatchSize": 11},
            "FIFO queue batch size must be less than or equal to 10, but was 11",
        ),
        (
            {"ProvisionedPollerConfig": {"MinimumPollers": 1}},
            "MinimumPollers must be at least 2 for SQS event source mappings.",
        ),
        (
            {"ProvisionedPollerConfig": {"MinimumPollers": 9, "MaximumPollers": 3}},
            "MinimumPollers (9) cannot be greater than MaximumPollers (3).",
        ),
        (
            {"MetricsConfig": {"Metrics": ["KafkaMetrics"]}},
            "EventCount is the only metric of SQS event source mappings.",
        ),
        ({"FunctionName": "missing"}, "Function does not exist"),
        ({"FunctionName": "f:missing"}, "Function does not exist"),
        (
            {"EventSourceArn": f"{QUEUE}-missing"},
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
            "SQS Error Message: The specified queue does not exist.",
        ),
    ],
)
async def test_refused_in_these_words(room: Room, params: dict[str, Any], message: str) -> None:
    assert await room.refused("create", **params) == (INVALID, message)
    assert (await room.call("list"))["EventSourceMappings"] == []


async def test_the_first_of_several_mistakes_is_named(room: Room) -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"FilterCriteria": {"Filters": [{"Pattern": "text"}]}}, NO_FILTER),
        ({"BatchSize": 11}, NO_WINDOW),
        ({"FunctionName": "missing"}, "Function does not exist"),
        ({"EventSourceArn": f"{QUEUE}-missing"}, "Error occurred while ReceiveMessage."),
    ]
    params: dict[str, Any] = {}
    for more, message in reversed(mistakes):
        params |= more
        assert (await room.refused("create", **params))[1].startswith(message)


async def test_other_sources_are_named(room: Room) -> None:
    code, message = await room.refused("create", EventSourceArn="arn:aws:kinesis:us-east-1:000000000000:stream/s")
    assert code == INVALID
    assert "Kinesis streams" in message


async def test_the_role_must_be_allowed_to_poll(room: Room) -> None:
    room.queues.refused = "ReceiveMessage"
    assert await room.refused("create") == (
        INVALID,
        "The function execution role does not have permissions to call ReceiveMessage on SQS",
    )


async def test_messages_may_not_come_back_while_the_function_works(room: Room) -> None:
    room.functions.there["f", None] = Function(timeout_s=180.0)
    room.queues.there[QUEUE] = Queue(visibility_timeout_s=60)
    message = "Queue visibility timeout: 60 seconds is less than Function timeout: 180 seconds"
    assert await room.refused("create") == (INVALID, message)
    room.queues.there[QUEUE] = Queue(visibility_timeout_s=180)
    await room.create()


async def test_one_function_reads_a_queue_once(room: Room) -> None:
    room.functions.there |= {("g", None): Function(), ("f", "live"): Function()}
    uuid = (await room.create())["UUID"]
    text = (
        f'An event source mapping with SQS arn (" {QUEUE} ") and function (" f ") already exists. '
        f"Please update or delete the existing mapping with UUID {uuid}"
    )
    assert await room.refused("create", FunctionName=FUNCTION) == ("ResourceConflictException", text)
    await room.create(FunctionName="f:live")
    other = (await room.create(FunctionName="g"))["UUID"]
    await room.settle()
    assert await room.refused("update", UUID=other, FunctionName="f") == ("ResourceConflictException", text)


async def test_updates_are_checked_together_with_what_is_there(room: Room) -> None:
    uuid = (await room.create(BatchSize=100, MaximumBatchingWindowInSeconds=1))["UUID"]
    await room.settle()
    assert await room.refused("update", UUID=uuid, MaximumBatchingWindowInSeconds=0) == (INVALID, NO_WINDOW)
    assert await room.refused("update", UUID=uuid, FunctionName="missing") == (INVALID, "Function does not exist")


async def test_the_call_of_the_article(room: Room) -> None:
    room.functions.there["transaction-processor", None] = Function()
    room.queues.there["arn:aws:sqs:us-east-1:000000000000:transactions-queue"] = Queue(visibility_timeout_s=60)
    made = await room.call("create", **ARTICLE)
    given = {name: ARTICLE[name] for name in ("ProvisionedPollerConfig", "ScalingConfig", "FilterCriteria")}
    assert {name: made[name] for name in given} == given
    assert made["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:transaction-processor"
    await room.settle()

    cleared = await room.call(
        "update", UUID=made["UUID"], ProvisionedPollerConfig={}, ScalingConfig={}, FilterCriteria={}
    )
    assert not given.keys() & cleared.keys()
    assert cleared["BatchSize"] == 100


async def test_the_values_of_the_article_for_cdk(room: Room) -> None:
    pollers = {"MinimumPollers": 20, "MaximumPollers": 2000}
    made = await room.create(
        ProvisionedPollerConfig=pollers, ScalingConfig={"MaximumConcurrency": 5000}, MaximumBatchingWindowInSeconds=2
    )
    assert (made["ProvisionedPollerConfig"], made["ScalingConfig"]) == (pollers, {"MaximumConcurrency": 5000})


async def test_strict_aws_refuses_what_aws_refuses(room: Room) -> None:
    room.begin(strict_aws=True)
    pollers = {"MinimumPollers": 2, "MaximumPollers": 2}
    filters = [{"Pattern": f'{{"body": {{"a": [{number}]}}}}'} for number in range(6)]
    assert await room.refused("create", ProvisionedPollerConfig=pollers, ScalingConfig={"MaximumConcurrency": 2}) == (
        INVALID,
        BOTH,
    )
    code, message = await room.refused("create", ScalingConfig={"MaximumConcurrency": 5000})
    assert code == "ValidationException"
    assert message.endswith("Member must have value less than or equal to 1000")
    assert (await room.refused("create", FilterCriteria={"Filters": filters}))[0] == INVALID

    uuid = (await room.create(ScalingConfig={"MaximumConcurrency": 2}))["UUID"]
    await room.settle()
    assert await room.refused("update", UUID=uuid, ProvisionedPollerConfig=pollers) == (INVALID, BOTH)
    changed = await room.call("update", UUID=uuid, ProvisionedPollerConfig=pollers, ScalingConfig={})
    assert "ScalingConfig" not in changed


@pytest.mark.parametrize(("number", "rule"), [(1, "greater than or equal to 2"), (10_001, "less than or equal to")])
async def test_concurrency_has_bounds(room: Room, number: int, rule: str) -> None:
    code, message = await room.refused("create", ScalingConfig={"MaximumConcurrency": number})
    assert code == "ValidationException"
    assert f"Value '{number}' at 'scalingConfig.maximumConcurrency' failed to satisfy constraint" in message
    assert rule in message


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("arn:aws:sqs:us-east-1:123456789:q", QUEUE),
        ("arn:aws:lambda:us-east-1:1:function:f:live", f"{FUNCTION}:live"),
        ("123456789:function:f", "000000000000:function:f"),
        (QUEUE, QUEUE),
        ("arn:aws:sqs:us-east-1:999999999999:q", "arn:aws:sqs:us-east-1:999999999999:q"),
        ("f", "f"),
        ("f:1", "f:1"),
    ],
)
def test_numbers_that_are_no_account(text: str, meant: str) -> None:
    assert references.own_account(SCOPE, text) == meant


def test_a_queue_of_another_region_is_refused() -> None:
    with pytest.raises(AwsError, match="not in 'us-east-1'"):
        references.queue_arn(Scope(account="000000000000", region="eu-west-1"), QUEUE)


def test_defaults_of_pollers() -> None:
    settings = validation.settings_of(
        {"ProvisionedPollerConfig": {"MaximumPollers": 500}}, Settings(), fifo=False, limits=validation.AWS
    )
    assert settings.pollers == ProvisionedPollers(minimum=2, maximum=500)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "BatchSize": st.integers(1, 10_000),
            "MaximumBatchingWindowInSeconds": st.integers(0, 300),
            "FunctionResponseTypes": st.sampled_from([[], ["ReportBatchItemFailures"]]),
            "ScalingConfig": st.fixed_dictionaries({}, optional={"MaximumConcurrency": st.integers(2, 1000)}),
            "ProvisionedPollerConfig": st.fixed_dictionaries(
                {}, optional={"MinimumPollers": st.integers(1, 200), "MaximumPollers": st.integers(1, 10_000)}
            ),
        },
    ),
    st.booleans(),
    st.sampled_from([validation.AWS, validation.LAMBENT]),
)
def test_what_is_taken_keeps_to_the_rules(params: dict[str, Any], fifo: bool, limits: validation.Limits) -> None:
    try:
        settings = validation.settings_of(params, Settings(), fifo=fifo, limits=limits)
    except InvalidParameterValue:
        return
    assert settings.batch_size <= 10 or (settings.window_s > 0 and not fifo)
    assert not (fifo and settings.window_s)
    pollers = settings.pollers
    assert pollers is None or 2 <= pollers.minimum <= pollers.maximum
    assert limits is validation.LAMBENT or pollers is None or settings.maximum_concurrency is None
    assert validation.settings_of({}, settings, fifo=fifo, limits=limits) == settings
