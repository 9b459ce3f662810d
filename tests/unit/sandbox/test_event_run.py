"""What is known of the parts of an event's time."""

from __future__ import annotations

import asyncio

import pytest

from lambent.sandbox.event_run import EventRun
from lambent.sandbox.failures import timed_out
from tests.unit.sandbox.support import invocation


def begun(*, streaming: bool) -> EventRun:
    run = EventRun(invocation(streaming=streaming), init_duration_ms=None, on_drained=lambda: None)
    run.delivered = True
    return run


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_streamed_answer_has_a_latency_and_a_duration(streaming: bool) -> None:
    run = begun(streaming=streaming)
    await asyncio.sleep(0.02)
    run.begin_stream("text/plain")
    await asyncio.sleep(0.04)
    assert run.spans(1000.0) == []
    run.end_stream()
    latency, duration, overhead = run.spans(1000.0)
    assert (latency.name, duration.name, overhead.name) == ("responseLatency", "responseDuration", "runtimeOverhead")
    assert 18 < latency.duration_ms < 38 < duration.duration_ms
    assert duration.start_s == pytest.approx(latency.start_s + latency.duration_ms / 1000, abs=1e-4)
    assert overhead.start_s + overhead.duration_ms / 1000 == pytest.approx(1000.0, abs=1e-4)


async def test_a_runtime_that_is_lost_after_its_answer_has_no_overhead() -> None:
    run = begun(streaming=False)
    run.whole("application/json", b"1")
    run.fail(timed_out(3))
    assert [span.name for span in run.spans(0.0)] == ["responseLatency", "responseDuration"]
