from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.scaling import on_demand as od


def test_a_quiet_function_may_start_a_thousand_environments_at_once_and_no_more() -> None:
    state = od.full(od.ENVIRONMENT_RATE, 0.0)
    state, decision = od.grant(state, 1500, 0.0, od.ENVIRONMENT_RATE)
    assert decision.granted == 1000
    assert decision.retry_after_s == pytest.approx(0.01)  # one token of the 100 a second
    _, decision = od.grant(state, 1, 0.0, od.ENVIRONMENT_RATE)
    assert decision.granted == 0


def test_the_ramp_is_a_thousand_per_ten_seconds() -> None:
    state = od.full(od.ENVIRONMENT_RATE, 0.0)
    total = 0
    for tick in range(61):
        state, decision = od.grant(state, 10_000, float(tick), od.ENVIRONMENT_RATE)
        total += decision.granted
    assert total == 1000 + 60 * 100


def test_requests_are_ten_a_second_for_each_unit_of_concurrency() -> None:
    rate = od.request_rate(5)
    state, decision = od.grant(od.full(rate, 0.0), 51, 0.0, rate)
    assert decision.granted == 50
    _, decision = od.grant(state, 51, 1.0, rate)
    assert decision.granted == 50


def test_a_blocked_function_is_told_that_waiting_does_not_help() -> None:
    rate = od.request_rate(0)
    _, decision = od.grant(od.full(rate, 0.0), 1, 0.0, rate)
    assert decision == od.Decision(granted=0, retry_after_s=float("inf"))


def test_an_older_time_refills_nothing() -> None:
    state = od.BucketState(tokens=0.0, updated_s=100.0)
    state, decision = od.grant(state, 1, 50.0, od.ENVIRONMENT_RATE)
    assert decision.granted == 0
    assert state.updated_s == 100.0


@given(st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 5)), max_size=60))
def test_no_span_of_time_grants_more_than_a_full_bucket_and_its_refill(asks: list[tuple[int, float]]) -> None:
    now, state = 0.0, od.full(od.ENVIRONMENT_RATE, 0.0)
    grants: list[tuple[float, int]] = []
    for wanted, pause in asks:
        now += pause
        state, decision = od.grant(state, wanted, now, od.ENVIRONMENT_RATE)
        assert 0 <= decision.granted <= wanted
        assert (decision.granted == wanted) == (decision.retry_after_s == 0)
        grants.append((now, decision.granted))
    for first, (start, _) in enumerate(grants):
        for end, _ in grants[first:]:
            granted = sum(n for at, n in grants[first:] if at <= end)
            assert granted <= 1000 + (end - start) * 100 + 1e-6


@given(st.integers(1, 3000), st.floats(0, 100))
def test_waiting_as_long_as_told_helps(concurrency: int, now: float) -> None:
    rate = od.request_rate(concurrency)
    state, decision = od.grant(od.full(rate, now), concurrency * 10 + 1, now, rate)
    _later, decision = od.grant(state, 1, now + decision.retry_after_s + 1e-6, rate)
    assert decision.granted == 1
