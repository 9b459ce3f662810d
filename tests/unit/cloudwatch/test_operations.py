from __future__ import annotations

from typing import Any

import pytest

from lambent.cloudwatch import series, store
from lambent.cloudwatch.api import list_metrics
from lambent.core.metric_data import single
from lambent.storage.database import StorageError
from tests.unit.cloudwatch.conftest import NOW_S, SCOPE, CloudWatch

ALL = ("SampleCount", "Sum", "Average", "Minimum", "Maximum")
DAY = 86_400


async def test_values_add_up_by_the_minute(cloudwatch: CloudWatch) -> None:
    await cloudwatch.put({"Value": 1.0, "Unit": "Count"}, {"Value": 5.0, "Unit": "Count"})
    await cloudwatch.put({"Values": [2.0, 4.0], "Counts": [1.0, 3.0], "Unit": "Count", "Timestamp": NOW_S + 59.9})
    await cloudwatch.put({"Value": 7.0, "Unit": "Count", "Timestamp": NOW_S + 60.0})
    assert await cloudwatch.statistics(*ALL) == [
        {
            "Timestamp": 0.0,
            "Unit": "Count",
            "SampleCount": 6.0,
            "Sum": 20.0,
            "Average": pytest.approx(20 / 6),
            "Minimum": 1.0,
            "Maximum": 5.0,
        },
        {
            "Timestamp": 60.0,
            "Unit": "Count",
            "SampleCount": 1.0,
            "Sum": 7.0,
            "Average": 7.0,
            "Minimum": 7.0,
            "Maximum": 7.0,
        },
    ]
    [both] = await cloudwatch.statistics("Sum", Period=3600)
    assert (both["Timestamp"], both["Sum"]) == (0.0, 27.0)
    assert await cloudwatch.statistics("Sum", MetricName="none") == []
    assert await cloudwatch.statistics("Sum", Dimensions=[{"Name": "a", "Value": "b"}]) == []


async def test_periods_begin_at_the_start_in_statistics_and_at_their_own_bounds_in_data(cloudwatch: CloudWatch) -> None:
    for minute in range(4):
        await cloudwatch.put({"Value": 1.0, "Timestamp": NOW_S + 60.0 * minute})
    found = await cloudwatch.statistics("Sum", StartTime=NOW_S + 75.0, EndTime=NOW_S + 240.0, Period=120)
    assert [(point["Timestamp"], point["Sum"]) for point in found] == [(60.0, 2.0), (180.0, 1.0)]
    answer = await cloudwatch.data(query("a", period=120), StartTime=NOW_S + 75.0, EndTime=NOW_S + 240.0)
    [result] = answer["MetricDataResults"]
    assert [moment - NOW_S for moment in result["Timestamps"]] == [0.0, 120.0]
    assert result["Values"] == [2.0, 2.0]


async def test_units_are_apart(cloudwatch: CloudWatch) -> None:
    await cloudwatch.put({"Value": 1.0, "Unit": "Bytes"}, {"Value": 2.0, "Unit": "Seconds"}, {"Value": 4.0})
    found = await cloudwatch.statistics("Sum")
    assert [(point["Unit"], point["Sum"]) for point in found] == [("Bytes", 1.0), ("None", 4.0), ("Seconds", 2.0)]
    [seconds] = await cloudwatch.statistics("Sum", Unit="Seconds")
    assert seconds["Sum"] == 2.0


