"""Counters that cost next to nothing to bump. Read by the status page and by exporters; they only ever grow."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from math import inf
from typing import Final

import msgspec

# Upper bounds in ms; one more bucket takes what is longer. Steps of a fourth of a doubling keep any percentile within a
# fifth, and every fourth bound is a power of two.
BOUNDS_PER_DOUBLING: Final = 4
DURATION_BOUNDS_MS: Final[tuple[float, ...]] = (*(2.0 ** (step / BOUNDS_PER_DOUBLING) for step in range(80)), 900_000.0)


class Histogram:
    """Durations in ms, counted in buckets. `shortest_ms` and `longest_ms` are those since `take_extremes`."""

    __slots__ = ("count", "counts", "longest_ms", "shortest_ms", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATION_BOUNDS_MS) + 1)
        self.count = 0
        self.sum_ms = 0.0
        self.shortest_ms = inf
        self.longest_ms = 0.0

    def observe(self, duration_ms: float) -> None:
        self.counts[bisect_left(DURATION_BOUNDS_MS, duration_ms)] += 1
        self.count += 1
        self.sum_ms += duration_ms
        if duration_ms < self.shortest_ms:
            self.shortest_ms = duration_ms
        if duration_ms > self.longest_ms:
            self.longest_ms = duration_ms

    def take_extremes(self) -> tuple[float, float]:
        """The shortest and the longest since this was last called, for the one reader that calls it."""
        extremes = self.shortest_ms, self.longest_ms
        self.shortest_ms, self.longest_ms = inf, 0.0
        return extremes

    def quantile_ms(self, fraction: float) -> float | None:
        """The upper bound of the bucket in which the quantile lies; None without observations."""
        if not self.count:
            return None
        wanted, seen = fraction * self.count, 0
        for bound_ms, count in zip(DURATION_BOUNDS_MS, self.counts, strict=False):
            seen += count
            if seen >= wanted and seen:
                return bound_ms
        return inf


class LastThrottle(msgspec.Struct, frozen=True, kw_only=True):
    """The latest throttle of a function. `at_s` is on the engine's monotonic clock."""

    at_s: float
    reason: str
    detail: str


class FunctionCounters:
    """What happened to one function's events. `errors` are results with a function error."""

    __slots__ = (
        "abandoned",
        "cold_starts",
        "durations",
        "errors",
        "inits",
        "invocations",
        "last_throttle",
        "peak_concurrency",
        "provisioned_invocations",
        "spillover_invocations",
        "throttles",
    )

    def __init__(self) -> None:
        self.invocations = 0
        self.errors = 0
        self.cold_starts = 0
        self.provisioned_invocations = 0  # on environments that provisioned concurrency keeps
        self.spillover_invocations = 0  # of versions that have it, on others
        self.abandoned = 0  # events whose caller went away before the answer
        self.peak_concurrency = 0  # since the one reader of it last set it back
        self.throttles: Counter[str] = Counter()  # by AWS's reason
        self.last_throttle: LastThrottle | None = None
        self.durations = Histogram()
        self.inits = Histogram()

    def throttled(self, reason: str, detail: str, at_s: float) -> None:
        self.throttles[reason] += 1
        self.last_throttle = LastThrottle(at_s=at_s, reason=reason, detail=detail)

    def as_data(self) -> Mapping[str, object]:
        """Plain data for a status page."""
        return {
            "invocations": self.invocations,
            "errors": self.errors,
            "cold_starts": self.cold_starts,
            "provisioned_invocations": self.provisioned_invocations,
            "spillover_invocations": self.spillover_invocations,
            "abandoned": self.abandoned,
            "throttles": dict(self.throttles),
            "duration_ms": _summary(self.durations),
            "init_duration_ms": _summary(self.inits),
        }


class Metrics:
    """The counters of every function, by unqualified ARN."""

    def __init__(self) -> None:
        self._functions: dict[str, FunctionCounters] = {}

    def of(self, function_arn: str) -> FunctionCounters:
        counters = self._functions.get(function_arn)
        if counters is None:
            counters = self._functions[function_arn] = FunctionCounters()
        return counters

    def items(self) -> Iterator[tuple[str, FunctionCounters]]:
        yield from self._functions.items()


def _summary(histogram: Histogram) -> Mapping[str, float | int | None]:
    return {
        "count": histogram.count,
        "mean": histogram.sum_ms / histogram.count if histogram.count else None,
        "p50_at_most": histogram.quantile_ms(0.5),
        "p99_at_most": histogram.quantile_ms(0.99),
    }
