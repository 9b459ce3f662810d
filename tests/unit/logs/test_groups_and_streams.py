from __future__ import annotations

import pytest

from lambent.logs.query import LogReader
from tests.unit.logs.conftest import NOW_MS, SCOPE, LogsApi

ARN = "arn:aws:logs:us-east-1:000000000000:log-group:g"


async def test_groups_are_made_described_and_deleted(logs: LogsApi) -> None:
    await logs("CreateLogGroup", logGroupName="g", tags={"a": "1"})
    [group] = (await logs("DescribeLogGroups"))["logGroups"]
    assert group == {
        "logGroupName": "g",
        "creationTime": NOW_MS,
        "retentionInDays": None,
        "metricFilterCount": 0,
        "arn": f"{ARN}:*",
        "logGroupArn": ARN,
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
    }
    assert await logs.refused("CreateLogGroup", logGroupName="g") == (
        "ResourceAlreadyExistsException",
        "The specified log group already exists",
    )
    assert (await logs("DescribeLogGroups", region="eu-west-1"))["logGroups"] == []
    await logs("DeleteLogGroup", logGroupName="g")
    assert (await logs("DescribeLogGroups"))["logGroups"] == []
    assert await logs.refused("DeleteLogGroup", logGroupName="g") == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )


async def test_groups_by_prefix_pattern_identifier_and_page(logs: LogsApi) -> None:
    for name in ("/aws/a", "/aws/b", "/aws/c", "other/aws", "zzz"):
        await logs("CreateLogGroup", logGroupName=name)

    async def names(**params: object) -> list[str]:
        found: list[str] = []
        while True:
            answer = await logs("DescribeLogGroups", **params)
            found += [group["logGroupName"] for group in answer["logGroups"]]
            if "nextToken" not in answer:
                return found
            params["nextToken"] = answer["nextToken"]

    assert await names(limit=2) == ["/aws/a", "/aws/b", "/aws/c", "other/aws", "zzz"]
    assert await names(logGroupNamePrefix="/aws/", limit=1) == ["/aws/a", "/aws/b", "/aws/c"]
    assert await names(logGroupNamePattern="aws", limit=3) == ["/aws/a", "/aws/b", "/aws/c", "other/aws"]
    assert await names(logGroupNamePattern="AWS") == []
    [brief] = (await logs("DescribeLogGroups", logGroupNamePattern="zz"))["logGroups"]
    assert brief.keys() == {"logGroupName", "creationTime", "arn"}
    assert await names(logGroupIdentifiers=["zzz", ARN.replace(":g", ":/aws/a:*"), "none"]) == ["/aws/a", "zzz"]
    assert await names(logGroupClass="INFREQUENT_ACCESS") == []
    token = (await logs("DescribeLogGroups", limit=1))["nextToken"]
    for params in (
        {"logGroupNamePrefix": "a", "logGroupNamePattern": "a"},
        {"logGroupIdentifiers": ["zzz"], "limit": 3},
        {"nextToken": "forged"},
        {"nextToken": token, "logGroupNamePrefix": "/aws"},
    ):
        assert (await logs.refused("DescribeLogGroups", **params))[0] == "InvalidParameterException"


async def test_streams_are_made_described_and_deleted(logs: LogsApi) -> None:
    await logs.stream()
    assert await logs.refused("CreateLogStream", logGroupName="g", logStreamName="s") == (
        "ResourceAlreadyExistsException",
        "The specified log stream already exists",
    )
    await logs.put((-500, "a"), (-100, "b"))
    await logs.put((-2000, "late"))
    [stream] = (await logs("DescribeLogStreams", logGroupName="g"))["logStreams"]
    token = stream.pop("uploadSequenceToken")
    assert len(token) == 56
    assert stream == {
        "logStreamName": "s",
        "creationTime": NOW_MS,
        "firstEventTimestamp": NOW_MS - 2000,
        "lastEventTimestamp": NOW_MS - 100,
        "lastIngestionTime": NOW_MS,
        "arn": f"{ARN}:log-stream:s",
        "storedBytes": 0,
    }
    await logs("DeleteLogStream", logGroupName="g", logStreamName="s")
    assert await logs.refused("DeleteLogStream", logGroupName="g", logStreamName="s") == (
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )
    await logs.stream()
    answer = await logs("GetLogEvents", logGroupName="g", logStreamName="s")
    assert answer["events"] == []


