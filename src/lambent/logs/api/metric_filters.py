"""TestMetricFilter, and the lists of filters that nobody can make here."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.logs import groups
from lambent.logs.api.furniture import LOGS, Parts, matcher


def operations(parts: Parts) -> list[Operation]:
    room = _Filters(parts)
    listing = ("filterNamePrefix", "nextToken", "limit")
    return [
        Operation(
            service=LOGS, name="TestMetricFilter", handler=room.test, enforced=("filterPattern", "logEventMessages")
        ),
        Operation(
            service=LOGS,
            name="DescribeMetricFilters",
            handler=room.describe_metric_filters,
            enforced=("logGroupName", "metricName", "metricNamespace", *listing),
            note="Always empty: metric filters cannot be made yet.",
        ),
        Operation(
            service=LOGS,
            name="DescribeSubscriptionFilters",
            handler=room.describe_subscription_filters,
            enforced=("logGroupName", *listing),
            note="Always empty: subscription filters cannot be made yet.",
        ),
    ]


class _Filters:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def test(self, context: RequestContext, params: Params) -> Output:
        matches = matcher(params["filterPattern"])
        found = []
        for number, message in enumerate(params["logEventMessages"], 1):
            values = {} if matches is None else matches(message)
            if values is not None:
                found.append({"eventNumber": number, "eventMessage": message, "extractedValues": values})
        return {"matches": found}

    async def describe_metric_filters(self, context: RequestContext, params: Params) -> Output:
        if "logGroupName" in params:
            await self._require(context, params["logGroupName"])
        return {"metricFilters": []}

    async def describe_subscription_filters(self, context: RequestContext, params: Params) -> Output:
        await self._require(context, params["logGroupName"])
        return {"subscriptionFilters": []}

    async def _require(self, context: RequestContext, name: str) -> None:
        await self._parts.look(context, lambda tx, scope: groups.require(tx, scope, name))
