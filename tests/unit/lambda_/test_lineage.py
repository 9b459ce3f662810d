from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.lambda_.lineage import advance, lineage_id

A, B = lineage_id("arn:a"), lineage_id("arn:b")
ids = st.integers(0, 99).map(lambda number: lineage_id(str(number)))


def test_the_first_run_begins_a_lineage_behind_what_is_there() -> None:
    assert advance("Root=1-2;Parent=3;Sampled=0", A) == (f"Root=1-2;Parent=3;Sampled=0;Lineage={A}:1", 0)


def test_no_trace_no_lineage() -> None:
    assert advance("", A) == ("", 0)


@pytest.mark.parametrize("bar", ["|", "%7C", "%7c"])
def test_other_functions_keep_their_counts(bar: str) -> None:
    header = f"Root=1;Lineage={A}:3{bar}{B}:5;Sampled=1"
    assert advance(header, A) == (f"Root=1;Sampled=1;Lineage={B}:5|{A}:4", 3)


@pytest.mark.parametrize("text", ["", "x", "1:2:3", f"{A}", f"{A}:-1", f"{A}:x", f"{A}:123456", "|||", f"{A}:٣"])
def test_what_is_no_entry_is_dropped(text: str) -> None:
    assert advance(f"Root=1;Lineage={text}", A) == (f"Root=1;Lineage={A}:1", 0)


def test_counts_stay_finite() -> None:
    assert advance(f"Lineage={A}:99999", A) == (f"Lineage={A}:99999", 99999)


@given(st.lists(ids, max_size=300))
def test_counts_are_those_of_the_chain_while_it_is_not_too_wide(chain: list[str]) -> None:
    header = "Root=1-2"
    for step, function in enumerate(chain):
        header, before = advance(header, function)
        if len(set(chain)) <= 64:
            assert before == chain[:step].count(function)
        assert len(header) < 1024


@given(st.text(max_size=200), ids)
def test_any_header_is_taken(header: str, function: str) -> None:
    assert advance(header, function)[1] >= 0
