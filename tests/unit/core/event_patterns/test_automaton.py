"""The automaton agrees with a plain evaluator, whatever came and went before, and stays cheap."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.core.event_patterns.automaton import PatternAutomaton
from lambent.core.event_patterns.parser import parse
from tests.unit.core.event_patterns import generate
from tests.unit.core.event_patterns.oracle import matches


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_it_agrees_with_a_plain_evaluator(seed: int) -> None:
    source = random.Random(seed)
    parsed = {key: parse(json.dumps(generate.pattern(source))) for key in range(8)}
    automaton: PatternAutomaton[int] = PatternAutomaton()
    for key, pattern in parsed.items():
        automaton.add(key, pattern)
    for _ in range(4):
        event = generate.event(source)
        assert automaton.match(event) == {key for key, pattern in parsed.items() if matches(pattern, event)}, event


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_patterns_that_come_and_go_leave_no_trace(seed: int) -> None:
    source = random.Random(seed)
    changed: PatternAutomaton[int] = PatternAutomaton()
    present: dict[int, str] = {}
    for _ in range(12):
        key = source.randrange(5)
        if key in present and source.random() < 0.5:
            del present[key]
            changed.remove(key)
        else:
            present[key] = json.dumps(generate.pattern(source))
            changed.add(key, parse(present[key]))
    rebuilt: PatternAutomaton[int] = PatternAutomaton()
    for key, text in present.items():
        rebuilt.add(key, parse(text))
    assert len(changed) == len(present)
    for _ in range(4):
        event = generate.event(source)
        assert changed.match(event) == rebuilt.match(event)
    for key in present:
        changed.remove(key)
    assert not changed._start.fields
    assert not changed._start.absences
    assert not changed._start.accepts
    assert not changed._names.root.below


def build(texts: list[str]) -> PatternAutomaton[int]:
    automaton: PatternAutomaton[int] = PatternAutomaton()
    for key, text in enumerate(texts):
        automaton.add(key, parse(text))
    return automaton


def best_cpu_s(automaton: PatternAutomaton[int], event: dict[str, Any], times: int = 200) -> float:
    runs = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(times):
            automaton.match(event)
        runs.append(time.process_time() - started)
    return min(runs)


FAMILIES = {
    "exact": '{"source": ["my.app"], "detail": {"order": ["o-%d"]}}',
    "behind a shared value": '{"detail": {"order": ["o-%d"]}, "zone": [{"prefix": "eu"}], "a": [{"exists": true}]}',
    "overlapping lists": '{"account": ["1", "x%d"], "detail": {"order": [{"prefix": "o-%d"}]}}',
    "prefix": '{"detail": {"order": [{"prefix": "o-%d"}]}}',
    "suffix": '{"detail": {"order": [{"suffix": "-%d"}]}}',
    "ignore case": '{"detail": {"order": [{"equals-ignore-case": "O-%d"}]}}',
    "wildcard": '{"detail": {"order": [{"wildcard": "*o-%06d*"}]}}',
    "range": '{"detail": {"price": [{"numeric": [">=", %d, "<", %d.5]}]}}',
    "cidr": '{"detail": {"ip": [{"cidr": "10.%d.0.0/16"}]}}',
    "absent": '{"detail": {"order": ["o-%d"], "gone": [{"exists": false}]}}',
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cost_of_an_event_does_not_grow_with_the_number_of_patterns(family: str) -> None:
    text = FAMILIES[family]

    def texts(count: int) -> list[str]:
        return [
            text.replace("%06d", f"{n:06}").replace("%d", str(n % 256 if family == "cidr" else n)) for n in range(count)
        ]

    detail = {"order": "o-000007" if family == "wildcard" else "o-7", "price": 7.25, "ip": "10.7.1.2"}
    event = {"source": "my.app", "account": "1", "zone": "eu-1", "a": 1, "detail": detail}
    few, many = build(texts(20)), build(texts(256 if family == "cidr" else 2_000))
    assert 7 in few.match(event)
    assert few.match(event) <= many.match(event)
    assert best_cpu_s(many, event) < 4 * best_cpu_s(few, event)


def test_fields_of_one_pattern_are_found_in_the_same_element() -> None:
    automaton = build(['{"people": {"first": ["Anna"], "last": ["Smith"]}}'])
    anna, bob = {"first": "Anna", "last": "Jones"}, {"first": "Bob", "last": "Smith"}
    assert automaton.match({"people": [anna, bob]}) == set()
    assert automaton.match({"people": [bob, {"first": "Anna", "last": "Smith"}]}) == {0}
    assert automaton.match({"people": [[anna], [bob]]}) == set()


def test_a_long_array_costs_its_length() -> None:
    automaton = build(
        ['{"a": {"x": [{"exists": true}], "y": [{"prefix": "n"}], "z": ["no"]}, "b": {"w": [{"exists": true}]}}']
    )

    def event(length: int) -> dict[str, Any]:
        return {
            "a": [{"x": 1, "y": "n", "z": "yes"} for _ in range(length)],
            "b": [{"w": 1} for _ in range(length)],
        }

    short, long = event(500), event(4_000)
    assert best_cpu_s(automaton, long, 1) < 8 * 4 * best_cpu_s(automaton, short, 1)


def test_independent_arrays_do_not_multiply() -> None:
    names = "abcdefgh"
    pattern = {name: {"x": [{"exists": True}], "y": [{"exists": True}]} for name in names} | {"z": [{"exists": True}]}
    automaton = build([json.dumps(pattern)])
    event: dict[str, Any] = {name: [{"x": 1, "y": 1} for _ in range(50)] for name in names}
    assert best_cpu_s(automaton, event, 1) < 0.5
    assert automaton.match(event | {"z": 1}) == {0}


def test_values_that_several_of_a_list_accept_do_not_multiply() -> None:
    several = [{"prefix": "a"}, {"suffix": "a"}, {"wildcard": "*a*"}, {"anything-but": "b"}, {"exists": True}]
    automaton = build([json.dumps({f"f{n}": several for n in range(30)})])
    assert best_cpu_s(automaton, {f"f{n}": ["a", "aa", "aba"] for n in range(30)}, 1) < 0.5


def test_deeply_nested_arrays_are_walked() -> None:
    nested: Any = "x"
    for _ in range(5_000):
        nested = [nested]
    assert build(['{"a": ["x"]}']).match({"a": nested}) == {0}


def test_wildcards_against_a_long_text_are_bounded() -> None:
    automaton = build([json.dumps({"a": [{"wildcard": f"*{n}a*b*{n}c*"}]}) for n in range(1_000)])
    assert best_cpu_s(automaton, {"a": "a1b2" * 50_000}, 1) < 2


def test_replacing_a_pattern() -> None:
    automaton = build(['{"a": [1]}'])
    automaton.add(0, parse('{"a": [2]}'))
    assert automaton.match({"a": 1}) == set()
    assert automaton.match({"a": 2}) == {0}
    assert 0 in automaton
    with pytest.raises(KeyError):
        automaton.remove(1)
