"""When messages arrive: all at once, at a rate, or as a recorded trace says."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterable, Iterator

# (seconds from the start, messages), in order of time
Arrival = tuple[float, int]

_SLOT_S = 0.01


class InvalidTrace(ValueError):
    """The trace cannot be read; the message says which line and why."""


def at_once(messages: int) -> Iterator[Arrival]:
    """A backlog that is there at the start."""
    yield 0.0, messages


def at_rate(messages: int, per_s: float, random: random.Random) -> Iterator[Arrival]:
    """So many messages, independently of each other, `per_s` on average, counted in slots of 10 ms."""
    slot = 0
    while messages > 0:
        count = min(messages, _poisson(per_s * _SLOT_S, random))
        if count:
            yield slot * _SLOT_S, count
            messages -= count
        slot += 1


def from_trace(lines: Iterable[str]) -> list[Arrival]:
    """Rows `seconds,messages` of a CSV, with or without a header; times count from the first. Raises InvalidTrace."""
    found: list[Arrival] = []
    for number, row in enumerate(csv.reader(lines), 1):
        if not row or (number == 1 and not _is_number(row[0])):
            continue
        try:
            at_s, messages = float(row[0]), int(row[1])
        except (ValueError, IndexError):
            raise InvalidTrace(f"line {number} is not 'seconds,messages': {','.join(row)}") from None
        if messages < 0 or not math.isfinite(at_s):
            raise InvalidTrace(f"line {number} has no sense as an arrival: {','.join(row)}")
        if messages:
            found.append((at_s, messages))
    if not found:
        raise InvalidTrace("the trace has no arrivals")
    found.sort()
    first_s = found[0][0]
    return [(at_s - first_s, messages) for at_s, messages in found]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _poisson(mean: float, random: random.Random) -> int:
    if mean > 50:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count
