"""What is counted of a queue."""

from __future__ import annotations

from lambent.sqs.counters import Counters


def test_counts_and_extremes() -> None:
    counters = Counters()
    counters.count_sent([300, 100])
    counters.count_sent([200])
    counters.count_received(0)
    counters.count_received(3)
    assert (counters.sent, counters.sent_bytes) == (3, 600)
    assert (counters.smallest_bytes, counters.largest_bytes) == (100, 300)
    assert (counters.received, counters.empty_receives) == (3, 1)
