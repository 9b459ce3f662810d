"""How values are spread, in little space: counts in buckets that grow by 2 %, so that percentiles are 1 % off at most.

(The idea of Masson, Rim and Lee, "DDSketch", 2019.) Two distributions add up without loss. Values below zero have no
percentiles, as on AWS.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, log
from typing import Final

import msgspec

_GROWTH: Final = 1.02
_LOG_GROWTH: Final = log(_GROWTH)
# Values nearer to zero than this count as zero.
_SMALLEST: Final = 1e-9
_ZERO: Final = -(2**31)
# What a distribution may take; beyond it the lowest buckets become one.
_MAX_BUCKETS: Final = 600

Buckets = dict[int, float]

_DECODER: Final = msgspec.msgpack.Decoder(dict[int, float])


def of_values(values: Iterable[tuple[float, float]]) -> Buckets | None:
    """From (value, how many) pairs; None where a value is below zero."""
    buckets: Buckets = {}
    for value, count in values:
        if value < 0:
            return None
        if count > 0:
            key = _ZERO if value < _SMALLEST else ceil(log(value) / _LOG_GROWTH)
            buckets[key] = buckets.get(key, 0.0) + count
    return buckets


def add(total: Buckets, more: Buckets) -> None:
    """Add `more` to `total`, in place."""
    for key, count in more.items():
        total[key] = total.get(key, 0.0) + count
    if len(total) > _MAX_BUCKETS:
        low = sorted(total)[: 1 - _MAX_BUCKETS]
        together = sum(total.pop(key) for key in low)
        total[low[-1]] = together


def percentile(buckets: Buckets, percent: float, minimum: float, maximum: float) -> float | None:
    """The value below which `percent` (0 to 100) of the observations lie, between the exact extremes; None of none."""
    total = sum(buckets.values())
    if total <= 0:
        return None
    wanted, seen = percent / 100 * total, 0.0
    for key in sorted(buckets):
        seen += buckets[key]
        if seen >= wanted:
            return min(max(_value(key), minimum), maximum)
    return maximum


def pack(buckets: Buckets | None) -> bytes | None:
    return None if buckets is None else msgspec.msgpack.encode(buckets)


def unpack(raw: bytes | None) -> Buckets | None:
    return None if raw is None else _DECODER.decode(raw)


def _value(key: int) -> float:
    """The middle of a bucket."""
    return 0.0 if key == _ZERO else 2 * _GROWTH**key / (1 + _GROWTH)
