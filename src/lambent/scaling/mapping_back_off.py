"""How a mapping gives way to throttles and errors, and comes back: halve, wait, then recover at a steady pace.

Lambda developer guide, "Error handling for an SQS event source": Lambda backs off and lowers concurrency while invokes
are throttled or fail. AWS does not publish the shape. Halving at most once in `HOLD_S` keeps one burst of errors, which
is reported by many batches, from counting many times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from lambent.scaling.mapping_limits import Limit

HOLD_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`cap` is the concurrency allowed since the last back-off; None when there was none or it has passed."""

    cap: float | None = None
    cause: Limit = Limit.THROTTLES
    hold_until_s: float = float("-inf")
    updated_s: float = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Invokes since the last decision. With ReportBatchItemFailures errors of the function do not slow polling down."""

    succeeded: int = 0
    failed: int = 0
    throttled: int = 0
    reports_item_failures: bool = False


STEADY: Final = State()
NOTHING: Final = Outcomes()


def decide(
    state: State, outcomes: Outcomes, now_s: float, *, permitted: float, floor: float, recovery_per_s: float
) -> State:
    """The cap from now on. `permitted` is what the mode allows now; a cap above it is no cap."""
    now_s = max(now_s, state.updated_s)
    cause = _cause(outcomes)
    if cause is not None and now_s >= state.hold_until_s:
        current = permitted if state.cap is None else min(state.cap, permitted)
        return State(cap=max(floor, current / 2), cause=cause, hold_until_s=now_s + HOLD_S, updated_s=now_s)
    if state.cap is None or now_s < state.hold_until_s:
        return replace(state, updated_s=now_s)
    recovering_s = now_s - max(state.updated_s, state.hold_until_s)
    cap = state.cap + recovering_s * recovery_per_s
    return replace(state, cap=cap if cap < permitted else None, updated_s=now_s)


def _cause(outcomes: Outcomes) -> Limit | None:
    if outcomes.throttled > outcomes.succeeded // 10:
        return Limit.THROTTLES
    if outcomes.failed > outcomes.succeeded and not outcomes.reports_item_failures:
        return Limit.ERRORS
    return None
