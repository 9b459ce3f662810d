"""A metric over time: one point for each period in which something was observed."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Final

from lambent.cloudwatch import distribution, store
from lambent.cloudwatch.model import MINUTE_S, MetricKey, Point, Total
from lambent.storage.database import Database

# One read holds the event loop while it runs: a thousand points take a few milliseconds.
_POINTS_PER_READ: Final = 1_000
_PERCENTILE: Final = re.compile(r"p(\d{1,3}(?:\.\d{1,10})?)", re.ASCII)

Statistic = Callable[[Point], float | None]


async def read(
    database: Database,
    key: MetricKey,
    *,
    start_s: int,
    end_s: int,
    period_s: int,
    unit: str | None,
    by_unit: bool,
    percentiles: bool,
) -> list[Point]:
    """The metric's points from `start_s` to before `end_s`, one for each period (and unit, if `by_unit`), in order.

    Periods are counted from `start_s`. Those below a minute are served from points of a second, which are kept for
    metrics of high resolution alone. Points have buckets only if `percentiles` are wanted. Raises StorageError.
    """
    resolution_s = MINUTE_S if period_s % MINUTE_S == 0 else 1
    totals: dict[tuple[int, str], Total] = {}
    since_s = start_s
    while True:
        work = functools.partial(
            store.points,
            key=key,
            resolution_s=resolution_s,
            since_s=since_s,
            until_s=end_s,
            unit=unit,
            buckets=percentiles,
            limit=_POINTS_PER_READ,
        )
        points = await database.read(work)
        complete = len(points) < _POINTS_PER_READ
        if not complete:
            # The last moment may have units that were cut off: it is read again.
            since_s = points[-1].start_s
            points = [point for point in points if point.start_s < since_s]
        for point in points:
            period = start_s + (point.start_s - start_s) // period_s * period_s
            place = (period, point.unit if by_unit else "")
            total = totals.get(place)
            if total is None:
                totals[place] = Total(period, point)
            else:
                total.add(point)
        if complete:
            return [totals[place].point() for place in sorted(totals)]
        await asyncio.sleep(0)  # noqa: TID251 - gives way, waits for nothing


def statistic(name: str) -> Statistic | None:
    """What computes SampleCount, Average, Sum, Minimum, Maximum or a percentile (`p99.9`); None for other names."""
    known = _STATISTICS.get(name)
    if known is not None:
        return known
    found = _PERCENTILE.fullmatch(name)
    if found is None or float(found[1]) > 100:
        return None
    percent = float(found[1])

    def percentile(point: Point) -> float | None:
        if point.buckets is None:
            return None
        return distribution.percentile(point.buckets, percent, point.minimum, point.maximum)

    return percentile


def is_percentile(name: str) -> bool:
    return name not in _STATISTICS


_STATISTICS: Final[dict[str, Statistic]] = {
    "SampleCount": lambda point: point.count,
    "Sum": lambda point: point.sum,
    "Average": lambda point: point.sum / point.count if point.count else None,
    "Minimum": lambda point: point.minimum,
    "Maximum": lambda point: point.maximum,
}
