"""GetMetricStatistics: one metric over time."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

from lambent.cloudwatch import series
from lambent.cloudwatch.api.furniture import CLOUDWATCH, Parts, check_period, check_span, dimensions_of
from lambent.cloudwatch.errors import InvalidParameterCombination, InvalidParameterValue, MissingParameter
from lambent.cloudwatch.model import MINUTE_S, MetricKey, Point
from lambent.core.operations import Operation, Output, Params, RequestContext

# CloudWatch API reference, "GetMetricStatistics".
_MAX_DATAPOINTS: Final = 1_440


def operations(parts: Parts) -> list[Operation]:
    return [
        Operation(
            service=CLOUDWATCH,
            name="GetMetricStatistics",
            handler=_GetMetricStatistics(parts),
            enforced=(
                "Namespace",
                "MetricName",
                "Dimensions",
                "StartTime",
                "EndTime",
                "Period",
                "Statistics",
                "ExtendedStatistics",
                "Unit",
            ),
            note="ExtendedStatistics: percentiles (p0 to p100), 1 % off at most; others are refused.",
        )
    ]


class _GetMetricStatistics:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, context: RequestContext, params: Params) -> Output:
        statistics, extended = params.get("Statistics", []), params.get("ExtendedStatistics", [])
        if not statistics and not extended:
            raise MissingParameter(
                "At least one of the parameters Statistics and ExtendedStatistics must be specified."
            )
        percentiles = {}
        for name in extended:
            compute = series.statistic(name) if series.is_percentile(name) else None
            if compute is None:
                raise InvalidParameterValue(
                    f"The value {name} for parameter ExtendedStatistics is invalid or not supported by Lambent yet."
                )
            percentiles[name] = compute
        period_s = check_period(params["Period"])
        check_span(params["StartTime"], params["EndTime"])
        start_s = int(params["StartTime"])
        if period_s % MINUTE_S == 0:  # API reference, StartTime: rounded down to the minute
            start_s -= start_s % MINUTE_S
        end_s = ceil(params["EndTime"])
        wanted = ceil((end_s - start_s) / period_s)
        if wanted > _MAX_DATAPOINTS:
            raise InvalidParameterCombination(
                f"You have requested up to {wanted:,} datapoints, which exceeds the limit of {_MAX_DATAPOINTS:,}. You "
                "may reduce the datapoints requested by increasing Period, or decreasing the time range."
            )
        key = MetricKey(
            scope=context.scope,
            namespace=params["Namespace"],
            name=params["MetricName"],
            dimensions=dimensions_of(params.get("Dimensions", [])),
        )
        await self._parts.recorder.record()
        points = await series.read(
            self._parts.database,
            key,
            start_s=start_s,
            end_s=end_s,
            period_s=period_s,
            unit=params.get("Unit"),
            by_unit=True,
            percentiles=bool(percentiles),
        )
        datapoints = []
        for point in points:
            values = {name: compute(point) for name, compute in percentiles.items()}
            datapoints.append(_describe(point, statistics) | _extended(values))
        return {"Label": key.name, "Datapoints": datapoints}


def _describe(point: Point, statistics: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {"Timestamp": float(point.start_s), "Unit": point.unit}
    for name in statistics:
        compute = series.statistic(name)
        if compute is not None:
            described[name] = compute(point)
    return described


def _extended(values: dict[str, float | None]) -> dict[str, Any]:
    known = {name: value for name, value in values.items() if value is not None}
    return {"ExtendedStatistics": known} if known else {}
