"""How fast AWS lets one function grow on demand, as pure functions `(state, observation, now) -> (state, decision)`.

Lambda developer guide, "Lambda function scaling": a function gets at most 1,000 new execution environments every 10
seconds, refilled continuously, and at most 10 requests per second for each unit of its concurrency. Both are token
buckets that differ only in their numbers: the first holds 1,000 tokens and gains 100 a second, the second holds one
second's worth. Time never runs backwards in a bucket: an older `now_s` changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a bucket holds at most and what it gains."""

    capacity: float
    refill_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketState:
    """What is left in a bucket, as of `updated_s` on any steadily growing clock."""

    tokens: float
    updated_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many of the wanted units are granted now, and after how long the next one will be there."""

    granted: int
    retry_after_s: float


NEW_ENVIRONMENTS_PER_10_S = 1000
REQUESTS_PER_S_PER_CONCURRENCY = 10

ENVIRONMENT_RATE = Rate(capacity=NEW_ENVIRONMENTS_PER_10_S, refill_per_s=NEW_ENVIRONMENTS_PER_10_S / 10)


def request_rate(concurrency: int) -> Rate:
    """The rate of requests for a function that may run `concurrency` (its reserved, else the account's) at a time."""
    per_s = float(concurrency * REQUESTS_PER_S_PER_CONCURRENCY)
    return Rate(capacity=per_s, refill_per_s=per_s)


def full(rate: Rate, now_s: float) -> BucketState:
    """The state of a function that has been quiet for long."""
    return BucketState(tokens=rate.capacity, updated_s=now_s)


def grant(state: BucketState, wanted: int, now_s: float, rate: Rate) -> tuple[BucketState, Decision]:
    """Take up to `wanted` units out of the bucket.

    `rate` may differ from call to call (a changed concurrency limit): tokens above the new capacity are forfeited.
    `retry_after_s` is infinite when the bucket gains nothing and 0 when all that was wanted is granted.
    """
    elapsed_s = max(0.0, now_s - state.updated_s)
    tokens = min(rate.capacity, state.tokens + elapsed_s * rate.refill_per_s)
    granted = max(0, min(wanted, int(tokens)))
    tokens -= granted
    if granted >= wanted:
        retry_after_s = 0.0
    elif rate.refill_per_s <= 0:
        retry_after_s = float("inf")
    else:
        retry_after_s = max(0.0, 1 - tokens) / rate.refill_per_s
    after = BucketState(tokens=tokens, updated_s=max(now_s, state.updated_s))
    return after, Decision(granted=granted, retry_after_s=retry_after_s)
