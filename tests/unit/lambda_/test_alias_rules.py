from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.lambda_.aliases import check_routing, choose
from lambent.lambda_.errors import InvalidParameterValue


@pytest.mark.parametrize(
    ("version", "weights", "message"),
    [
        ("1", {"2": 0.1, "3": 0.1}, "Number of items in AdditionalVersionWeights cannot be greater than 1"),
        (
            "1",
            {"1": 0.1},
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
        ("$LATEST", {"1": 0.1}, "$LATEST is not supported for an alias pointing to more than 1 version"),
    ],
)
def test_routing_that_aws_refuses(version: str, weights: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        check_routing(version, weights)
    assert caught.value.message == message
    # AWS's answer for $LATEST is the only one without a Type
    assert caught.value.members == ({"Type": None} if version == "$LATEST" else {})


def test_routing_that_is_fine() -> None:
    check_routing("$LATEST", {})
    check_routing("1", {"2": 1.0})


@given(weight=st.floats(0, 1), points=st.lists(st.floats(0, 1, exclude_max=True)))
def test_a_weight_is_a_share_of_the_range(weight: float, points: list[float]) -> None:
    for point in points:
        assert choose("primary", [("other", weight)], point) == ("other" if point < weight else "primary")


def test_the_ends_of_the_range() -> None:
    assert choose("primary", [("other", 0.0)], 0.0) == "primary"
    assert choose("primary", [("other", 1.0)], 0.9999999) == "other"
