"""Concurrency of an SQS event source mapping in standard mode.

Lambda developer guide, "Configuring scaling behavior for SQS event source mappings": five concurrent invokes at first,
300 more a minute while messages wait, up to 1,250; when traffic is low down to two, unless MaximumConcurrency is set.
A ramp is smooth here. `decide` is asked about once a second, but any interval gives the same ramp.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from lambent.scaling import mapping_back_off
from lambent.scaling.mapping_back_off import NOTHING, Outcomes
from lambent.scaling.mapping_limits import Limit, smallest


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A ramp: from `start`, by `first_minute` in the first 60 s of a backlog, then by `per_minute`, to `ceiling`."""

    start: int
    first_minute: int
    per_minute: int
    ceiling: int


# The article names no ceiling; this one is the largest concurrency that it configures.
PROFILES: Final = {
    "aws": Profile(start=5, first_minute=300, per_minute=300, ceiling=1250),
    "legacy": Profile(start=5, first_minute=60, per_minute=60, ceiling=1000),
    "article": Profile(start=0, first_minute=60, per_minute=500, ceiling=5000),
}

# An empty queue keeps what it has so long before it scales in: the next burst may be a moment away.
QUIET_S: Final = 60.0
# After so long without anything to do, two concurrent invokes are enough.
IDLE_S: Final = 300.0
IDLE_CONCURRENCY: Final = 2
# The share of the allowed concurrency that must be in use for more to be of use.
SATURATED: Final = 0.8
_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the mapping says: its ramp and ScalingConfig.MaximumConcurrency."""

    profile: Profile = PROFILES["aws"]
    maximum_concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen since the last decision.

    `waiting` are messages that could be received now; `in_flight` the most invokes that ran at a time.
    `message_groups` (FIFO only) are groups with something waiting or in flight; `function_concurrency` is what the
    function may run at most, if known.
    """

    waiting: int
    in_flight: int
    outcomes: Outcomes = NOTHING
    message_groups: int | None = None
    function_concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`ramp` is the concurrency reached; the present backlog began at `busy_since_s`, or ended at `quiet_since_s`."""

    ramp: float = 0.0
    updated_s: float = _NEVER
    busy_since_s: float | None = None
    quiet_since_s: float | None = None
    back_off: mapping_back_off.State = mapping_back_off.STEADY


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Run at most so many invokes at a time, and why not more."""

    concurrency: int
    limit: Limit


def start(config: Config, now_s: float) -> State:
    """The state of a mapping that was just enabled."""
    return State(ramp=float(config.profile.start), updated_s=now_s)


def decide(state: State, seen: Observation, now_s: float, config: Config) -> tuple[State, Decision]:
    """The concurrency from now on. Time never runs backwards: an older `now_s` counts as the last one."""
    now_s = max(now_s, state.updated_s)
    ceiling = min(config.profile.ceiling, config.maximum_concurrency or config.profile.ceiling)
    state = _ramped(state, seen, now_s, config, ceiling) if seen.waiting else _quiet(state, seen, now_s, config)
    ramp = min(state.ramp, ceiling)
    per_s = config.profile.per_minute / 60
    floor = max(1, min(config.profile.start, ceiling))
    back_off = mapping_back_off.decide(
        state.back_off, seen.outcomes, now_s, permitted=ramp, floor=floor, recovery_per_s=per_s
    )
    state = replace(state, ramp=ramp, updated_s=now_s, back_off=back_off)
    at_ceiling = ramp >= ceiling
    limit, allowed = smallest(
        {
            Limit.MESSAGE_GROUPS: seen.message_groups,
            Limit.FUNCTION_CONCURRENCY: seen.function_concurrency,
            back_off.cause: back_off.cap,
            Limit.MAXIMUM_CONCURRENCY: config.maximum_concurrency,
            (Limit.CEILING if at_ceiling else Limit.RAMP): max(1.0, ramp),
        }
    )
    return state, Decision(concurrency=int(allowed), limit=limit if seen.waiting else Limit.BACKLOG)


def _ramped(state: State, seen: Observation, now_s: float, config: Config, ceiling: int) -> State:
    """While messages wait and what is allowed is in use, concurrency grows.

    What something else holds back (the function, a back-off, message groups, fast handlers) is not saved up meanwhile.
    """
    profile = config.profile
    ramp = max(state.ramp, float(min(profile.start, ceiling)))
    busy_since_s = now_s if state.busy_since_s is None else state.busy_since_s
    if seen.in_flight >= SATURATED * int(ramp):
        first_ends_s = busy_since_s + 60.0
        last_s = max(state.updated_s, busy_since_s)  # nothing has ramped before the backlog was there
        first_s = max(0.0, min(now_s, first_ends_s) - last_s)
        later_s = max(0.0, now_s - max(last_s, first_ends_s))
        ramp += first_s * profile.first_minute / 60 + later_s * profile.per_minute / 60
    return replace(state, ramp=min(ramp, float(ceiling)), busy_since_s=busy_since_s, quiet_since_s=None)


def _quiet(state: State, seen: Observation, now_s: float, config: Config) -> State:
    """With nothing waiting, first hold what there is, then come down at the pace of the ramp, never under what runs."""
    since_s = state.quiet_since_s
    if since_s is None:
        return replace(state, quiet_since_s=now_s)
    falling_s = now_s - max(state.updated_s, since_s + QUIET_S)
    if falling_s <= 0:
        return state
    idle = now_s - since_s >= IDLE_S and config.maximum_concurrency is None
    rest = min(IDLE_CONCURRENCY, config.profile.start) if idle else config.profile.start
    lowest = max(float(rest), float(seen.in_flight))
    ramp = max(min(state.ramp, lowest), state.ramp - falling_s * config.profile.per_minute / 60)
    return replace(state, ramp=ramp, busy_since_s=None)
