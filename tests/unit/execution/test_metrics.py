from __future__ import annotations

from lambent.execution.metrics import (
    BOUNDS_PER_DOUBLING,
    DURATION_BOUNDS_MS,
    FunctionCounters,
    Histogram,
    Metrics,
)


def test_a_histogram_bounds_its_quantiles() -> None:
    histogram = Histogram()
    assert histogram.quantile_ms(0.5) is None
    for duration_ms in (0.5, 3.0, 3.5, 100.0):
        histogram.observe(duration_ms)
    assert 3.0 <= (histogram.quantile_ms(0.5) or 0) <= 3.0 * 1.2
    assert 100.0 <= (histogram.quantile_ms(0.99) or 0) <= 100.0 * 1.2
    assert (histogram.count, histogram.sum_ms) == (4, 107.0)
    histogram.observe(10_000_000.0)
    assert histogram.quantile_ms(1.0) == float("inf")


def test_every_fourth_bound_is_a_power_of_two() -> None:
    assert DURATION_BOUNDS_MS[::BOUNDS_PER_DOUBLING] == (*(2.0**n for n in range(20)), 900_000.0)
    assert list(DURATION_BOUNDS_MS) == sorted(DURATION_BOUNDS_MS)


def test_extremes_are_taken_once() -> None:
    histogram = Histogram()
    histogram.observe(5.0)
    histogram.observe(3.0)
    assert histogram.take_extremes() == (3.0, 5.0)
    histogram.observe(4.0)
    assert histogram.take_extremes() == (4.0, 4.0)


def test_a_bound_belongs_to_its_own_bucket() -> None:
    histogram = Histogram()
    histogram.observe(4.0)
    assert histogram.quantile_ms(1.0) == 4.0


def test_counters_are_kept_by_function() -> None:
    metrics = Metrics()
    metrics.of("a").invocations += 1
    metrics.of("a").throttled("Reason", "detail", 1.0)
    metrics.of("b")
    assert [name for name, _ in metrics.items()] == ["a", "b"]
    assert metrics.of("a").as_data()["throttles"] == {"Reason": 1}
    assert FunctionCounters().as_data()["duration_ms"] == {
        "count": 0,
        "mean": None,
        "p50_at_most": None,
        "p99_at_most": None,
    }
