"""The rules of a mapping's settings, pure (Lambda API reference, "CreateEventSourceMapping").

`limits_of` says where Lambent is kinder than AWS: it takes MaximumConcurrency up to 10,000, beside provisioned pollers
too, and as many filters as AWS allows on request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lambent.core.event_patterns import message_filters
from lambent.core.operations import Params
from lambent.event_sources.errors import InvalidParameterValue, constraint
from lambent.event_sources.model import ProvisionedPollers, Settings

# Lambda developer guide, "Batching behavior": what is more than one receive brings needs time to be gathered.
MAX_RECEIVED: Final = 10
MAX_FIFO_BATCH: Final = 10
MIN_CONCURRENCY: Final = 2
MIN_POLLERS: Final = 2

_REPORTS: Final = "ReportBatchItemFailures"
_EVENT_COUNT: Final = "EventCount"
# Parameters of streams and of Kafka, with the value (if any) that asks for nothing.
FOREIGN: Final[Mapping[str, Any]] = {
    "StartingPosition": None,
    "StartingPositionTimestamp": None,
    "ParallelizationFactor": None,
    "BisectBatchOnFunctionError": False,
    "MaximumRecordAgeInSeconds": None,
    "MaximumRetryAttempts": None,
    "TumblingWindowInSeconds": 0,
    "DestinationConfig": {},
    "LoggingConfig": {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What differs between AWS and Lambent's own profile."""

    max_concurrency: int
    max_filters: int
    concurrency_beside_pollers: bool


AWS: Final = Limits(max_concurrency=1000, max_filters=message_filters.MAX_FILTERS, concurrency_beside_pollers=False)
LAMBENT: Final = Limits(
    max_concurrency=10_000, max_filters=message_filters.MAX_FILTERS_ON_REQUEST, concurrency_beside_pollers=True
)


def limits_of(*, strict_aws: bool) -> Limits:
    return AWS if strict_aws else LAMBENT


def check_constraints(params: Params, limits: Limits) -> None:
    """The one rule of the constraint layer that Lambent words itself. Raises ValidationError."""
    given = (params.get("ScalingConfig") or {}).get("MaximumConcurrency")
    if given is None:
        return
    path = "scalingConfig.maximumConcurrency"
    if given < MIN_CONCURRENCY:
        raise constraint(given, path, f"Member must have value greater than or equal to {MIN_CONCURRENCY}")
    if given > limits.max_concurrency:
        raise constraint(given, path, f"Member must have value less than or equal to {limits.max_concurrency}")


def refuse_foreign(params: Params) -> None:
    """Raises InvalidParameterValue for parameters that mappings of queues do not have."""
    for name, nothing in FOREIGN.items():
        if params.get(name) in (None, nothing):
            continue
        if name in ("StartingPosition", "StartingPositionTimestamp"):
            raise InvalidParameterValue(f"{name} is not valid for SQS event sources.")
        raise InvalidParameterValue(f"Unsupported {name} parameter for given event source mapping type.")


def settings_of(params: Params, base: Settings, *, fifo: bool, limits: Limits) -> Settings:
    """`base` with what the request gives, checked in AWS's order.

    What is empty (`ScalingConfig: {}`, no filters) takes away what was there. Raises InvalidParameterValue.
    """
    merged = msgspec.structs.replace(base, **dict(_given(params)))
    _check_filters(merged, limits)
    _check_batching(merged, fifo=fifo)
    _check_pollers(merged, limits)
    if any(metric != _EVENT_COUNT for metric in merged.metrics):
        raise InvalidParameterValue(f"{_EVENT_COUNT} is the only metric of SQS event source mappings.")
    return merged


def _given(params: Params) -> Iterator[tuple[str, Any]]:
    """The fields of Settings that the request names."""
    if (size := params.get("BatchSize")) is not None:
        yield "batch_size", size
    if (window_s := params.get("MaximumBatchingWindowInSeconds")) is not None:
        yield "window_s", window_s
    if (criteria := params.get("FilterCriteria")) is not None:
        yield "filters", tuple((one or {}).get("Pattern") for one in criteria.get("Filters") or ())
    if (types := params.get("FunctionResponseTypes")) is not None:
        yield "report_batch_item_failures", _REPORTS in types
    if (scaling := params.get("ScalingConfig")) is not None:
        yield "maximum_concurrency", scaling.get("MaximumConcurrency")
    if (pollers := params.get("ProvisionedPollerConfig")) is not None:
        yield "pollers", _pollers(pollers)
    if (metrics := params.get("MetricsConfig")) is not None:
        yield "metrics", tuple(metrics.get("Metrics") or ())


def _pollers(given: Mapping[str, Any]) -> ProvisionedPollers | None:
    numbers = {
        field: given[name]
        for field, name in (("minimum", "MinimumPollers"), ("maximum", "MaximumPollers"))
        if given.get(name) is not None
    }
    return ProvisionedPollers(**numbers) if numbers else None


def _check_filters(settings: Settings, limits: Limits) -> None:
    try:
        message_filters.parse_filters(settings.filters, max_filters=limits.max_filters)
    except (message_filters.InvalidFilterPattern, message_filters.TooManyFilters) as error:
        raise InvalidParameterValue(str(error)) from error


def _check_batching(settings: Settings, *, fifo: bool) -> None:
    if fifo:
        if settings.window_s:
            raise InvalidParameterValue("Batching window is not supported for FIFO queues")
        if settings.batch_size > MAX_FIFO_BATCH:
            raise InvalidParameterValue(
                f"FIFO queue batch size must be less than or equal to {MAX_FIFO_BATCH}, but was {settings.batch_size}"
            )
    elif settings.batch_size > MAX_RECEIVED and not settings.window_s:
        raise InvalidParameterValue(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than "
            f"{MAX_RECEIVED}"
        )


def _check_pollers(settings: Settings, limits: Limits) -> None:
    pollers = settings.pollers
    if pollers is None:
        return
    for name, number in (("MinimumPollers", pollers.minimum), ("MaximumPollers", pollers.maximum)):
        if number < MIN_POLLERS:
            raise InvalidParameterValue(f"{name} must be at least {MIN_POLLERS} for SQS event source mappings.")
    if pollers.minimum > pollers.maximum:
        raise InvalidParameterValue(
            f"MinimumPollers ({pollers.minimum}) cannot be greater than MaximumPollers ({pollers.maximum})."
        )
    if settings.maximum_concurrency is not None and not limits.concurrency_beside_pollers:
        raise InvalidParameterValue(
            "Maximum concurrency and provisioned mode cannot be configured together for an event source mapping."
        )


def check_queue_waits(visibility_timeout_s: int, function_timeout_s: float) -> None:
    """Raises InvalidParameterValue where messages would come back while the function still works on them."""
    if visibility_timeout_s < function_timeout_s:
        raise InvalidParameterValue(
            f"Queue visibility timeout: {visibility_timeout_s} seconds is less than "
            f"Function timeout: {function_timeout_s:.0f} seconds"
        )
