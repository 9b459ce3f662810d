from __future__ import annotations

import re
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.prometheus import Family, page

# Prometheus documentation, "Exposition formats": a line of a series.
LINE = re.compile(
    r'[a-zA-Z_][a-zA-Z0-9_]*(\{(?P<labels>([a-zA-Z_][a-zA-Z0-9_]*="(\\[\\n"]|[^\\"\n])*",?)*)\})? '
    r"(?P<value>NaN|[+-]Inf|-?[0-9.]+(e[+-]?[0-9]+)?)"
)


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


@given(st.text(max_size=30), st.floats())
def test_any_label_value_survives(value: str, number: float) -> None:
    family = Family("a_total", "counter", "Some\nhelp \\ here.")
    family.add(number, {"x": value, "y": "z"})
    raw = page([family]).decode()
    # Only \n ends a line in this format.
    lines = raw.split("\n")
    assert lines[0] == r"# HELP a_total Some\nhelp \\ here."
    assert lines[1] == "# TYPE a_total counter"
    assert lines[3:] == [""]
    found = LINE.fullmatch(lines[2])
    assert found is not None
    label = re.match(r'x="((?:\\.|[^\\"])*)"', found["labels"], re.DOTALL)
    assert label is not None
    assert unescaped(label[1]) == value.encode("utf-8", "replace").decode()
    assert float(found["value"]) == number or number != number


def test_numbers() -> None:
    family = Family("a", "gauge", "h")
    for number in (0, 1.0, 2**53, 0.1, -2.5, inf, -inf, nan, 1e300):
        family.add(number)
    values = [line.split()[1] for line in family.text().splitlines()[2:]]
    assert values == ["0", "1", "9007199254740992", "0.1", "-2.5", "+Inf", "-Inf", "NaN", str(int(1e300))]


def test_histograms_are_cumulative() -> None:
    family = Family("d_seconds", "histogram", "h")
    family.add_histogram((0.001, 1.0), (2, 0, 3), 4.5, {"f": "g"})
    assert family.text().splitlines()[2:] == [
        'd_seconds_bucket{f="g",le="0.001"} 2',
        'd_seconds_bucket{f="g",le="1"} 2',
        'd_seconds_bucket{f="g",le="+Inf"} 5',
        'd_seconds_sum{f="g"} 4.5',
        'd_seconds_count{f="g"} 5',
    ]
    with pytest.raises(ValueError, match="one count more"):
        family.add_histogram((1.0,), (1,), 0)


@pytest.mark.parametrize("name", ["", "a-b", "1a", "a b", "ä"])
def test_names_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        Family(name, "gauge", "h")
    with pytest.raises(ValueError, match="no name"):
        Family("a", "gauge", "h").add(1, {name: "x"})
