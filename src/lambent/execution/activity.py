"""What functions have done since the last look, out of counters that only grow.

Looking costs something for each function, and nothing for each event: counting is all that an invoke does.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lambent.execution.metrics import DURATION_BOUNDS_MS, FunctionCounters, Metrics


class FunctionActivity(msgspec.Struct, frozen=True, kw_only=True):
    """One function since the last look. `durations` are (ms, how many) pairs, rounded to within a tenth.

    `shortest_ms` and `longest_ms` mean nothing without durations.
    """

    function_arn: str  # unqualified
    invocations: int
    errors: int
    throttles: int
    durations: tuple[tuple[float, int], ...]
    duration_count: int
    duration_sum_ms: float
    shortest_ms: float
    longest_ms: float
    peak_concurrency: int


class _Seen:
    __slots__ = ("counts", "duration_count", "duration_sum_ms", "errors", "invocations", "throttles")

    def __init__(self) -> None:
        self.invocations = self.errors = self.throttles = self.duration_count = 0
        self.duration_sum_ms = 0.0
        self.counts = [0] * (len(DURATION_BOUNDS_MS) + 1)


class ActivityReader:
    """The one reader of what functions do. `concurrency_of` gives a function's events that are running."""

    def __init__(self, metrics: Metrics, concurrency_of: Callable[[str], int]) -> None:
        self._metrics = metrics
        self._concurrency_of = concurrency_of
        self._seen: dict[str, _Seen] = {}

    def take(self) -> list[FunctionActivity]:
        """What every function that did anything, or is doing something, has done since the last call."""
        found = []
        for arn, counters in self._metrics.items():
            seen = self._seen.get(arn)
            if seen is None:
                seen = self._seen[arn] = _Seen()
            activity = self._difference(arn, counters, seen)
            if activity is not None:
                found.append(activity)
        return found

    def _difference(self, arn: str, counters: FunctionCounters, seen: _Seen) -> FunctionActivity | None:
        running = self._concurrency_of(arn)
        peak, counters.peak_concurrency = max(counters.peak_concurrency, running), 0
        invocations = counters.invocations - seen.invocations
        errors = counters.errors - seen.errors
        total_throttles = counters.throttles.total()
        throttles = total_throttles - seen.throttles
        durations = counters.durations
        finished = durations.count - seen.duration_count
        if not (peak or invocations or errors or throttles or finished):
            return None
        shortest_ms, longest_ms = durations.take_extremes()
        pairs = tuple(
            (_middle_ms(place, shortest_ms, longest_ms), count - before)
            for place, (count, before) in enumerate(zip(durations.counts, seen.counts, strict=True))
            if count != before
        )
        activity = FunctionActivity(
            function_arn=arn,
            invocations=invocations,
            errors=errors,
            throttles=throttles,
            durations=pairs,
            duration_count=finished,
            duration_sum_ms=durations.sum_ms - seen.duration_sum_ms,
            shortest_ms=shortest_ms,
            longest_ms=longest_ms,
            peak_concurrency=peak,
        )
        seen.invocations, seen.errors, seen.throttles = counters.invocations, counters.errors, total_throttles
        seen.duration_count, seen.duration_sum_ms = durations.count, durations.sum_ms
        seen.counts = list(durations.counts)
        return activity


def _middle_ms(place: int, shortest_ms: float, longest_ms: float) -> float:
    """What stands for the durations in a bucket."""
    if place == len(DURATION_BOUNDS_MS):
        return longest_ms
    above_ms = DURATION_BOUNDS_MS[place]
    below_ms = DURATION_BOUNDS_MS[place - 1] if place else above_ms / 2
    middle_ms: float = (below_ms * above_ms) ** 0.5
    return min(max(middle_ms, shortest_ms), longest_ms)
