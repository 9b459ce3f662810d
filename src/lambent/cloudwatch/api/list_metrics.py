"""ListMetrics: which metrics had data in the last two weeks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from lambent.cloudwatch import store
from lambent.cloudwatch.api.furniture import CLOUDWATCH, Parts, only_unset
from lambent.cloudwatch.errors import InvalidParameterValue
from lambent.cloudwatch.model import LISTED_S
from lambent.cloudwatch.store import KnownMetric
from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext
from lambent.core.pagination import InvalidMarker, decode_marker, encode_marker

_LIST: Final = "ListMetrics"
_PAGE: Final = 500  # CloudWatch API reference, "ListMetrics"
_PAGES_LOOKED_AT: Final = 20
_RECENT_S: Final = 3 * 3600

Place = tuple[str, str, str]


def operations(parts: Parts) -> list[Operation]:
    return [
        Operation(
            service=CLOUDWATCH,
            name="ListMetrics",
            handler=_ListMetrics(parts),
            enforced=("Namespace", "MetricName", "Dimensions", "NextToken", "RecentlyActive"),
            rejected={
                "IncludeLinkedAccounts": only_unset("there are no linked accounts"),
                "OwningAccount": Rejection(reason="there are no linked accounts"),
            },
        )
    ]


class _ListMetrics:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, context: RequestContext, params: Params) -> Output:
        await self._parts.recorder.record()
        filters = [(each["Name"], each.get("Value")) for each in params.get("Dimensions", [])]
        since_s = int(self._parts.clock.now()) - (_RECENT_S if "RecentlyActive" in params else LISTED_S)
        after = _place(params.get("NextToken"))
        found: list[KnownMetric] = []
        for _ in range(_PAGES_LOOKED_AT):
            work = functools.partial(
                store.page,
                scope=context.scope,
                namespace=params.get("Namespace"),
                name=params.get("MetricName"),
                since_s=since_s,
                after=after,
                limit=_PAGE,
            )
            page = await self._parts.database.read(work)
            for metric in page:
                after = (metric.key.namespace, metric.key.name, metric.dimensions_text)
                if _matches(metric, filters):
                    found.append(metric)
                    if len(found) == _PAGE:
                        break
            if len(page) < _PAGE and (not page or after == _last(page)):
                return {"Metrics": [_describe(metric) for metric in found]}
            if len(found) == _PAGE:
                break
        token = encode_marker(_LIST, msgspec.json.encode(after).decode())
        return {"Metrics": [_describe(metric) for metric in found], "NextToken": token}


def _last(page: Sequence[KnownMetric]) -> Place:
    last = page[-1]
    return last.key.namespace, last.key.name, last.dimensions_text


def _matches(metric: KnownMetric, filters: Sequence[tuple[str, str | None]]) -> bool:
    dimensions = dict(metric.key.dimensions)
    return all(name in dimensions and value in (None, dimensions[name]) for name, value in filters)


def _describe(metric: KnownMetric) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.key.dimensions]
    return {"Namespace": metric.key.namespace, "MetricName": metric.key.name, "Dimensions": dimensions}


def _place(token: str | None) -> Place:
    """After which metric the page starts. Raises InvalidParameterValue."""
    if token is None:
        return "", "", ""
    try:
        return msgspec.json.decode(decode_marker(_LIST, token), type=tuple[str, str, str])
    except (InvalidMarker, msgspec.DecodeError):
        raise InvalidParameterValue("The value of parameter NextToken is invalid.") from None