@pytest.mark.parametrize("descending", [False, True])
async def test_streams_in_order_and_in_pages(logs: LogsApi, descending: bool) -> None:
    await logs("CreateLogGroup", logGroupName="g")
    times = {"b": -300, "a": -100, "d": -200, "c": -200}
    for name, at in times.items():
        await logs.stream(stream=name)
        await logs.put((at, "x"), stream=name)
    await logs.stream(stream="empty")

    async def names(**params: object) -> list[str]:
        found: list[str] = []
        while True:
            answer = await logs("DescribeLogStreams", logGroupName="g", descending=descending, limit=2, **params)
            found += [stream["logStreamName"] for stream in answer["logStreams"]]
            if "nextToken" not in answer:
                return found[::-1] if descending else found
            params["nextToken"] = answer["nextToken"]

    assert await names() == ["a", "b", "c", "d", "empty"]
    assert await names(logStreamNamePrefix="e") == ["empty"]
    assert await names(orderBy="LastEventTime") == ["empty", "b", "c", "d", "a"]
    code, _ = await logs.refused(
        "DescribeLogStreams", logGroupName="g", orderBy="LastEventTime", logStreamNamePrefix="a"
    )
    assert code == "InvalidParameterException"


async def test_what_a_function_has_just_written_is_there(logs: LogsApi) -> None:
    logs.write((0, "x\n"), group="/aws/lambda/f", stream="2026/[$LATEST]1")
    [stream] = (await logs("DescribeLogStreams", logGroupName="/aws/lambda/f"))["logStreams"]
    assert stream["logStreamName"] == "2026/[$LATEST]1"
    assert stream["lastEventTimestamp"] == NOW_MS


async def test_a_group_goes_by_name_or_arn_but_not_by_both(logs: LogsApi) -> None:
    await logs.stream()
    for identifier in ("g", ARN, f"{ARN}:*"):
        assert len((await logs("DescribeLogStreams", logGroupIdentifier=identifier))["logStreams"]) == 1
    elsewhere = ARN.replace("us-east-1", "eu-west-1")
    code, text = await logs.refused("DescribeLogStreams", logGroupIdentifier=elsewhere)
    assert (code, text) == ("ResourceNotFoundException", "The specified log group does not exist.")
    for params in ({}, {"logGroupName": "g", "logGroupIdentifier": "g"}, {"logGroupIdentifier": "arn:aws:s3:::b"}):
        assert (await logs.refused("DescribeLogStreams", **params))[0] == "InvalidParameterException"


async def test_deleted_logs_leave_the_disk_in_slices(logs: LogsApi) -> None:
    await logs.stream()
    await logs.stream("other")
    for number in range(40):
        await logs.put((number, "x" * 100))
    await logs.put((0, "kept"), group="other")
    await logs.stream(stream="t")
    await logs.put((0, "y"), stream="t")
    logs.sweeper.start()
    await logs("DeleteLogStream", logGroupName="g", logStreamName="t")
    await logs.clock.settle()
    assert await logs.count("log_chunks") == 41
    await logs("DeleteLogGroup", logGroupName="g")
    await logs("CreateLogGroup", logGroupName="g")
    await logs.clock.settle()
    assert await logs.count("log_chunks") == 1
    assert await logs.count("log_streams") == 1
    assert await logs.count("log_removals") == 0
    row = await logs.database.read(lambda tx: tx.one("SELECT disk_bytes FROM log_totals"))
    left = await logs.database.read(lambda tx: tx.one("SELECT SUM(disk_bytes) FROM log_chunks"))
    assert row is not None
    assert left is not None
    assert row[0] == left[0]
    await logs.sweeper.close()


