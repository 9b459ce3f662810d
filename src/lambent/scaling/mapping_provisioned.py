"""Pollers of an SQS event source mapping in provisioned mode.

Lambda developer guide, "Provisioned mode for SQS event source mappings": between MinimumPollers, which always poll, and
MaximumPollers; a poller carries 10 concurrent invokes, 10 receives a second and 1 MB a second, whichever binds first.
AWS grows by up to 1,000 concurrent invokes a minute; with growth `instant` a backlog gets what it needs at once.
`decide` is asked about once a second, but any interval gives the same growth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from lambent.scaling import mapping_back_off
from lambent.scaling.mapping_back_off import NOTHING, Outcomes
from lambent.scaling.mapping_limits import Limit, smallest

INVOKES_PER_POLLER: Final = 10
RECEIVES_PER_S_PER_POLLER: Final = 10
BYTES_PER_S_PER_POLLER: Final = 1024 * 1024
MESSAGES_PER_RECEIVE: Final = 10
AWS_INVOKES_PER_MINUTE: Final = 1000

# Pollers that nothing needed for so long are given back.
QUIET_S: Final = 60.0
# The whole way from the maximum to the minimum takes so long, or longer at AWS's pace.
SCALE_IN_S: Final = 60.0
_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """ProvisionedPollerConfig, with MaximumConcurrency beside it where both are accepted."""

    minimum_pollers: int = 2
    maximum_pollers: int = 200
    instant: bool = True
    maximum_concurrency: int | None = None
    batch_size: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen since the last decision.

    `waiting` are messages that could be received now, of `message_bytes` on average; `in_flight` the most invokes that
    ran at a time. `message_groups` (FIFO only) are groups with something waiting or in flight;
    `function_concurrency` is what the function may run at most, if known.
    """

    waiting: int
    in_flight: int
    receives_per_s: float = 0.0
    bytes_per_s: float = 0.0
    message_bytes: float = 0.0
    outcomes: Outcomes = NOTHING
    message_groups: int | None = None
    function_concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`pollers` may have a fraction while they grow. `poller_s` is the usage metered so far."""

    pollers: float
    updated_s: float
    unneeded_since_s: float | None = None
    poller_s: float = 0.0
    back_off: mapping_back_off.State = mapping_back_off.STEADY

    @property
    def poller_unit_hours(self) -> float:
        """Pollers times hours, from the first decision on."""
        return self.poller_s / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Run so many pollers, which together keep to the three limits, and why not more."""

    pollers: int
    concurrency: int
    receives_per_s: float
    bytes_per_s: float
    limit: Limit


def start(config: Config, now_s: float) -> State:
    """The state of a mapping that was just enabled: the minimum is there at once."""
    return State(pollers=float(config.minimum_pollers), updated_s=now_s)


def needed(seen: Observation, config: Config) -> float:
    """Pollers that carry what runs now and take all that waits within a second."""
    batches = math.ceil(seen.waiting / config.batch_size)
    return max(
        (seen.in_flight + batches) / INVOKES_PER_POLLER,
        (seen.receives_per_s + seen.waiting / MESSAGES_PER_RECEIVE) / RECEIVES_PER_S_PER_POLLER,
        (seen.bytes_per_s + seen.waiting * seen.message_bytes) / BYTES_PER_S_PER_POLLER,
    )


def decide(state: State, seen: Observation, now_s: float, config: Config) -> tuple[State, Decision]:
    """The pollers from now on. Time never runs backwards: an older `now_s` counts as the last one."""
    now_s = max(now_s, state.updated_s)
    elapsed_s = now_s - state.updated_s
    want = min(float(config.maximum_pollers), max(float(config.minimum_pollers), math.ceil(needed(seen, config))))
    # A maximum that an update lowered holds at once.
    pollers = min(float(config.maximum_pollers), max(float(config.minimum_pollers), state.pollers))
    metered_s = state.poller_s + int(state.pollers) * elapsed_s
    unneeded_since_s = state.unneeded_since_s
    if want >= pollers:
        unneeded_since_s = None
        growth = AWS_INVOKES_PER_MINUTE / INVOKES_PER_POLLER / 60 * elapsed_s
        pollers = want if config.instant else min(want, pollers + growth)
    elif unneeded_since_s is None:
        unneeded_since_s = now_s
    else:
        falling_s = max(0.0, now_s - max(state.updated_s, unneeded_since_s + QUIET_S))
        pollers = max(want, pollers - falling_s * _fall_per_s(config))
    allowed = int(pollers) * INVOKES_PER_POLLER
    back_off = mapping_back_off.decide(
        state.back_off,
        seen.outcomes,
        now_s,
        permitted=min(allowed, config.maximum_concurrency or allowed, seen.function_concurrency or allowed),
        floor=1,
        recovery_per_s=AWS_INVOKES_PER_MINUTE / 60,
    )
    state = State(
        pollers=pollers,
        updated_s=now_s,
        unneeded_since_s=unneeded_since_s,
        poller_s=metered_s,
        back_off=back_off,
    )
    return state, _decision(state, seen, config)


def _fall_per_s(config: Config) -> float:
    at_aws = AWS_INVOKES_PER_MINUTE / INVOKES_PER_POLLER / 60
    whole_way = (config.maximum_pollers - config.minimum_pollers) / SCALE_IN_S
    return max(at_aws, whole_way) if config.instant else at_aws


def _decision(state: State, seen: Observation, config: Config) -> Decision:
    pollers = int(state.pollers)
    growing = pollers < config.maximum_pollers
    limit, concurrency = smallest(
        {
            Limit.MESSAGE_GROUPS: seen.message_groups,
            Limit.FUNCTION_CONCURRENCY: seen.function_concurrency,
            state.back_off.cause: state.back_off.cap,
            Limit.MAXIMUM_CONCURRENCY: config.maximum_concurrency,
            (Limit.RAMP if growing else Limit.MAXIMUM_POLLERS): pollers * INVOKES_PER_POLLER,
        }
    )
    receives_per_s = float(pollers * RECEIVES_PER_S_PER_POLLER)
    bytes_per_s = float(pollers * BYTES_PER_S_PER_POLLER)
    if seen.in_flight < concurrency:
        # Invokes are free although messages wait: the pollers cannot bring more.
        if seen.bytes_per_s >= 0.9 * bytes_per_s:
            limit = Limit.BYTES
        elif seen.receives_per_s >= 0.9 * receives_per_s:
            limit = Limit.RECEIVES
    return Decision(
        pollers=pollers,
        concurrency=max(1, int(concurrency)),
        receives_per_s=receives_per_s,
        bytes_per_s=bytes_per_s,
        limit=limit if seen.waiting else Limit.BACKLOG,
    )


def updated(state: State, config: Config) -> State:
    """The state after the mapping's configuration changed: a new minimum is there at once."""
    return replace(state, pollers=min(max(state.pollers, config.minimum_pollers), config.maximum_pollers))
