"""PutMetricData: what CloudWatch accepts of a datum, and the datum as samples."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from lambent.cloudwatch import recorder
from lambent.cloudwatch.api.furniture import CLOUDWATCH, Parts, dimensions_of, only_unset
from lambent.cloudwatch.errors import InvalidParameterCombination, InvalidParameterValue, MissingParameter
from lambent.cloudwatch.model import DAY_S, MINUTE_S
from lambent.core.limits import MIB
from lambent.core.metric_data import MetricSample
from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext, Scope

# CloudWatch API reference, "PutMetricData".
_MAX_BODY_BYTES: Final = MIB
_MAX_DATA: Final = 1_000
_MAX_VALUES: Final = 150
_LARGEST: Final = 2.0**360
_OLDEST_S: Final = 14 * DAY_S
_NEWEST_S: Final = 2 * 3600


def operations(parts: Parts) -> list[Operation]:
    return [
        Operation(
            service=CLOUDWATCH,
            name="PutMetricData",
            handler=_PutMetricData(parts),
            enforced=("Namespace", "MetricData"),
            rejected={
                "EntityMetricData": Rejection(reason="metrics are not grouped by entity"),
                "StrictEntityValidation": only_unset("metrics are not grouped by entity"),
            },
            max_body_bytes=_MAX_BODY_BYTES,
            note="Data are there at once. Points of a minute are kept for 15 days, of a second for 3 hours; 100,000 "
            "metrics and 5,000,000 points at most, the oldest go first.",
        )
    ]


class _PutMetricData:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, context: RequestContext, params: Params) -> Output:
        namespace, data = params["Namespace"], params.get("MetricData", [])
        if namespace.startswith("AWS/"):
            raise InvalidParameterValue("The value AWS/ for parameter Namespace is invalid.")
        if not data:
            raise MissingParameter("The parameter MetricData is required.")
        if len(data) > _MAX_DATA:
            raise InvalidParameterValue(f"The collection MetricData must not have a size greater than {_MAX_DATA}.")
        now_s = self._parts.clock.now()
        samples = [
            sample(context.scope, namespace, datum, now_s, f"MetricData.member.{number}")
            for number, datum in enumerate(data, 1)
        ]
        await recorder.record(self._parts.database, samples)
        return None


def sample(scope: Scope, namespace: str, datum: Mapping[str, Any], now_s: float, path: str) -> MetricSample:
    """A datum as a sample. Raises InvalidParameterValue, InvalidParameterCombination and MissingParameter."""
    at_s = datum.get("Timestamp", now_s)
    if not now_s - _OLDEST_S <= at_s <= now_s + _NEWEST_S:
        raise InvalidParameterValue(
            f"The parameter {path}.Timestamp must specify a time within the past two weeks or the next two hours."
        )
    resolution_s = datum.get("StorageResolution", MINUTE_S)
    if resolution_s not in (1, MINUTE_S):
        raise InvalidParameterValue(f"The value {resolution_s} for parameter {path}.StorageResolution is invalid.")
    common = {
        "scope": scope,
        "namespace": namespace,
        "name": datum["MetricName"],
        "dimensions": dimensions_of(datum.get("Dimensions", [])),
        "unit": datum.get("Unit", "None"),
        "at_s": at_s,
        "high_resolution": resolution_s == 1,
    }
    given = [member for member in ("Value", "Values", "StatisticValues") if datum.get(member) is not None]
    if not given:
        raise MissingParameter(
            f"At least one of the parameters {path}.Value, {path}.Values or {path}.StatisticValues must be specified."
        )
    if len(given) > 1:
        both = " and ".join(f"{path}.{member}" for member in given[:2])
        raise InvalidParameterCombination(f"The parameters {both} are mutually exclusive and you have specified both.")
    if given == ["StatisticValues"]:
        return _of_statistics(common, datum["StatisticValues"], path)
    values = datum["Values"] if given == ["Values"] else [datum["Value"]]
    return _of_values(common, values, datum.get("Counts"), path)


def _of_values(common: dict[str, Any], values: list[float], counts: list[float] | None, path: str) -> MetricSample:
    if not 0 < len(values) <= _MAX_VALUES:
        raise InvalidParameterValue(f"The collection {path}.Values must have 1 to {_MAX_VALUES} values.")
    if counts is None:
        counts = [1.0] * len(values)
    elif len(counts) != len(values):
        raise InvalidParameterValue(f"The parameters {path}.Values and {path}.Counts must be of the same size.")
    for value in values:
        _check(value, f"{path}.Value")
    for count in counts:
        _check(count, f"{path}.Counts")
        if count <= 0:
            raise InvalidParameterValue(f"The value {count:g} for parameter {path}.Counts is invalid.")
    return MetricSample(
        count=sum(counts),
        sum=sum(value * count for value, count in zip(values, counts, strict=True)),
        minimum=min(values),
        maximum=max(values),
        values=tuple(zip(values, counts, strict=True)),
        **common,
    )


def _of_statistics(common: dict[str, Any], statistics: Mapping[str, float], path: str) -> MetricSample:
    for name, value in statistics.items():
        _check(value, f"{path}.StatisticValues.{name}")
    count, minimum, maximum = statistics["SampleCount"], statistics["Minimum"], statistics["Maximum"]
    if count <= 0:
        raise InvalidParameterValue(f"The value {count:g} for parameter {path}.StatisticValues.SampleCount is invalid.")
    if minimum > maximum:
        raise InvalidParameterValue(
            f"The parameter {path}.StatisticValues.Maximum must be greater than {path}.StatisticValues.Minimum."
        )
    # CloudWatch user guide, "Percentiles": of statistic sets only where they leave no doubt.
    exact = count == 1 or minimum == maximum
    return MetricSample(
        count=count,
        sum=statistics["Sum"],
        minimum=minimum,
        maximum=maximum,
        values=((minimum, count),) if exact else None,
        **common,
    )


def _check(value: float, path: str) -> None:
    if not isfinite(value) or abs(value) > _LARGEST:
        raise InvalidParameterValue(f"The value {value:g} for parameter {path} is invalid.")
