"""What the operations of CloudWatch share: their parts, and the spans of time that queries name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lambent.cloudwatch.errors import InvalidParameterValue
from lambent.cloudwatch.model import MINUTE_S, Dimensions, ordered
from lambent.cloudwatch.recorder import Recorder
from lambent.core.clock import Clock
from lambent.core.operations import Rejection, Service
from lambent.storage.database import Database

CLOUDWATCH: Final = Service(
    name="cloudwatch", validation_code="ValidationError", unsupported_code="InvalidParameterValue"
)

# CloudWatch API reference, "GetMetricData" and "GetMetricStatistics": periods below a minute.
_SHORT_PERIODS_S: Final = (1, 5, 10, 20, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the operations work with. `recorder` is asked to record before anybody reads."""

    database: Database
    clock: Clock
    recorder: Recorder


def only_unset(reason: str) -> Rejection:
    """A switch that may be given as false."""
    return Rejection(reason=reason, harmless=lambda value: value is False)


def dimensions_of(dimensions: Sequence[Mapping[str, Any]]) -> Dimensions:
    """Raises InvalidParameterValue for a name that is given twice."""
    pairs = [(str(dimension["Name"]), str(dimension["Value"])) for dimension in dimensions]
    if len({name for name, _ in pairs}) < len(pairs):
        raise InvalidParameterValue("The parameter Dimensions names a dimension twice.")
    return ordered(pairs)


def check_period(period_s: int) -> int:
    """`period_s`, if CloudWatch has such periods. Raises InvalidParameterValue."""
    if period_s % MINUTE_S and period_s not in _SHORT_PERIODS_S:
        raise InvalidParameterValue(
            f"The value {period_s} for parameter Period is invalid. "
            "It must be 1, 5, 10, 20, 30 or a multiple of 60 seconds."
        )
    return period_s


def check_span(start_s: float, end_s: float) -> None:
    """Raises InvalidParameterValue."""
    if start_s >= end_s:
        raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
