"""Measurements on their way from whoever counts to whoever keeps metrics."""

from __future__ import annotations

import msgspec

from lambent.core.operations import Scope


class MetricSample(msgspec.Struct, frozen=True, kw_only=True):
    """Some observations of one metric in one moment, already added up.

    `values` are (value, how many) pairs for percentiles, exact or rounded to within some percent; None where only the
    sums are known. `count` may be a fraction, as CloudWatch allows.
    """

    scope: Scope
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str
    at_s: float  # epoch seconds
    count: float
    sum: float
    minimum: float
    maximum: float
    values: tuple[tuple[float, float], ...] | None = None
    high_resolution: bool = False  # kept by the second as well


def single(
    *,
    scope: Scope,
    namespace: str,
    name: str,
    dimensions: tuple[tuple[str, str], ...],
    unit: str,
    at_s: float,
    value: float,
) -> MetricSample:
    """A sample of one observation."""
    return MetricSample(
        scope=scope,
        namespace=namespace,
        name=name,
        dimensions=dimensions,
        unit=unit,
        at_s=at_s,
        count=1.0,
        sum=value,
        minimum=value,
        maximum=value,
        values=((value, 1.0),),
    )