async def test_dimensions_make_the_metric_in_any_order(cloudwatch: CloudWatch) -> None:
    one, two = {"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}
    await cloudwatch.put({"Value": 1.0, "Dimensions": [one, two]}, {"Value": 2.0, "Dimensions": [two, one]})
    await cloudwatch.put({"Value": 9.0, "Dimensions": [one]})
    [point] = await cloudwatch.statistics("Sum", Dimensions=[two, one])
    assert point["Sum"] == 3.0
    assert (await cloudwatch("ListMetrics"))["Metrics"] == [
        {"Namespace": "app", "MetricName": "m", "Dimensions": [one, two]},
        {"Namespace": "app", "MetricName": "m", "Dimensions": [one]},
    ]


async def test_percentiles(cloudwatch: CloudWatch) -> None:
    for start in range(0, 1000, 100):
        await cloudwatch.put({"Values": [float(n) for n in range(start + 1, start + 101)]})
    [point] = await cloudwatch.statistics(ExtendedStatistics=["p50", "p99.9", "p100", "p0"])
    extended = point["ExtendedStatistics"]
    assert extended["p50"] == pytest.approx(500, rel=0.011)
    assert extended["p99.9"] == pytest.approx(999, rel=0.011)
    assert (extended["p100"], extended["p0"]) == (pytest.approx(1000, rel=0.011), 1.0)
    code, text = await cloudwatch.refused(
        "GetMetricStatistics",
        Namespace="app",
        MetricName="m",
        StartTime=0.0,
        EndTime=60.0,
        Period=60,
        ExtendedStatistics=["tm99"],
    )
    assert (code, "tm99" in text) == ("InvalidParameterValue", True)


async def test_statistic_sets_have_percentiles_only_where_there_is_no_doubt(cloudwatch: CloudWatch) -> None:
    sure = {"SampleCount": 3.0, "Sum": 6.0, "Minimum": 2.0, "Maximum": 2.0}
    await cloudwatch.put({"StatisticValues": sure})
    [point] = await cloudwatch.statistics("Sum", ExtendedStatistics=["p50"])
    assert (point["Sum"], point["ExtendedStatistics"]) == (6.0, {"p50": 2.0})
    await cloudwatch.put({"StatisticValues": sure | {"Maximum": 3.0}})
    [point] = await cloudwatch.statistics("Maximum", ExtendedStatistics=["p50"])
    assert point["Maximum"] == 3.0
    assert "ExtendedStatistics" not in point


async def test_seconds_of_high_resolution_are_kept_for_three_hours(cloudwatch: CloudWatch) -> None:
    for second in range(10):
        await cloudwatch.put({"Value": 1.0, "StorageResolution": 1, "Timestamp": NOW_S + float(second)})
        await cloudwatch.put({"Value": 1.0, "MetricName": "plain", "Timestamp": NOW_S + float(second)})
    fives = await cloudwatch.statistics("Sum", Period=5, EndTime=NOW_S + 60.0)
    assert [(point["Timestamp"], point["Sum"]) for point in fives] == [(0.0, 5.0), (5.0, 5.0)]
    assert await cloudwatch.statistics("Sum", Period=5, MetricName="plain", EndTime=NOW_S + 60.0) == []
    [minute] = await cloudwatch.statistics("Sum")
    assert minute["Sum"] == 10.0
    await cloudwatch.clock.advance(3 * 3600 + 60)
    await cloudwatch.recorder.sweep()
    assert await cloudwatch.statistics("Sum", Period=5, EndTime=NOW_S + 60.0) == []
    assert len(await cloudwatch.statistics("Sum")) == 1


@pytest.mark.parametrize(
    ("datum", "code"),
    [
        ({}, "MissingParameter"),
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination"),
        ({"Value": 1.0, "StatisticValues": {}}, "InvalidParameterCombination"),
        ({"Value": float("nan")}, "InvalidParameterValue"),
        ({"Value": float("inf")}, "InvalidParameterValue"),
        ({"Value": 2.0**361}, "InvalidParameterValue"),
        ({"Values": []}, "InvalidParameterValue"),
        ({"Values": [1.0] * 151}, "InvalidParameterValue"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue"),
        ({"Values": [1.0], "Counts": [0.0]}, "InvalidParameterValue"),
        (
            {"StatisticValues": {"SampleCount": 0.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0}},
            "InvalidParameterValue",
        ),
        (
            {"StatisticValues": {"SampleCount": 2.0, "Sum": 1.0, "Minimum": 2.0, "Maximum": 1.0}},
            "InvalidParameterValue",
        ),
        ({"Value": 1.0, "Timestamp": NOW_S - 14.1 * DAY}, "InvalidParameterValue"),
        ({"Value": 1.0, "Timestamp": NOW_S + 7201.0}, "InvalidParameterValue"),
        ({"Value": 1.0, "StorageResolution": 5}, "InvalidParameterValue"),
        (
            {"Value": 1.0, "Dimensions": [{"Name": "a", "Value": "1"}, {"Name": "a", "Value": "2"}]},
            "InvalidParameterValue",
        ),
    ],
)
async def test_data_that_are_refused(cloudwatch: CloudWatch, datum: dict[str, Any], code: str) -> None:
    data = [{"MetricName": "good", "Value": 1.0}, {"MetricName": "m"} | datum]
    found, text = await cloudwatch.refused("PutMetricData", Namespace="app", MetricData=data)
    assert found == code
    assert "MetricData.member.2" in text or "Dimensions" in text
    assert (await cloudwatch("ListMetrics"))["Metrics"] == [], "nothing of the batch is kept"


async def test_batches_that_are_refused(cloudwatch: CloudWatch) -> None:
    datum = {"MetricName": "m", "Value": 1.0}
    assert await cloudwatch.refused("PutMetricData", Namespace="AWS/Lambda", MetricData=[datum]) == (
        "InvalidParameterValue",
        "The value AWS/ for parameter Namespace is invalid.",
    )
    assert (await cloudwatch.refused("PutMetricData", Namespace="n", MetricData=[datum] * 1001))[
        0
    ] == "InvalidParameterValue"
    assert (await cloudwatch.refused("PutMetricData", Namespace="n"))[0] == "MissingParameter"
    await cloudwatch("PutMetricData", Namespace="n", MetricData=[datum] * 1000)
    [point] = await cloudwatch.statistics("Sum", Namespace="n")
    assert point["Sum"] == 1000.0


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"Statistics": None}, "MissingParameter"),
        ({"Period": 61}, "InvalidParameterValue"),
        ({"StartTime": NOW_S + 1.0, "EndTime": NOW_S + 0.0}, "InvalidParameterValue"),
        ({"Period": 60, "StartTime": NOW_S - 2.0 * DAY}, "InvalidParameterCombination"),
    ],
)
async def test_statistics_that_are_refused(cloudwatch: CloudWatch, params: dict[str, Any], code: str) -> None:
    asked: dict[str, Any] = {
        "Namespace": "app",
        "MetricName": "m",
        "StartTime": NOW_S - 60.0,
        "EndTime": NOW_S + 60.0,
        "Period": 60,
        "Statistics": ["Sum"],
    } | params
    asked = {name: value for name, value in asked.items() if value is not None}
    assert (await cloudwatch.refused("GetMetricStatistics", **asked))[0] == code


