"""What keeps an event source mapping from going faster right now: one name, chosen the same way everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Limit(StrEnum):
    """The smallest of what was allowed. Values are what people read in `lambent status`."""

    BACKLOG = "nothing more is waiting"
    RAMP = "the ramp of the mode"
    CEILING = "the most that the mode allows"
    MAXIMUM_CONCURRENCY = "ScalingConfig.MaximumConcurrency"
    MAXIMUM_POLLERS = "MaximumPollers"
    RECEIVES = "10 receives a second of each poller"
    BYTES = "1 MB/s of each poller"
    MESSAGE_GROUPS = "message groups with something waiting"
    FUNCTION_CONCURRENCY = "concurrency of the function"
    THROTTLES = "back-off after throttles"
    ERRORS = "back-off after errors of the function"


def smallest(allowed: Mapping[Limit, float | None]) -> tuple[Limit, float]:
    """The tightest limit and its value. None is no limit; of equals the first counts. Raises ValueError for none."""
    return min(((limit, value) for limit, value in allowed.items() if value is not None), key=lambda both: both[1])
