from __future__ import annotations

from lambent.core.operations import Scope
from lambent.execution.activity import ActivityReader
from lambent.execution.metrics import Metrics
from lambent.lambda_.metrics import LambdaMetrics
from lambent.testing.clock import VirtualClock

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


class World:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.running: dict[str, int] = {}
        self.reader = ActivityReader(self.metrics, lambda arn: self.running.get(arn, 0))


def test_only_what_is_new_is_told() -> None:
    world = World()
    counters = world.metrics.of(ARN)
    assert world.reader.take() == []
    counters.invocations += 3
    counters.errors += 1
    counters.throttled("Reason", "detail", 1.0)
    counters.peak_concurrency = 2
    for duration_ms in (5.0, 7.0, 100.0):
        counters.durations.observe(duration_ms)
    [activity] = world.reader.take()
    assert (activity.invocations, activity.errors, activity.throttles) == (3, 1, 1)
    assert (activity.duration_count, activity.duration_sum_ms) == (3, 112.0)
    assert (activity.shortest_ms, activity.longest_ms, activity.peak_concurrency) == (5.0, 100.0, 2)
    assert sum(count for _, count in activity.durations) == 3
    for (value, _), exact in zip(activity.durations, (5.0, 7.0, 100.0), strict=True):
        assert 0.9 < value / exact < 1.1
    assert world.reader.take() == []
    world.running[ARN] = 1
    [running] = world.reader.take()
    assert (running.peak_concurrency, running.invocations, running.duration_count) == (1, 0, 0)
    counters.durations.observe(10_000_000.0)
    [late] = world.reader.take()
    assert late.durations == ((10_000_000.0, 1),)


def test_metrics_of_lambda() -> None:
    world = World()
    counters = world.metrics.of(ARN)
    counters.invocations += 4
    counters.errors += 1
    counters.peak_concurrency = 2
    counters.durations.observe(8.0)
    other = world.metrics.of(ARN[:-1] + "g")
    other.throttled("Reason", "detail", 1.0)
    clock = VirtualClock(start_s=1000.0)
    metrics = LambdaMetrics(world.reader, clock)
    samples = metrics.take()
    assert {sample.scope for sample in samples} == {Scope(account="000000000000", region="us-east-1")}
    by_name = {(sample.name, sample.dimensions): sample for sample in samples}
    f = (("FunctionName", "f"),)
    errors = by_name["Errors", f]
    assert (errors.count, errors.sum, errors.minimum, errors.maximum) == (4, 1, 0.0, 1.0)
    assert by_name["Invocations", f].sum == 4
    assert by_name["Invocations", ()].sum == 4
    assert by_name["Duration", f].sum == 8.0
    assert by_name["ConcurrentExecutions", f].maximum == 2
    assert by_name["ConcurrentExecutions", ()].maximum == 2
    throttles = by_name["Throttles", (("FunctionName", "g"),)]
    assert (throttles.count, throttles.sum) == (1, 1)
    assert ("Invocations", (("FunctionName", "g"),)) not in by_name
    assert metrics.take() == []
