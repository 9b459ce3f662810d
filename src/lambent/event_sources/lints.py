"""Warnings about mappings that AWS takes and that bite people later. Pure.

Lambda developer guide, "Creating and configuring an Amazon SQS event source mapping" and "Configuring scaling
behavior for SQS event source mappings".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lambent.core.event_patterns import message_filters
from lambent.event_sources.model import EventSourceMapping
from lambent.event_sources.surroundings import FunctionFacts, QueueFacts
from lambent.scaling import mapping_provisioned, mapping_standard

VISIBILITY_PER_TIMEOUT: Final = 6
MIN_RECEIVES: Final = 5
# A tag that states, in milliseconds, how long a message may wait for its function.
LATENCY_GOAL_TAG: Final = "lambent:latency-goal-ms"
_BODY_ONLY: Final = "AWS documents filters on the body only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A mapping and what is around it. `others` are further mappings: of its queue or of its function."""

    mapping: EventSourceMapping
    function: FunctionFacts | None
    queue: QueueFacts | None
    others: Sequence[EventSourceMapping] = ()
    latency_goal_s: float | None = None


def warnings(situation: Situation) -> list[str]:
    """One sentence for each thing that should be looked at."""
    return [
        *_visibility(situation),
        *_window(situation),
        *_receives(situation),
        *_filters(situation),
        *_concurrency(situation),
    ]


def latency_goal_s(tags: dict[str, str]) -> float | None:
    """The goal that a mapping's tags state; None where they state none, or nothing that is a number."""
    text = tags.get(LATENCY_GOAL_TAG, "")
    return int(text) / 1000 if text.isascii() and text.isdigit() and len(text) < 9 else None


def most_concurrency(mapping: EventSourceMapping) -> int:
    """How many invokes the mapping may have in flight at the most."""
    settings = mapping.settings
    if settings.pollers is None:
        most = mapping_standard.PROFILES["aws"].ceiling
    else:
        most = settings.pollers.maximum * mapping_provisioned.INVOKES_PER_POLLER
    return min(most, settings.maximum_concurrency or most)


def _visibility(situation: Situation) -> Iterator[str]:
    if situation.queue is None or situation.function is None:
        return
    window_s, timeout_s = situation.mapping.settings.window_s, situation.function.timeout_s
    wanted_s = VISIBILITY_PER_TIMEOUT * timeout_s + window_s
    has_s = situation.queue.visibility_timeout_s
    if has_s < wanted_s:
        yield (
            f"the queue's visibility timeout of {has_s} s is under {VISIBILITY_PER_TIMEOUT} x the function's timeout "
            f"of {timeout_s:.0f} s plus the batching window of {window_s} s: after throttles, messages are received "
            f"again while they are still worked on; set it to {wanted_s:.0f} s or more"
        )


def _window(situation: Situation) -> Iterator[str]:
    window_s, goal_s = situation.mapping.settings.window_s, situation.latency_goal_s
    if goal_s is not None and window_s > goal_s:
        yield (
            f"the batching window of {window_s} s is longer than the latency goal of {goal_s * 1000:.0f} ms: messages "
            "wait for the window whenever a batch does not fill; set MaximumBatchingWindowInSeconds to 0"
        )


def _receives(situation: Situation) -> Iterator[str]:
    receives = None if situation.queue is None else situation.queue.max_receive_count
    if receives is not None and receives < MIN_RECEIVES:
        yield (
            f"maxReceiveCount is {receives}: a throttled batch counts as received, so healthy messages reach the "
            f"dead-letter queue; set it to {MIN_RECEIVES} or more"
        )


def _filters(situation: Situation) -> Iterator[str]:
    mapping = situation.mapping
    own = frozenset(mapping.settings.filters)
    differing = sorted(
        other.uuid
        for other in situation.others
        if other.event_source_arn == mapping.event_source_arn and frozenset(other.settings.filters) != own
    )
    if differing:
        yield (
            f"other filters read the same queue ({', '.join(differing)}): each message goes to one mapping, and is "
            "deleted if that one's filters do not match it"
        )
    parsed = message_filters.parse_filters(mapping.settings.filters)
    if parsed is not None and parsed.other_keys:
        yield f"the filters look at {', '.join(sorted(parsed.other_keys))}: {_BODY_ONLY}"


def _concurrency(situation: Situation) -> Iterator[str]:
    mapping, function = situation.mapping, situation.function
    if function is None or function.reserved_concurrency is None:
        return
    same = [
        other
        for other in situation.others
        if other.enabled and (other.scope, other.function_name) == (mapping.scope, mapping.function_name)
    ]
    total = sum(most_concurrency(one) for one in (mapping, *same))
    if function.reserved_concurrency < total:
        yield (
            f"the function has {function.reserved_concurrency} reserved concurrent executions and its mappings may use "
            f"{total}: what is beyond is throttled; set ScalingConfig.MaximumConcurrency"
        )
