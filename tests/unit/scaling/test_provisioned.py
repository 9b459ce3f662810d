from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.scaling import provisioned as pc

counts = st.integers(0, 50)
states = st.builds(pc.State, failures=st.integers(0, 2000), not_before_s=st.floats(-1e6, 1e6))


@st.composite
def observations(draw: st.DrawFn) -> pc.Observation:
    ready = draw(counts)
    return pc.Observation(wanted=draw(counts), starting=draw(counts), ready=ready, idle=draw(st.integers(0, ready)))


@given(states, observations(), st.floats(-1e6, 1e6))
def test_never_more_than_wanted_and_nothing_in_use_is_ended(
    state: pc.State, seen: pc.Observation, now_s: float
) -> None:
    decision = pc.decide(state, seen, now_s)
    assert decision.starts >= 0
    assert 0 <= decision.stops <= seen.idle
    assert not (decision.starts and decision.stops)
    if decision.starts:
        assert seen.starting + seen.ready + decision.starts <= seen.wanted
        assert seen.starting + decision.starts <= pc.MAX_STARTING
        assert now_s >= state.not_before_s
    if decision.stops:
        assert seen.ready - decision.stops >= seen.wanted
    assert decision.look_again_s is None or decision.look_again_s > 0


@given(counts, counts, st.integers(0, 10), st.lists(st.sampled_from(["ok", "failed", "no room"]), max_size=30))
def test_it_comes_to_what_is_wanted_whatever_fails_on_the_way(
    wanted: int, ready: int, busy: int, outcomes: list[str]
) -> None:
    """Ends with exactly what is wanted once starts go well, and never waits for ever."""
    state, now_s, busy = pc.State(), 0.0, min(busy, ready)
    for _ in range(1000):
        seen = pc.Observation(wanted=wanted, starting=0, ready=ready, idle=ready - busy)
        decision = pc.decide(state, seen, now_s)
        if decision == pc.Decision():
            break
        now_s += decision.look_again_s or 0.0
        ready -= decision.stops
        for _ in range(decision.starts):
            outcome = outcomes.pop() if outcomes else "ok"
            if outcome == "ok":
                state, ready = pc.started(state), ready + 1
            else:
                state = pc.failed(state, now_s) if outcome == "failed" else pc.refused(state, now_s)
    assert ready == max(wanted, busy)


def test_pauses_double_up_to_five_minutes() -> None:
    state, pauses = pc.State(), []
    for _ in range(11):
        state = pc.failed(state, 100.0)
        pauses.append(state.not_before_s - 100.0)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert pc.started(state) == pc.State()


def test_no_room_is_no_failure_and_shortens_no_pause() -> None:
    assert pc.refused(pc.State(), 5.0) == pc.State(not_before_s=6.0)
    waiting = pc.State(failures=4, not_before_s=20.0)
    assert pc.refused(waiting, 5.0) == waiting


@pytest.mark.parametrize(("failures", "starting", "starts"), [(0, 0, 4), (0, 3, 1), (1, 0, 1), (1, 1, 0)])
def test_few_start_at_a_time_and_after_a_failure_one(failures: int, starting: int, starts: int) -> None:
    seen = pc.Observation(wanted=100, starting=starting, ready=0, idle=0)
    assert pc.decide(pc.State(failures=failures), seen, 0.0).starts == starts
