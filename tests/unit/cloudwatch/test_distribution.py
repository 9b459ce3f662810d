from __future__ import annotations

from math import ceil, inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lambent.cloudwatch import distribution
from lambent.cloudwatch.expressions import Expression, InvalidExpression

POSITIVE = st.floats(1e-6, 1e9)


@given(st.lists(POSITIVE, min_size=1, max_size=60), st.floats(0.1, 100))
def test_percentiles_are_one_percent_off_at_most(values: list[float], percent: float) -> None:
    buckets = distribution.of_values((value, 1.0) for value in values)
    assert buckets is not None
    found = distribution.percentile(buckets, percent, min(values), max(values))
    rank = percent / 100 * len(values)
    assume(abs(rank - round(rank)) > 1e-6 or rank == round(rank))
    exact = sorted(values)[max(0, ceil(rank - 1e-9) - 1)]
    assert found is not None
    assert exact * 0.99 <= found <= exact * 1.0101


@given(st.lists(st.lists(st.floats(0, 1e6), max_size=20), max_size=6))
def test_distributions_add_up(groups: list[list[float]]) -> None:
    total: dict[int, float] = {}
    for group in groups:
        distribution.add(total, distribution.of_values((value, 1.0) for value in group) or {})
    together = distribution.of_values((value, 1.0) for group in groups for value in group)
    assert total == together
    assert distribution.unpack(distribution.pack(total)) == total


def test_the_lowest_buckets_become_one() -> None:
    total: dict[int, float] = {}
    for power in range(2000):
        distribution.add(total, distribution.of_values([(1.01**power, 2.0)]) or {})
    assert len(total) <= 600
    assert sum(total.values()) == 4000
    high = distribution.percentile(total, 99, 0, inf)
    assert high is not None
    assert abs(high / 1.01**1979 - 1) < 0.02


def test_negative_values_have_no_percentiles() -> None:
    assert distribution.of_values([(1.0, 1.0), (-1.0, 1.0)]) is None
    assert distribution.percentile({}, 50, 0, 1) is None
    assert distribution.percentile(distribution.of_values([(0.0, 3.0), (5.0, 1.0)]) or {}, 50, 0, 5) == 0.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b", 8.0),
        ("a - b - 1", 3.0),
        ("100 * (b / a)", 100 * 2 / 6),
        ("a / b / 3", 1.0),
        ("-a + 2 * b", -2.0),
        ("a ^ 2", 36.0),
        ("2.5e1*a", 150.0),
        ("a / (b - 2)", None),
        ("10 ^ (a * 100)", None),
        ("(0 - a) ^ 0.5", None),
    ],
)
def test_arithmetic(text: str, value: float | None) -> None:
    series = {"a": {60: 6.0, 120: 1.0}, "b": {60: 2.0}}
    result = Expression(text).over({each: series[each] for each in Expression(text).ids})
    assert result.get(60) == (pytest.approx(value) if value is not None else None)


def test_only_moments_that_all_have() -> None:
    assert Expression("a + b").over({"a": {60: 1.0, 120: 2.0}, "b": {120: 3.0, 180: 4.0}}) == {120: 5.0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 + 2",
        "a +",
        "(a",
        "a b",
        "SUM(METRICS())",
        "FILL(a, 0)",
        "a $ b",
        "(" * 50 + "a" + ")" * 50,
        ")",
        "-" * 99 + "a",
    ],
)
def test_expressions_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidExpression):
        Expression(text)
