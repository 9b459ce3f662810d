"""The rules of aliases: what their routing may say, and which version an invoke of one runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from lambent.lambda_.errors import InvalidParameterValue
from lambent.lambda_.service import LATEST

T = TypeVar("T")


def check_routing(function_version: str, weights: Mapping[str, float]) -> None:
    """Raises InvalidParameterValue for weights that AWS refuses (at most one, never the same version, no `$LATEST`)."""
    if not weights:
        return
    if len(weights) > 1:
        raise InvalidParameterValue("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if function_version == LATEST:
        # Alone among the errors of Lambda this one has no Type.
        raise InvalidParameterValue(
            "$LATEST is not supported for an alias pointing to more than 1 version", members={"Type": None}
        )
    if function_version in weights:
        raise InvalidParameterValue(
            f"Invalid function version {function_version}. Function version {function_version} is already included in "
            "routing configuration."
        )


def choose(primary: T, others: Sequence[tuple[T, float]], point: float) -> T:
    """What a point in [0, 1) falls on: each of `others` has its weight of the range, `primary` the rest."""
    for other, weight in others:
        if point < weight:
            return other
        point -= weight
    return primary
