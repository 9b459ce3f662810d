"""Lambda's own metrics (Lambda developer guide, "Types of metrics for Lambda functions"), out of what functions did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lambent.core.arns import Arn
from lambent.core.clock import Clock
from lambent.core.metric_data import MetricSample, single
from lambent.core.operations import Scope
from lambent.execution.activity import ActivityReader, FunctionActivity

NAMESPACE: Final = "AWS/Lambda"

Dimensions = tuple[tuple[str, str], ...]


class LambdaMetrics:
    """Invocations, Errors, Throttles, Duration and ConcurrentExecutions, by FunctionName and over all functions.

    Events count for the moment of the look, not for that in which they began.
    """

    def __init__(self, activity: ActivityReader, clock: Clock) -> None:
        self._activity = activity
        self._clock = clock

    def take(self) -> list[MetricSample]:
        """The samples of what happened since the last call."""
        at_s = self._clock.now()
        samples: list[MetricSample] = []
        totals: dict[Scope, list[FunctionActivity]] = {}
        for activity in self._activity.take():
            arn = Arn.parse(activity.function_arn)
            scope = Scope(account=arn.account, region=arn.region)
            totals.setdefault(scope, []).append(activity)
            samples += _samples(scope, (("FunctionName", arn.resource.removeprefix("function:")),), activity, at_s)
        for scope, activities in totals.items():
            # Peaks of functions need not coincide: their sum is what may have run at most within this look.
            samples += _samples(scope, (), _together(activities), at_s)
        return samples


def _together(activities: Sequence[FunctionActivity]) -> FunctionActivity:
    return FunctionActivity(
        function_arn="",
        invocations=sum(each.invocations for each in activities),
        errors=sum(each.errors for each in activities),
        throttles=sum(each.throttles for each in activities),
        durations=tuple(pair for each in activities for pair in each.durations),
        duration_count=sum(each.duration_count for each in activities),
        duration_sum_ms=sum(each.duration_sum_ms for each in activities),
        shortest_ms=min(each.shortest_ms for each in activities),
        longest_ms=max(each.longest_ms for each in activities),
        peak_concurrency=sum(each.peak_concurrency for each in activities),
    )


def _samples(scope: Scope, dimensions: Dimensions, activity: FunctionActivity, at_s: float) -> Iterable[MetricSample]:
    # Each event is one observation of Invocations (1) and one of Errors and Throttles (1 or 0): averages are rates.
    asked = activity.invocations + activity.throttles
    for name, happened, observed in (
        ("Invocations", activity.invocations, activity.invocations),
        ("Errors", activity.errors, max(activity.invocations, activity.errors)),
        ("Throttles", activity.throttles, asked),
    ):
        if observed:
            yield MetricSample(
                scope=scope,
                namespace=NAMESPACE,
                name=name,
                dimensions=dimensions,
                unit="Count",
                at_s=at_s,
                count=observed,
                sum=happened,
                minimum=1.0 if happened == observed else 0.0,
                maximum=1.0 if happened else 0.0,
                values=((1.0, happened), (0.0, observed - happened)),
            )
    if activity.duration_count:
        yield MetricSample(
            scope=scope,
            namespace=NAMESPACE,
            name="Duration",
            dimensions=dimensions,
            unit="Milliseconds",
            at_s=at_s,
            count=activity.duration_count,
            sum=activity.duration_sum_ms,
            minimum=activity.shortest_ms,
            maximum=activity.longest_ms,
            values=activity.durations,
        )
    if activity.peak_concurrency:
        yield single(
            scope=scope,
            namespace=NAMESPACE,
            name="ConcurrentExecutions",
            dimensions=dimensions,
            unit="Count",
            at_s=at_s,
            value=activity.peak_concurrency,
        )
