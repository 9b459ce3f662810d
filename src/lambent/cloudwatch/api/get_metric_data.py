"""GetMetricData: several metrics over time, and arithmetic on them, in pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

from lambent.cloudwatch import series
from lambent.cloudwatch.api.furniture import CLOUDWATCH, Parts, check_period, check_span, dimensions_of
from lambent.cloudwatch.errors import InvalidNextToken, InvalidParameterValue, MetricsValidationError
from lambent.cloudwatch.expressions import Expression, InvalidExpression
from lambent.cloudwatch.model import MetricKey
from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext
from lambent.core.pagination import InvalidMarker, decode_marker, encode_marker

_LIST: Final = "GetMetricData"
# CloudWatch API reference, "GetMetricData".
_MAX_QUERIES: Final = 500
_MAX_DATAPOINTS: Final = 100_800
# A bound of ours: more exist only to exhaust the stack.
_MAX_LEVELS: Final = 50
_ID: Final = re.compile(r"[a-z][a-zA-Z0-9_]*", re.ASCII)

Query = Mapping[str, Any]


def operations(parts: Parts) -> list[Operation]:
    return [
        Operation(
            service=CLOUDWATCH,
            name="GetMetricData",
            handler=_GetMetricData(parts),
            enforced=("MetricDataQueries", "StartTime", "EndTime", "NextToken", "ScanBy", "MaxDatapoints"),
            rejected={
                "MetricDataQueries.AccountId": Rejection(reason="there are no linked accounts"),
                "MetricDataQueries.Period": Rejection(reason="only Metrics Insights and SEARCH have use for it"),
                "LabelOptions": Rejection(reason="labels are not dynamic"),
            },
            note="Expressions: + - * / ^, parentheses, numbers and ids; functions, SEARCH and Metrics Insights are "
            "refused, and so are dynamic labels. Statistics: SampleCount, Average, Sum, Minimum, Maximum, percentiles.",
        )
    ]


class _GetMetricData:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, context: RequestContext, params: Params) -> Output:
        queries: Sequence[Query] = params["MetricDataQueries"]
        limit = params.get("MaxDatapoints", _MAX_DATAPOINTS)
        if not 1 <= limit <= _MAX_DATAPOINTS:
            raise InvalidParameterValue(f"The value {limit} for parameter MaxDatapoints is invalid.")
        check_span(params["StartTime"], params["EndTime"])
        expressions = checked(queries)
        at = _start(params.get("NextToken"))
        await self._parts.recorder.record()
        found = _Results(self._parts, context, params, queries, expressions)
        descending = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results: list[dict[str, Any]] = []
        asked = [query for query in queries if query.get("ReturnData", True)]
        for place, query in enumerate(asked):
            if place < at[0]:
                continue
            values = sorted((await found.of(query["Id"])).items(), reverse=descending)
            skipped = at[1] if place == at[0] else 0
            page = values[skipped : skipped + limit]
            limit -= len(page)
            complete = skipped + len(page) == len(values)
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label") or _label(query),
                    "Timestamps": [float(moment) for moment, _ in page],
                    "Values": [value for _, value in page],
                    "StatusCode": "Complete" if complete else "PartialData",
                }
            )
            if not complete or (limit == 0 and place + 1 < len(asked)):
                following = (place + 1, 0) if complete else (place, skipped + len(page))
                token = encode_marker(_LIST, f"{following[0]} {following[1]}")
                return {"MetricDataResults": results, "Messages": [], "NextToken": token}
        return {"MetricDataResults": results, "Messages": []}


class _Results:
    """The values of queries by id, each computed when it is first asked for."""

    def __init__(
        self,
        parts: Parts,
        context: RequestContext,
        params: Params,
        queries: Sequence[Query],
        expressions: Mapping[str, Expression],
    ) -> None:
        self._parts = parts
        self._context = context
        self._start_s, self._end_s = params["StartTime"], params["EndTime"]
        self._queries = {query["Id"]: query for query in queries}
        self._expressions = expressions
        self._values: dict[str, dict[int, float]] = {}

    async def of(self, query_id: str) -> dict[int, float]:
        known = self._values.get(query_id)
        if known is None:
            expression = self._expressions.get(query_id)
            if expression is None:
                known = await self._read(self._queries[query_id]["MetricStat"])
            else:
                known = expression.over({each: await self.of(each) for each in sorted(expression.ids)})
            self._values[query_id] = known
        return known

    async def _read(self, stat: Mapping[str, Any]) -> dict[int, float]:
        metric, period_s = stat["Metric"], stat["Period"]
        compute = series.statistic(stat["Stat"])
        assert compute is not None  # checked before
        start_s = int(self._start_s // period_s) * period_s
        key = MetricKey(
            scope=self._context.scope,
            namespace=metric["Namespace"],
            name=metric["MetricName"],
            dimensions=dimensions_of(metric.get("Dimensions", [])),
        )
        points = await series.read(
            self._parts.database,
            key,
            start_s=start_s,
            end_s=ceil(self._end_s),
            period_s=period_s,
            unit=stat.get("Unit"),
            by_unit=False,
            percentiles=series.is_percentile(stat["Stat"]),
        )
        values = {}
        for point in points:
            value = compute(point)
            if value is not None:
                values[point.start_s] = value
        return values


def checked(queries: Sequence[Query]) -> dict[str, Expression]:
    """The expressions among the queries, by id. Raises MetricsValidationError, InvalidParameterValue."""
    if not 1 <= len(queries) <= _MAX_QUERIES:
        raise MetricsValidationError(f"The collection MetricDataQueries must have 1 to {_MAX_QUERIES} members.")
    expressions: dict[str, Expression] = {}
    ids: set[str] = set()
    for number, query in enumerate(queries, 1):
        query_id, path = query["Id"], f"MetricDataQueries.member.{number}"
        if not _ID.fullmatch(query_id):
            raise MetricsValidationError(
                f"The value {query_id} for parameter {path}.Id is not matching the expected pattern"
            )
        if query_id in ids:
            raise MetricsValidationError(f"The values for parameter id in MetricDataQueries are not unique: {query_id}")
        ids.add(query_id)
        if ("Expression" in query) == ("MetricStat" in query):
            raise MetricsValidationError(f"{path} must have either an Expression or a MetricStat.")
        if "${" in query.get("Label", ""):
            raise InvalidParameterValue(f"Lambent does not support dynamic labels ({path}.Label) yet.")
        if "Expression" in query:
            try:
                expressions[query_id] = Expression(query["Expression"])
            except InvalidExpression as invalid:
                raise MetricsValidationError(f"Error in expression '{query_id}': {invalid}.") from None
            continue
        stat = query["MetricStat"]
        check_period(stat["Period"])
        if series.statistic(stat["Stat"]) is None:
            raise MetricsValidationError(
                f"The value {stat['Stat']} for parameter {path}.MetricStat.Stat is invalid "
                "or not supported by Lambent yet."
            )
        if not {"Namespace", "MetricName"} <= stat["Metric"].keys():
            raise MetricsValidationError(f"The parameter {path}.MetricStat.Metric needs a Namespace and a MetricName.")
    if all(query.get("ReturnData") is False for query in queries):
        raise MetricsValidationError("At least one query must return data.")
    _check_names(expressions, ids)
    return expressions


def _check_names(expressions: Mapping[str, Expression], ids: set[str]) -> None:
    """Every expression names what there is, and none itself over others."""
    for query_id, expression in expressions.items():
        unknown = sorted(expression.ids - ids)
        if unknown:
            raise MetricsValidationError(f"Error in expression '{query_id}': Unknown identifier {unknown[0]}.")
    left = dict(expressions)
    levels = 0
    while left:
        levels += 1
        if levels > _MAX_LEVELS:
            raise MetricsValidationError("The expressions build on one another too deeply.")
        free = [query_id for query_id, expression in left.items() if not expression.ids & left.keys()]
        if not free:
            raise MetricsValidationError(f"Error in expression '{min(left)}': it depends on itself.")
        for query_id in free:
            del left[query_id]


def _label(query: Query) -> str:
    return str(query["Id"] if "Expression" in query else query["MetricStat"]["Metric"]["MetricName"])


def _start(token: str | None) -> tuple[int, int]:
    """The query, among those that return data, and how many of its values come before. Raises InvalidNextToken."""
    if token is None:
        return 0, 0
    try:
        query, skipped = decode_marker(_LIST, token).split(" ")
        return int(query), int(skipped)
    except (InvalidMarker, ValueError):
        raise InvalidNextToken("The token is invalid.") from None
