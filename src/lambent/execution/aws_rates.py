"""The rates that AWS enforces and a machine of one's own need not: asked only under `strict_aws`."""

from __future__ import annotations

import math
from typing import Final

from lambent.core.clock import Clock
from lambent.execution.model import Throttled
from lambent.scaling import on_demand

# Members of AWS's ThrottleReason (Lambda API reference, "TooManyRequestsException").
CONCURRENCY_EXCEEDED: Final = "ConcurrentInvocationLimitExceeded"
RATE_EXCEEDED: Final = "FunctionInvocationRateLimitExceeded"
RESERVED_RATE_EXCEEDED: Final = "ReservedFunctionInvocationRateLimitExceeded"

_QUIET_S: Final = 10.0  # after so long every bucket is full again, and forgetting it changes nothing


class AwsRates:
    """One pair of buckets for each function, by unqualified ARN."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._environments: dict[str, on_demand.BucketState] = {}
        self._requests: dict[str, on_demand.BucketState] = {}

    def admit_request(self, function_arn: str, concurrency: int, *, reserved: bool) -> None:
        """Count one request against ten a second for each of `concurrency`. Raises Throttled."""
        rate = on_demand.request_rate(concurrency)
        now_s = self._clock.monotonic()
        state = self._requests.get(function_arn) or on_demand.full(rate, now_s)
        self._requests[function_arn], decision = on_demand.grant(state, 1, now_s, rate)
        if not decision.granted:
            raise Throttled(
                RESERVED_RATE_EXCEEDED if reserved else RATE_EXCEEDED,
                f"more than {rate.refill_per_s:.0f} requests a second (10 for each of {concurrency} at a time)",
                retry_after_s=_whole_seconds(decision.retry_after_s),
            )

    def admit_environment(self, function_arn: str) -> None:
        """Count one new environment against 1,000 per 10 s. Raises Throttled."""
        rate = on_demand.ENVIRONMENT_RATE
        now_s = self._clock.monotonic()
        state = self._environments.get(function_arn) or on_demand.full(rate, now_s)
        self._environments[function_arn], decision = on_demand.grant(state, 1, now_s, rate)
        if not decision.granted:
            raise Throttled(
                CONCURRENCY_EXCEEDED,
                f"{on_demand.NEW_ENVIRONMENTS_PER_10_S} new environments of the function per 10 s are used up",
                retry_after_s=_whole_seconds(decision.retry_after_s),
            )

    def prune(self) -> None:
        """Forget functions that have been quiet."""
        quiet_s = self._clock.monotonic() - _QUIET_S
        for buckets in (self._environments, self._requests):
            for function_arn in [arn for arn, state in buckets.items() if state.updated_s < quiet_s]:
                del buckets[function_arn]


def _whole_seconds(seconds: float) -> int | None:
    """Retry-After has whole seconds; None when waiting does not help."""
    return max(1, math.ceil(seconds)) if math.isfinite(seconds) else None