def query(name: str, metric: str = "m", stat: str = "Sum", period: int = 60, **more: Any) -> dict[str, Any]:
    return {
        "Id": name,
        "MetricStat": {"Metric": {"Namespace": "app", "MetricName": metric}, "Period": period, "Stat": stat},
    } | more


async def test_metric_data_and_arithmetic(cloudwatch: CloudWatch) -> None:
    for minute in range(3):
        await cloudwatch.put({"Value": minute + 1.0, "Timestamp": NOW_S + 60.0 * minute})
        await cloudwatch.put({"MetricName": "n", "Value": 10.0, "Timestamp": NOW_S + 60.0 * minute})
    answer = await cloudwatch.data(
        query("a", ReturnData=False),
        query("b", "n"),
        {"Id": "rate", "Expression": "100 * a / b", "Label": "percent"},
        {"Id": "twice", "Expression": "rate * 2"},
        query("p", stat="p50"),
        ScanBy="TimestampDescending",
    )
    found = {result["Id"]: result for result in answer["MetricDataResults"]}
    assert list(found) == ["b", "rate", "twice", "p"]
    assert found["rate"] == {
        "Id": "rate",
        "Label": "percent",
        "Timestamps": [NOW_S + 120.0, NOW_S + 60.0, float(NOW_S)],
        "Values": [30.0, 20.0, 10.0],
        "StatusCode": "Complete",
    }
    assert found["twice"]["Values"] == [60.0, 40.0, 20.0]
    assert (found["b"]["Label"], found["twice"]["Label"]) == ("n", "twice")
    assert found["p"]["Values"] == [pytest.approx(n, rel=0.011) for n in (3, 2, 1)]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
