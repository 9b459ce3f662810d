"""What metrics are: a name and dimensions in a namespace; points that add up what was observed in a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from lambent.cloudwatch import distribution
from lambent.cloudwatch.distribution import Buckets
from lambent.core.operations import Scope

MINUTE_S: Final = 60
DAY_S: Final = 86_400
# CloudWatch user guide, "Metrics retention": points of a minute for 15 days, of a second for 3 hours.
RETENTION_S: Final = {1: 3 * 3600, MINUTE_S: 15 * DAY_S}
# CloudWatch API reference, "ListMetrics": metrics without data for two weeks are not listed.
LISTED_S: Final = 14 * DAY_S

Dimensions = tuple[tuple[str, str], ...]


class MetricKey(msgspec.Struct, frozen=True, kw_only=True):
    """Which metric. Dimensions are in the order of their names."""

    scope: Scope
    namespace: str
    name: str
    dimensions: Dimensions


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What was observed in the span that begins at `start_s`. Without `buckets` there are no percentiles of it."""

    start_s: int
    unit: str
    count: float
    sum: float
    minimum: float
    maximum: float
    buckets: Buckets | None


def ordered(dimensions: Sequence[tuple[str, str]]) -> Dimensions:
    """The order does not matter to what a metric is."""
    return tuple(sorted(dimensions))


class Total:
    """Points, added up into one that begins at `start_s`. Units that differ become None."""

    __slots__ = ("_buckets", "_count", "_maximum", "_minimum", "_start_s", "_sum", "_unit")

    def __init__(self, start_s: int, first: Point) -> None:
        self._start_s = start_s
        self._unit = first.unit
        self._count, self._sum = first.count, first.sum
        self._minimum, self._maximum = first.minimum, first.maximum
        self._buckets = None if first.buckets is None else dict(first.buckets)

    def add(self, point: Point) -> None:
        self._count += point.count
        self._sum += point.sum
        self._minimum = min(self._minimum, point.minimum)
        self._maximum = max(self._maximum, point.maximum)
        if point.unit != self._unit:
            self._unit = "None"
        if self._buckets is not None and point.buckets is not None:
            distribution.add(self._buckets, point.buckets)
        else:
            self._buckets = None

    def point(self) -> Point:
        return Point(
            start_s=self._start_s,
            unit=self._unit,
            count=self._count,
            sum=self._sum,
            minimum=self._minimum,
            maximum=self._maximum,
            buckets=self._buckets,
        )
