from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.logs import merge, store
from lambent.logs.api import filter_events
from lambent.storage.opening import open_database
from tests.unit.logs.conftest import NOW_MS, LogsApi, messages

DAY = 86_400_000


async def test_events_are_put_and_got(logs: LogsApi) -> None:
    await logs.stream()
    answer = await logs.put((0, "one"), (1, "two"))
    assert answer.keys() == {"nextSequenceToken"}
    got = await logs("GetLogEvents", logGroupName="g", logStreamName="s")
    assert got["events"] == [
        {"timestamp": NOW_MS, "message": "one", "ingestionTime": NOW_MS},
        {"timestamp": NOW_MS + 1, "message": "two", "ingestionTime": NOW_MS},
    ]
    assert (await logs("DescribeLogGroups"))["logGroups"][0]["storedBytes"] == 2 * (3 + 26)


async def test_batches_that_are_refused(logs: LogsApi) -> None:
    await logs.stream()
    missing = {"logEvents": [{"timestamp": NOW_MS, "message": "m"}]}
    assert await logs.refused("PutLogEvents", logGroupName="x", logStreamName="s", **missing) == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
    assert await logs.refused("PutLogEvents", logGroupName="g", logStreamName="x", **missing) == (
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )

    async def refused(*events: tuple[int, str]) -> tuple[str, str]:
        raw = [{"timestamp": NOW_MS + at, "message": message} for at, message in events]
        return await logs.refused("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=raw)

    assert await refused((5, "a"), (4, "b")) == (
        "InvalidParameterException",
        "Log events in a single PutLogEvents request must be in chronological order.",
    )
    assert "cannot span more than 24 hours" in (await refused((-DAY - 1, "a"), (0, "b")))[1]
    assert await refused((0, "é" * 524_276)) == (
        "InvalidParameterException",
        "Upload too large: 1048578 bytes exceeds limit of 1048576",
    )
    await logs.put((0, "é" * 524_275))


async def test_events_too_old_or_too_new_are_left_out(logs: LogsApi) -> None:
    await logs.stream()
    old = await logs.put((-14 * DAY - 2, "a"), (-14 * DAY - 1, "b"), (-14 * DAY, "c"))
    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2}
    new = await logs.put((7_200_000, "d"), (7_200_001, "e"), (7_200_002, "f"))
    assert new["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    await logs("PutRetentionPolicy", logGroupName="g", retentionInDays=3)
    expired = await logs.put((-3 * DAY - 1, "g"), (-3 * DAY, "h"))
    assert expired["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    await logs("DeleteRetentionPolicy", logGroupName="g")
    assert messages(await logs("GetLogEvents", logGroupName="g", logStreamName="s")) == ["c", "h", "d"]
    nothing = await logs.put((-15 * DAY, "x"))
    assert nothing["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}


async def test_tokens_of_a_stream_go_both_ways_and_stay_at_the_ends(logs: LogsApi) -> None:
    await logs.stream()
    await logs.put(*[(n, str(n)) for n in range(10)])

    async def get(**params: Any) -> dict[str, Any]:
        return await logs("GetLogEvents", logGroupName="g", logStreamName="s", limit=4, **params)

    head = await get(startFromHead=True)
    assert messages(head) == ["0", "1", "2", "3"]
    second = await get(nextToken=head["nextForwardToken"])
    assert messages(second) == ["4", "5", "6", "7"]
    third = await get(nextToken=second["nextForwardToken"])
    assert messages(third) == ["8", "9"]
    end = await get(nextToken=third["nextForwardToken"])
    assert messages(end) == []
    assert end["nextForwardToken"] == third["nextForwardToken"]
    assert messages(await get(nextToken=end["nextBackwardToken"])) == ["6", "7", "8", "9"]
    assert messages(await get(nextToken=second["nextBackwardToken"])) == ["0", "1", "2", "3"]

    tail = await get()
    assert messages(tail) == ["6", "7", "8", "9"]
    before = await get(nextToken=(await get(nextToken=tail["nextBackwardToken"]))["nextBackwardToken"])
    assert messages(before) == ["0", "1"]
    begin = await get(nextToken=before["nextBackwardToken"])
    assert messages(begin) == []
    assert begin["nextBackwardToken"] == before["nextBackwardToken"]
    assert messages(await get(nextToken=begin["nextForwardToken"])) == ["0", "1", "2", "3"]

    await logs.put((20, "new"))
    assert messages(await get(nextToken=end["nextForwardToken"])) == ["new"]
    for token in ("x", "f/1", "g/" + "0" * 56 + "/s"):
        code, text = await logs.refused("GetLogEvents", logGroupName="g", logStreamName="s", nextToken=token)
        assert (code, text) == ("InvalidParameterException", "The specified nextToken is invalid.")


async def test_an_empty_stream_has_tokens_that_find_what_comes(logs: LogsApi) -> None:
    await logs.stream()
    for head in (True, False):
        empty = await logs("GetLogEvents", logGroupName="g", logStreamName="s", startFromHead=head)
        again = await logs("GetLogEvents", logGroupName="g", logStreamName="s", nextToken=empty["nextForwardToken"])
        assert again["nextForwardToken"] == empty["nextForwardToken"]
        back = await logs("GetLogEvents", logGroupName="g", logStreamName="s", nextToken=empty["nextBackwardToken"])
        assert back["nextBackwardToken"] == empty["nextBackwardToken"]
    await logs.put((0, "x"))
    found = await logs("GetLogEvents", logGroupName="g", logStreamName="s", nextToken=empty["nextForwardToken"])
    assert messages(found) == ["x"]


async def test_time_spans(logs: LogsApi) -> None:
    await logs.stream()
    await logs.put(*[(n, str(n)) for n in range(5)])
    span = {"startTime": NOW_MS + 1, "endTime": NOW_MS + 3}
    # GetLogEvents: up to but without endTime. FilterLogEvents: with it.
    assert messages(await logs("GetLogEvents", logGroupName="g", logStreamName="s", **span)) == ["1", "2"]
    assert messages(await logs("FilterLogEvents", logGroupName="g", **span)) == ["1", "2", "3"]


async def test_a_page_is_bounded_in_bytes(logs: LogsApi) -> None:
    await logs.stream()
    for number in range(3):
        await logs.put((number, str(number) * 500_000))
    answer = await logs("FilterLogEvents", logGroupName="g")
    assert len(answer["events"]) == 2
    rest = await logs("FilterLogEvents", logGroupName="g", nextToken=answer["nextToken"])
    assert [message[0] for message in messages(rest)] == ["2"]
    assert "nextToken" not in rest
    got = await logs("GetLogEvents", logGroupName="g", logStreamName="s")
    assert [message[0] for message in messages(got)] == ["1", "2"]


async def test_filtering_by_pattern_and_stream(logs: LogsApi) -> None:
    for name, at in (("a/1", 0), ("a/2", 1), ("b", 2)):
        await logs.stream(stream=name)
        await logs.put((at, f"ERROR {name}"), (at + 10, f"fine {name}"), stream=name)

    async def found(**params: Any) -> list[str]:
        return messages(await logs("FilterLogEvents", logGroupName="g", **params))

    assert await found() == ["ERROR a/1", "ERROR a/2", "ERROR b", "fine a/1", "fine a/2", "fine b"]
    assert await found(filterPattern="ERROR") == ["ERROR a/1", "ERROR a/2", "ERROR b"]
    assert await found(logStreamNamePrefix="a/", filterPattern="fine") == ["fine a/1", "fine a/2"]
    assert await found(logStreamNames=["b"]) == ["ERROR b", "fine b"]
    assert await found(logStreamNames=["b", "a/2"], filterPattern="-fine") == ["ERROR a/2", "ERROR b"]
    assert await found(startFromHead=False, startTime=NOW_MS, limit=2) == ["fine b", "fine a/2"]
    event = (await logs("FilterLogEvents", logGroupName="g", limit=1))["events"][0]
    assert event.pop("eventId").isdigit()
    assert event == {
        "logStreamName": "a/1",
        "timestamp": NOW_MS,
        "message": "ERROR a/1",
        "ingestionTime": NOW_MS,
    }
    assert await logs.refused("FilterLogEvents", logGroupName="g", logStreamNames=["none"]) == (
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )
    for params in (
        {"logStreamNames": ["b"], "logStreamNamePrefix": "b"},
        {"filterPattern": "%x%"},
        {"startFromHead": False},
        {"nextToken": "forged"},
    ):
        assert (await logs.refused("FilterLogEvents", logGroupName="g", **params))[0] == "InvalidParameterException"


async def test_a_search_for_nothing_goes_on_in_slices(logs: LogsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_events, "_CHUNKS_PER_CALL", 20)
    await logs.stream()
    for number in range(100):
        await logs.put((number, "needle" if number in (3, 77) else "hay"))
    pages, params = [], dict[str, Any]()
    for forward in (True, False):
        pages, params = [], {"startFromHead": forward, "startTime": NOW_MS - 1}
        while True:
            answer = await logs("FilterLogEvents", logGroupName="g", filterPattern="needle", **params)
            pages.append([event["timestamp"] - NOW_MS for event in answer["events"]])
            if "nextToken" not in answer:
                break
            params["nextToken"] = answer["nextToken"]
        assert len(pages) > 3
        assert [] in pages
        flat = [at for page in pages for at in page]
        assert flat == ([3, 77] if forward else [77, 3])


EVENTS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.lists(st.integers(0, 90_000), min_size=1, max_size=8)), max_size=30
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(writes=EVENTS, limit=st.integers(1, 7), since=st.integers(0, 90_000), forward=st.booleans())
async def test_pages_hold_every_event_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    writes: list[tuple[str, list[int]]],
    limit: int,
    since: int,
    forward: bool,
) -> None:
    monkeypatch.setattr(merge, "_CHUNKS_PER_READ", 2)
    monkeypatch.setattr(merge, "_HEADS_PER_READ", 3)
    database = await open_database(tmp_path_factory.mktemp("l") / "l.db", store.MIGRATIONS, synchronous="OFF")
    logs = LogsApi(database)
    count = 0
    for stream, times in writes:  # functions' lines may come in any order
        logs.write(*[(at, str(count + place)) for place, at in enumerate(times)], stream=stream)
        count += len(times)
        await logs.sink.flush()
    expected = sorted(NOW_MS + at for _, times in writes for at in times if at >= since)
    seen: list[dict[str, Any]] = []
    params: dict[str, Any] = {"startFromHead": forward, "limit": limit, "startTime": NOW_MS + since}
    while writes:
        answer = await logs("FilterLogEvents", logGroupName="g", **params)
        seen += answer["events"]
        if "nextToken" not in answer:
            break
        params["nextToken"] = answer["nextToken"]
    assert [event["timestamp"] for event in seen] == (expected if forward else expected[::-1])
    assert len({event["eventId"] for event in seen}) == len(seen)
    ids = [event["eventId"] for event in seen]
    assert ids == sorted(ids, reverse=not forward)

    for stream in {name for name, _ in writes}:
        token: dict[str, Any] = {"startFromHead": forward}
        got: list[int] = []
        while True:
            answer = await logs("GetLogEvents", logGroupName="g", logStreamName=stream, limit=limit, **token)
            times = [event["timestamp"] - NOW_MS for event in answer["events"]]
            got = got + times if forward else times + got
            following = answer["nextForwardToken" if forward else "nextBackwardToken"]
            if following == token.get("nextToken"):
                assert not times
                break
            token["nextToken"] = following
        assert got == sorted(at for name, times in writes if name == stream for at in times)
    await database.close()


async def test_the_quota_holds_for_put_events_too(tmp_path: Any) -> None:
    database = await open_database(tmp_path / "l.db", store.MIGRATIONS, synchronous="OFF")
    logs = LogsApi(database, quota_bytes=300_000)
    await logs.stream()
    for number in range(40):
        await logs.put((number, f"{number:05d}" * 4000))
    kept = messages(await logs("FilterLogEvents", logGroupName="g", logStreamNames=["s"]))
    assert kept[-1].startswith("00039")
    assert len(kept) < 20
    disk_bytes = await database.read(store.disk_bytes)
    assert disk_bytes <= 300_000
    await database.close()


async def test_live_tail(logs: LogsApi) -> None:
    await logs.stream()
    await logs.stream("h")
    await logs.put((0, "before"))
    answer = await logs("StartLiveTail", logGroupIdentifiers=["g", "h"], logEventFilterPattern="-quiet")
    stream = answer["responseStream"]
    start = (await anext(stream))["sessionStart"]
    assert (start["sessionId"], start["requestId"], start["logGroupIdentifiers"]) == ("id-1", "r", ["g", "h"])
    await logs.put((2, "one"), (3, "quiet"))
    await logs.put((1, "other group"), group="h")

    async def update() -> dict[str, Any]:
        waiting = asyncio.ensure_future(anext(stream))
        await logs.clock.advance(1.0)
        return (await waiting)["sessionUpdate"]  # type: ignore[no-any-return]

    first = await update()
    assert [event["message"] for event in first["sessionResults"]] == ["other group", "one"]
    assert first["sessionResults"][0]["logGroupIdentifier"] == "000000000000:h"
    assert first["sessionMetadata"] == {"sampled": False}
    assert (await update())["sessionResults"] == []
    await logs.put(*[(10 + n, str(n)) for n in range(700)])
    crowded = await update()
    assert crowded["sessionMetadata"] == {"sampled": True}
    assert [event["message"] for event in crowded["sessionResults"]] == [str(n) for n in range(200, 700)]
    await logs("DeleteLogGroup", logGroupName="h")
    assert (await update())["sessionResults"] == []
    await stream.aclose()


async def test_live_tail_of_streams_ends_after_three_hours(logs: LogsApi) -> None:
    assert (await logs.refused("StartLiveTail", logGroupIdentifiers=["g"]))[0] == "ResourceNotFoundException"
    await logs.stream()
    await logs.stream("h")
    two = {"logGroupIdentifiers": ["g", "h"], "logStreamNames": ["s"]}
    assert (await logs.refused("StartLiveTail", **two))[0] == "InvalidParameterException"
    answer = await logs("StartLiveTail", logGroupIdentifiers=["g"], logStreamNamePrefixes=["s"])
    stream = answer["responseStream"]
    await anext(stream)
    await logs.stream(stream="t")
    await logs.put((0, "not this"), stream="t")
    await logs.put((0, "this"))
    waiting = asyncio.ensure_future(anext(stream))
    await logs.clock.advance(1.0)
    assert [event["message"] for event in (await waiting)["sessionUpdate"]["sessionResults"]] == ["this"]
    await logs.clock.advance(3 * 3600)
    last = asyncio.ensure_future(anext(stream))
    await logs.clock.settle()
    with pytest.raises(Exception, match="three hours"):
        await last


async def test_reading_uses_indexes(logs: LogsApi) -> None:
    plans: list[str] = []

    def explain(tx: Any) -> None:
        class Explaining:
            def all(self, sql: str, parameters: Any = ()) -> list[Any]:
                plans.append(" ".join(row["detail"] for row in tx.all("EXPLAIN QUERY PLAN " + sql, parameters)))
                return []

        for stream_id in (0, 5):
            for forward in (True, False):
                store.heads(
                    Explaining(),  # type: ignore[arg-type]
                    group_id=1,
                    stream_id=stream_id,
                    since_ms=0,
                    until_ms=10,
                    beyond=(3, 4),
                    forward=forward,
                    limit=5,
                )

    await logs.database.read(explain)
    indexes = ["by_group_start", "by_group", "by_stream_start", "by_stream"]
    for plan, index in zip(plans, indexes, strict=True):
        assert f"USING INDEX log_chunks_{index} (" in plan
        assert "TEMP B-TREE" not in plan
