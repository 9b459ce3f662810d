"""How long a backlog takes to drain: the scaling functions themselves, run ahead on averages, a second at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lambent.scaling import mapping_provisioned, mapping_standard
from lambent.scaling.mapping_provisioned import MESSAGES_PER_RECEIVE

_STEP_S: Final = 1.0
HORIZON_S: Final = 6 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A backlog and how it is worked off: an invoke gets `batch` messages and runs for `duration_s`."""

    waiting: int
    arrivals_per_s: float = 0.0
    batch: float = 10.0
    duration_s: float
    message_bytes: float = 0.0
    function_concurrency: int | None = None


def drain_standard_s(
    work: Work, state: mapping_standard.State, now_s: float, config: mapping_standard.Config
) -> float | None:
    """Seconds until the last message is handled; None when that takes longer than `HORIZON_S` or never happens."""

    def decide(waiting: int, in_flight: int, at_s: float) -> tuple[int, float]:
        nonlocal state
        seen = mapping_standard.Observation(
            waiting=waiting, in_flight=in_flight, function_concurrency=work.function_concurrency
        )
        state, decision = mapping_standard.decide(state, seen, at_s, config)
        return decision.concurrency, float("inf")

    return _drain_s(work, now_s, decide)


def drain_provisioned_s(
    work: Work, state: mapping_provisioned.State, now_s: float, config: mapping_provisioned.Config
) -> float | None:
    """Seconds until the last message is handled; None when that takes longer than `HORIZON_S` or never happens."""

    def decide(waiting: int, in_flight: int, at_s: float) -> tuple[int, float]:
        nonlocal state
        seen = mapping_provisioned.Observation(
            waiting=waiting,
            in_flight=in_flight,
            message_bytes=work.message_bytes,
            function_concurrency=work.function_concurrency,
        )
        state, decision = mapping_provisioned.decide(state, seen, at_s, config)
        by_receives = decision.receives_per_s * min(MESSAGES_PER_RECEIVE, work.batch)
        by_bytes = decision.bytes_per_s / work.message_bytes if work.message_bytes else float("inf")
        return decision.concurrency, min(by_receives, by_bytes)

    return _drain_s(work, now_s, decide)


def _drain_s(work: Work, now_s: float, decide: Callable[[int, int, float], tuple[int, float]]) -> float | None:
    """Follow the backlog on averages; `decide` gives the concurrency and the most messages a second.

    Concurrency that is added takes its first batches at once; what there was takes new ones as it finishes old ones.
    """
    waiting = float(work.waiting)
    duration_s = max(work.duration_s, 0.001)
    running = 0
    elapsed_s = 0.0
    while waiting > 0:
        if elapsed_s >= HORIZON_S:
            return None
        concurrency, most_per_s = decide(math.ceil(waiting), running, now_s + elapsed_s)
        waiting -= min(max(0, concurrency - running) * work.batch, most_per_s * _STEP_S)
        if waiting <= 0:
            return elapsed_s + duration_s
        running = concurrency
        net_per_s = min(concurrency * work.batch / duration_s, most_per_s) - work.arrivals_per_s
        if net_per_s * _STEP_S >= waiting:
            return elapsed_s + waiting / net_per_s + duration_s
        waiting -= net_per_s * _STEP_S
        elapsed_s += _STEP_S
    return elapsed_s
