"""What is said about mappings that work, and will bite."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from lambent.event_sources import lints
from lambent.event_sources.lints import Situation
from lambent.event_sources.model import EventSourceMapping, ProvisionedPollers
from tests.unit.event_sources.conftest import Room
from tests.unit.event_sources.fakes import QUEUE, Function, Queue, mapping


def said(
    one: EventSourceMapping,
    *others: EventSourceMapping,
    function: Function | None = None,
    queue: Queue | None = None,
    latency_goal_s: float | None = None,
) -> list[str]:
    return lints.warnings(
        Situation(
            mapping=one,
            function=function or Function(),
            queue=queue or Queue(visibility_timeout_s=600),
            others=others,
            latency_goal_s=latency_goal_s,
        )
    )


def test_nothing_to_say() -> None:
    other = mapping("other", function_name="g")
    assert said(mapping(), other, queue=Queue(visibility_timeout_s=18, max_receive_count=5)) == []


def test_a_visibility_timeout_that_is_too_short() -> None:
    (text,) = said(mapping(window_s=2, batch_size=50), queue=Queue(visibility_timeout_s=19))
    assert "under 6 x" in text
    assert text.endswith("set it to 20 s or more")


def test_a_window_longer_than_the_goal() -> None:
    (text,) = said(mapping(window_s=2), latency_goal_s=0.5)
    assert "longer than the latency goal of 500 ms" in text
    assert said(mapping(window_s=2), latency_goal_s=2.0) == []


@pytest.mark.parametrize(("tag", "goal"), [("500", 0.5), ("", None), ("soon", None), ("²", None)])
def test_the_goal_is_a_tag(tag: str, goal: float | None) -> None:
    assert lints.latency_goal_s({lints.LATENCY_GOAL_TAG: tag}) == goal


def test_few_receives() -> None:
    (text,) = said(mapping(), queue=Queue(visibility_timeout_s=600, max_receive_count=3))
    assert text.startswith("maxReceiveCount is 3")


def test_different_filters_on_one_queue() -> None:
    a, b = '{"body": {"a": [1]}}', '{"body": {"b": [1]}}'
    same = mapping("same", filters=(b, a), function_name="g")
    other = mapping("other", function_name="h")
    elsewhere = mapping("elsewhere", event_source_arn=f"{QUEUE}2")
    (text,) = said(mapping(filters=(a, b)), same, other, elsewhere)
    assert "(other)" in text


def test_filters_on_more_than_the_body() -> None:
    (text,) = said(mapping(filters=('{"attributes": {"SenderId": ["x"]}}',)))
    assert "attributes" in text


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({}, 1250),
        ({"maximum_concurrency": 7}, 7),
        ({"pollers": ProvisionedPollers(minimum=2, maximum=30)}, 300),
        ({"pollers": ProvisionedPollers(minimum=2, maximum=500), "maximum_concurrency": 1000}, 1000),
    ],
)
def test_the_most_that_a_mapping_runs_at_once(settings: dict[str, Any], most: int) -> None:
    assert lints.most_concurrency(mapping(**settings)) == most


def test_less_reserved_than_the_mappings_use() -> None:
    ten, other = mapping(maximum_concurrency=10), f"{QUEUE}2"
    reserved = Function(reserved_concurrency=19)
    (text,) = said(ten, mapping("2", maximum_concurrency=10, event_source_arn=other), function=reserved)
    assert "19 reserved" in text
    assert "may use 20" in text
    disabled = mapping("2", maximum_concurrency=10, event_source_arn=other, enabled=False)
    assert said(ten, disabled, mapping("3", function_name="g"), function=reserved) == []


async def test_warnings_are_logged_at_creation_and_reported(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.queues.there[QUEUE] = Queue(visibility_timeout_s=30, max_receive_count=3)
    tags = {lints.LATENCY_GOAL_TAG: "500"}
    with caplog.at_level(logging.WARNING, "lambent.event_sources"):
        made = await room.create(MaximumBatchingWindowInSeconds=5, Tags=tags)
    await room.settle()
    (row,) = await room.room.report()

    assert len(row["warnings"]) == 2
    assert all(any(text in line for line in caplog.messages) for text in row["warnings"])
    assert {name: row[name] for name in ("uuid", "queue", "state", "mode", "problems", "pollers")} == {
        "uuid": made["UUID"],
        "queue": QUEUE,
        "state": "Enabled",
        "mode": "standard",
        "problems": [],
        "pollers": {"pollers": 5},
    }
