"""How many environments of a version with provisioned concurrency to start or to end now, as a pure function.

Environments that fail to start are tried again, each time after a longer pause: what fails may be a service that the
function's init needs and that comes back. A start that the machine has no room for is no failure of the function and
is tried again after a short, constant pause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

# Starts under way at a time: provisioning is never urgent, and events that wait for a start go before it.
MAX_STARTING: Final = 4
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
NO_ROOM_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is remembered between decisions. `failures` counts failed starts since the last one that went well."""

    failures: int = 0
    not_before_s: float = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """`ready` are initialised, in use or not; `idle` are those of them that serve nothing."""

    wanted: int
    starting: int
    ready: int
    idle: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Start and end so many now; look again after `look_again_s` (None: when something has changed)."""

    starts: int = 0
    stops: int = 0
    look_again_s: float | None = None


def started(state: State) -> State:
    """A start went well: the next one need not wait."""
    return State()


def failed(state: State, now_s: float) -> State:
    """A start failed for a reason of the function's own."""
    pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(state.failures, 30))
    return State(failures=state.failures + 1, not_before_s=now_s + pause_s)


def refused(state: State, now_s: float) -> State:
    """The machine has no room for a start now."""
    return replace(state, not_before_s=max(state.not_before_s, now_s + NO_ROOM_PAUSE_S))


def decide(state: State, seen: Observation, now_s: float) -> Decision:
    """Bring what there is to what is wanted. Only idle environments are ended; what is in use ends when it is free.

    After a failure one start at a time finds out whether it has passed.
    """
    missing = seen.wanted - seen.starting - seen.ready
    if missing <= 0:
        return Decision(stops=min(seen.idle, max(0, seen.ready - seen.wanted)))
    if now_s < state.not_before_s:
        return Decision(look_again_s=state.not_before_s - now_s)
    at_a_time = 1 if state.failures else MAX_STARTING
    return Decision(starts=max(0, min(missing, at_a_time - seen.starting)))
