"""Counters that cost next to nothing to bump. Read by the status page and by exporters; they only ever grow."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

# Upper bounds in ms; one more bucket takes what is longer. Doubling keeps any percentile within a factor of two.
DURATION_BOUNDS_MS: Final = (
    *(1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0),
    *(1_024.0, 2_048.0, 4_096.0, 8_192.0, 16_384.0, 60_000.0, 180_000.0, 900_000.0),
)


class Histogram:
    """Durations in ms, counted in buckets."""

    __slots__ = ("count", "counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATION_BOUNDS_MS) + 1)
        self.count = 0
        self.sum_ms = 0.0

    def observe(self, duration_ms: float) -> None:
        self.counts[bisect_left(DURATION_BOUNDS_MS, duration_ms)] += 1
        self.count += 1
        self.sum_ms += duration_ms

    def quantile_ms(self, fraction: float) -> float | None:
        """The upper bound of the bucket in which the quantile lies; None without observations."""
        if not self.count:
            return None
        wanted, seen = fraction * self.count, 0
        for bound_ms, count in zip(DURATION_BOUNDS_MS, self.counts, strict=False):
            seen += count
            if seen >= wanted and seen:
                return bound_ms
        return float("inf")


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
        "throttles",
    )

    def __init__(self) -> None:
        self.invocations = 0
        self.errors = 0
        self.cold_starts = 0
        self.abandoned = 0  # events whose caller went away before the answer
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
