from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.sandbox.lifecycle import TRANSITIONS, InvalidTransition, Lifecycle, RuntimeState


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(RuntimeState)
    assert set().union(*TRANSITIONS.values()) == set(RuntimeState) - {RuntimeState.STARTED}
    assert all(RuntimeState.EXITED in after for state, after in TRANSITIONS.items() if state is not RuntimeState.EXITED)


def test_wording() -> None:
    lifecycle = Lifecycle()
    with pytest.raises(InvalidTransition) as refused:
        lifecycle.to(RuntimeState.RESPONSE)
    assert str(refused.value) == (
        "State transition from Started to InvocationResponse failed for runtime. Error: State transition is not allowed"
    )


@given(wishes=st.lists(st.sampled_from(RuntimeState)))
def test_no_event_is_answered_twice_or_unasked(wishes: list[RuntimeState]) -> None:
    lifecycle = Lifecycle()
    events = answers = 0
    for wish in wishes:
        try:
            lifecycle.to(wish)
        except InvalidTransition:
            continue
        events += wish is RuntimeState.RUNNING
        answers += wish is RuntimeState.RESPONSE_SENT
        assert answers <= events <= answers + 1
