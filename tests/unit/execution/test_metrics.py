from __future__ import annotations

from lambent.execution.metrics import FunctionCounters, Histogram, Metrics


def test_a_histogram_bounds_its_quantiles() -> None:
    histogram = Histogram()
    assert histogram.quantile_ms(0.5) is None
    for duration_ms in (0.5, 3.0, 3.5, 100.0):
        histogram.observe(duration_ms)
    assert histogram.quantile_ms(0.5) == 4.0
    assert histogram.quantile_ms(0.99) == 128.0
    assert (histogram.count, histogram.sum_ms) == (4, 107.0)
    histogram.observe(10_000_000.0)
    assert histogram.quantile_ms(1.0) == float("inf")


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