async def test_retention_hides_at_once_and_sweeps_within_the_hour(logs: LogsApi) -> None:
    day = 86_400_000
    await logs.stream()
    await logs.put((-3 * day, "old"), (-2 * day, "younger"))
    await logs.put((-1000, "new"))
    logs.write((-3 * day, "function's"), stream="environment")
    await logs.sink.flush()
    logs.sweeper.start()
    await logs.clock.settle()
    await logs("PutRetentionPolicy", logGroupName="g", retentionInDays=1)
    assert (await logs("DescribeLogGroups"))["logGroups"][0]["retentionInDays"] == 1
    for answer in (
        await logs("FilterLogEvents", logGroupName="g"),
        await logs("GetLogEvents", logGroupName="g", logStreamName="s", startFromHead=True),
    ):
        assert [event["message"] for event in answer["events"]] == ["new"]
    reader = LogReader(logs.database, clock=logs.clock, news=logs.news, flush=logs.sink.flush)
    assert [record.message for record in await reader.tail(SCOPE, "g") or []] == ["new"]
    assert await logs.count("log_chunks") == 4
    await logs.clock.advance(3600)
    assert await logs.count("log_chunks") == 1
    streams = (await logs("DescribeLogStreams", logGroupName="g"))["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["s"]
    await logs.clock.advance(86_400)
    assert await logs.count("log_chunks") == 0
    assert len((await logs("DescribeLogStreams", logGroupName="g"))["logStreams"]) == 1, "made by hand: stays"
    await logs("DeleteRetentionPolicy", logGroupName="g")
    assert (await logs("DescribeLogGroups"))["logGroups"][0]["retentionInDays"] is None
    code, text = await logs.refused("PutRetentionPolicy", logGroupName="g", retentionInDays=2)
    assert code == "InvalidParameterException"
    assert "Value '2' at 'retentionInDays'" in text
    await logs.sweeper.close()


@pytest.mark.parametrize(
    ("tag", "untag", "listing", "target", "keys"),
    [
        ("TagResource", "UntagResource", "ListTagsForResource", {"resourceArn": ARN}, "tagKeys"),
        ("TagLogGroup", "UntagLogGroup", "ListTagsLogGroup", {"logGroupName": "g"}, "tags"),
    ],
)
async def test_tags(logs: LogsApi, tag: str, untag: str, listing: str, target: dict[str, str], keys: str) -> None:
    assert (await logs.refused(tag, **target, tags={"a": "1"}))[0] == "ResourceNotFoundException"
    await logs("CreateLogGroup", logGroupName="g", tags={"a": "1"})
    await logs(tag, **target, tags={"a": "2", "b": "3"})
    assert (await logs(listing, **target))["tags"] == {"a": "2", "b": "3"}
    await logs(untag, **target, **{keys: ["a", "none"]})
    assert (await logs(listing, **target))["tags"] == {"b": "3"}
    code, _ = await logs.refused(tag, **target, tags={str(n): "" for n in range(50)})
    assert code == ("TooManyTagsException" if tag == "TagResource" else "InvalidParameterException")


async def test_metric_filters(logs: LogsApi) -> None:
    answer = await logs("TestMetricFilter", filterPattern="[a, b=2]", logEventMessages=["1 2", "1 3"])
    assert answer["matches"] == [{"eventNumber": 1, "eventMessage": "1 2", "extractedValues": {"$a": "1", "$b": "2"}}]
    code, text = await logs.refused("TestMetricFilter", filterPattern="[a", logEventMessages=["1 2"])
    assert (code, text.startswith("Invalid filter pattern")) == ("InvalidParameterException", True)
    assert (await logs("DescribeMetricFilters"))["metricFilters"] == []
    assert (await logs.refused("DescribeSubscriptionFilters", logGroupName="g"))[0] == "ResourceNotFoundException"