async def test_metric_data_in_pages(cloudwatch: CloudWatch, limit: int) -> None:
    for minute in range(4):
        await cloudwatch.put({"Value": float(minute), "Timestamp": NOW_S + 60.0 * minute})
        await cloudwatch.put({"MetricName": "n", "Value": 10.0 + minute, "Timestamp": NOW_S + 60.0 * minute})
    values: dict[str, list[float]] = {}
    params: dict[str, Any] = {"MaxDatapoints": limit}
    while True:
        answer = await cloudwatch.data(query("a"), query("none", "none"), query("b", "n"), **params)
        assert sum(len(result["Values"]) for result in answer["MetricDataResults"]) <= limit
        for result in answer["MetricDataResults"]:
            values.setdefault(result["Id"], []).extend(result["Values"])
        if "NextToken" not in answer:
            break
        params["NextToken"] = answer["NextToken"]
    assert values == {"a": [0.0, 1.0, 2.0, 3.0], "none": [], "b": [10.0, 11.0, 12.0, 13.0]}
    assert (
        await cloudwatch.refused(
            "GetMetricData", MetricDataQueries=[query("a")], StartTime=0.0, EndTime=1.0, NextToken="x"
        )
    )[0] == "InvalidNextToken"


@pytest.mark.parametrize(
    "queries",
    [
        [],
        [query("A")],
        [query("a"), query("a")],
        [{"Id": "a"}],
        [query("a", Expression="b")],
        [query("a", stat="tm99")],
        [query("a", stat="p101")],
        [query("a", period=7)],
        [query("a", Label="${MAX}")],
        [query("a", ReturnData=False)],
        [{"Id": "a", "Expression": "b + 1"}],
        [{"Id": "a", "Expression": "a + 1"}],
        [{"Id": "a", "Expression": "b"}, {"Id": "b", "Expression": "a"}],
        [{"Id": "a", "Expression": "SEARCH('{AWS/Lambda} x', 'Sum')"}],
        [query("e0"), *[{"Id": f"e{n + 1}", "Expression": f"e{n} + 1"} for n in range(60)]],
        [{"Id": "a", "MetricStat": {"Metric": {"MetricName": "m"}, "Period": 60, "Stat": "Sum"}}],
    ],
)
async def test_queries_that_are_refused(cloudwatch: CloudWatch, queries: list[dict[str, Any]]) -> None:
    code, _ = await cloudwatch.refused(
        "GetMetricData", MetricDataQueries=queries, StartTime=float(NOW_S), EndTime=NOW_S + 60.0
    )
    assert code in ("ValidationError", "InvalidParameterValue")


async def test_lists_in_pages_and_by_filter(cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_metrics, "_PAGE", 2)
    for number in range(5):
        dimensions = [{"Name": "host", "Value": str(number % 2)}]
        await cloudwatch.put({"MetricName": f"m{number}", "Value": 1.0, "Dimensions": dimensions})
    await cloudwatch.put({"Value": 1.0}, namespace="other")

    async def names(**params: Any) -> list[str]:
        found: list[str] = []
        while True:
            answer = await cloudwatch("ListMetrics", **params)
            found += [metric["MetricName"] for metric in answer["Metrics"]]
            if "NextToken" not in answer:
                return found
            params["NextToken"] = answer["NextToken"]

    assert await names() == ["m0", "m1", "m2", "m3", "m4", "m"]
    assert await names(Namespace="app") == ["m0", "m1", "m2", "m3", "m4"]
    assert await names(Namespace="app", MetricName="m3") == ["m3"]
    assert await names(Dimensions=[{"Name": "host"}]) == ["m0", "m1", "m2", "m3", "m4"]
    assert await names(Dimensions=[{"Name": "host", "Value": "1"}]) == ["m1", "m3"]
    assert (await cloudwatch("ListMetrics", region="eu-west-1"))["Metrics"] == []
    await cloudwatch.clock.advance(3 * 3600 + 1)
    assert await names(RecentlyActive="PT3H") == []
    assert len(await names()) == 6
    await cloudwatch.clock.advance(14 * DAY)
    assert await names() == []
    assert (await cloudwatch.refused("ListMetrics", NextToken="x"))[0] == "InvalidParameterValue"


async def test_what_is_old_is_removed(cloudwatch: CloudWatch) -> None:
    await cloudwatch.put({"Value": 1.0}, {"Value": 1.0, "StorageResolution": 1, "MetricName": "n"})
    cloudwatch.recorder.start()
    await cloudwatch.clock.advance(15 * DAY - 120)
    assert await cloudwatch.count("cw_points") == 2
    await cloudwatch.clock.advance(2 * 3600)
    assert await cloudwatch.count("cw_points") == 0
    assert await cloudwatch.count("cw_metrics") == 0
    totals = await cloudwatch.database.read(lambda tx: tx.one("SELECT metrics, points FROM cw_totals"))
    assert totals is not None
    assert tuple(totals) == (0, 0)  # type: ignore[arg-type]
    await cloudwatch.recorder.close()


async def test_metrics_and_points_are_bounded(cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_METRICS", 3)
    monkeypatch.setattr(store, "MAX_POINTS", 10)
    for number in range(3):
        await cloudwatch.put({"MetricName": str(number), "Value": 1.0})
    code, text = await cloudwatch.refused(
        "PutMetricData", Namespace="app", MetricData=[{"MetricName": "4", "Value": 1.0}]
    )
    assert (code, "3 different metrics" in text) == ("LimitExceeded", True)
    for minute in range(20):
        await cloudwatch.put({"MetricName": "0", "Value": 1.0, "Timestamp": NOW_S - 60.0 * minute})
    await cloudwatch.recorder.sweep()
    assert await cloudwatch.count("cw_points") == 10
    newest = await cloudwatch.statistics("Sum", MetricName="0")
    assert [point["Timestamp"] for point in newest][-1] == 0.0


async def test_reading_goes_on_over_many_reads(cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "_POINTS_PER_READ", 4)
    for minute in range(10):
        for unit in ("Count", "Bytes", "None"):
            await cloudwatch.put({"Value": 1.0, "Unit": unit, "Timestamp": NOW_S + 60.0 * minute})
    found = await cloudwatch.statistics("Sum", Period=180)
    assert sum(point["Sum"] for point in found) == 30.0
    assert len(found) == 4 * 3
    answer = await cloudwatch.data(query("a", period=600))
    assert answer["MetricDataResults"][0]["Values"] == [30.0]


async def test_the_recorder_takes_every_five_seconds_and_once_more_at_the_end(cloudwatch: CloudWatch) -> None:
    def happen() -> None:
        cloudwatch.happened.append(
            single(scope=SCOPE, namespace="app", name="m", dimensions=(), unit="Count", at_s=float(NOW_S), value=1.0)
        )

    async def stored() -> float:
        row = await cloudwatch.database.read(lambda tx: tx.one("SELECT SUM(sum) FROM cw_points"))
        assert row is not None
        return float(row[0] or 0)

    cloudwatch.recorder.start()
    await cloudwatch.clock.settle()
    happen()
    await cloudwatch.clock.advance(4.9)
    assert await stored() == 0
    await cloudwatch.clock.advance(0.2)
    assert await stored() == 1
    happen()
    [point] = await cloudwatch.statistics("Sum")
    assert point["Sum"] == 2.0, "who asks is told what happened until now"
    happen()
    await cloudwatch.recorder.close()
    assert await stored() == 3


async def test_what_the_disk_refuses_is_stored_later(cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    full = True

    def record(tx: Any, samples: Any) -> None:
        if full:
            raise StorageError("no space left")
        whole(tx, samples)

    whole = store.record
    monkeypatch.setattr(store, "record", record)
    cloudwatch.happened.append(
        single(scope=SCOPE, namespace="app", name="m", dimensions=(), unit="Count", at_s=float(NOW_S), value=1.0)
    )
    await cloudwatch.recorder.record()
    assert await cloudwatch.statistics("Sum") == []
    full = False
    [point] = await cloudwatch.statistics("Sum")
    assert point["Sum"] == 1.0


async def test_reads_use_the_primary_key(cloudwatch: CloudWatch) -> None:
    plans: list[str] = []

    def explain(tx: Any) -> None:
        class Explaining:
            def all(self, sql: str, parameters: Any = ()) -> list[Any]:
                plans.append(" ".join(row["detail"] for row in tx.all("EXPLAIN QUERY PLAN " + sql, parameters)))
                return []

        key = store.MetricKey(scope=SCOPE, namespace="n", name="m", dimensions=())
        store.points(
            Explaining(),  # type: ignore[arg-type]
            key,
            resolution_s=60,
            since_s=0,
            until_s=9,
            unit=None,
            buckets=True,
            limit=5,
        )
        store.page(
            Explaining(),  # type: ignore[arg-type]
            SCOPE,
            namespace=None,
            name=None,
            since_s=0,
            after=("", "", ""),
            limit=5,
        )

    await cloudwatch.database.read(explain)
    assert all("SCAN" not in plan and "TEMP B-TREE" not in plan for plan in plans), plans
