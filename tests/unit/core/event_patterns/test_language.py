"""The operators one by one, as AWS's pages and recorded verdicts have them, and AWS's words for mistakes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambent.core.event_patterns.automaton import PatternAutomaton
from lambent.core.event_patterns.model import InvalidEventPattern
from lambent.core.event_patterns.parser import parse


def match(pattern: Any, event: dict[str, Any]) -> bool:
    automaton: PatternAutomaton[str] = PatternAutomaton()
    automaton.add("it", parse(json.dumps(pattern)))
    return automaton.match(event) == {"it"}


@pytest.mark.parametrize(
    ("values", "accepted", "refused"),
    [
        (["x"], ["x", ["y", "x"], [["x"]]], ["X", "xx", None, 1, ["y"]]),
        ([300], [300, 300.0, 3.0e2], ["300", 301, True]),
        ([1], [1], [True, "1"]),
        ([True], [True], [1, "true", None]),
        ([None], [None, [None]], ["null", [], 0]),
        ([""], [""], ["a", None, []]),
        ([{"prefix": "ab"}], ["ab", "abc"], ["a", "Ab", 1, None]),
        ([{"prefix": ""}], ["", "x"], [1, None]),
        ([{"suffix": "bc"}], ["bc", "abc"], ["c", "bC", 1]),
        ([{"prefix": {"equals-ignore-case": "aB"}}], ["ABc", "ab"], ["bab"]),
        ([{"suffix": {"equals-ignore-case": "aB"}}], ["cAB"], ["abc"]),
        ([{"equals-ignore-case": "Straße"}], ["STRAßE", "straße"], ["STRASSE", "stra"]),
        ([{"equals-ignore-case": ""}], [""], ["a"]),
        ([{"wildcard": "a*b"}], ["ab", "axxb", "abb"], ["a", "b", "abc", "xab"]),
        ([{"wildcard": "*"}], ["", "x"], [1, None]),
        ([{"wildcard": ""}], [""], ["x"]),
        ([{"wildcard": "a\\*\\\\b"}], ["a*\\b"], ["axb", "a\\*\\\\b"]),
        ([{"wildcard": "*ab*ab*"}], ["abab", "xabxabx"], ["ab", "xaba"]),
        ([{"wildcard": "aba*aba"}], ["abaaba", "abaxaba"], ["aba", "ababa"]),
        ([{"anything-but": "x"}], ["y", 1, None, True, ["x", "y"]], ["x", ["x"], [], {"x": 1}]),
        ([{"anything-but": [1, 2]}], [3, "1", None, True], [1, 2.0]),
        ([{"anything-but": {"prefix": "a"}}], ["ba", 1, None], ["a", "ab"]),
        ([{"anything-but": {"prefix": ["a", "b"]}}], ["c"], ["a1", "b1"]),
        ([{"anything-but": {"suffix": ["a", "b"]}}], ["ac"], ["1a", "1b"]),
        ([{"anything-but": {"equals-ignore-case": ["a", "B"]}}], ["c", 1], ["A", "b"]),
        ([{"anything-but": {"wildcard": "*/x"}}], ["x", "a/y"], ["a/x", "/x"]),
        ([{"numeric": ["=", 3e2]}], [300, 300.0], ["300", None]),
        ([{"numeric": [">", 0, "<=", 5]}], [0.1, 5], [0, 5.1, "3", None, True]),
        ([{"numeric": ["<", -1.5]}], [-2, -1e300], [-1.5, 0]),
        ([{"numeric": [">=", 2**53]}], [2**53, 10**400], [2**53 - 1, -(10**400)]),
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255", "010.0.0.1"], ["10.0.1.0", "10.0.0", "x", 10]),
        ([{"cidr": "2001:db8::/32"}], ["2001:db8:1::1"], ["2001:db9::", "10.0.0.1"]),
        ([{"exists": True}], [None, "", 0, [1]], [[], {}, {"x": 1}, [{"x": 1}]]),
        ([{"exists": False}], [[], {}, {"x": 1}], [None, "", [1]]),
        ([{"anything-but": ["roses"]}, {"exists": False}], ["tulips", [], {"x": 1}], ["roses"]),
    ],
)
def test_operators(values: list[Any], accepted: list[Any], refused: list[Any]) -> None:
    pattern = {"detail": {"f": values}}
    assert [value for value in accepted if not match(pattern, {"detail": {"f": value}})] == []
    assert [value for value in refused if match(pattern, {"detail": {"f": value}})] == []


def test_absence_holds_where_the_parent_is_missing() -> None:
    assert match({"detail": {"f": [{"exists": False}]}}, {"source": "x"})
    assert match({"detail": {"f": [{"anything-but": ["roses"]}, {"exists": False}]}}, {})
    assert not match({"detail": {"f": [{"anything-but": ["roses"]}]}}, {})


def test_dots_in_names() -> None:
    nested, dotted = {"detail": {"state": {"status": "x"}}}, {"detail": {"state.status": "x"}}
    for pattern in ({"detail": {"state": {"status": ["x"]}}}, {"detail": {"state.status": ["x"]}}):
        assert match(pattern, nested)
        assert match(pattern, dotted)
    assert not match({"detail": {"state.status": {"status": ["x"]}}}, nested)


def test_or() -> None:
    pattern = {"source": ["s"], "detail": {"$or": [{"a": [1]}, {"b": [2], "$or": [{"c": [3]}, {"d": [4]}]}]}}
    assert match(pattern, {"source": "s", "detail": {"a": 1}})
    assert match(pattern, {"source": "s", "detail": {"b": 2, "d": 4}})
    assert not match(pattern, {"source": "s", "detail": {"b": 2}})
    assert not match(pattern, {"detail": {"a": 1}})


def test_or_is_a_name_where_it_cannot_be_the_operator() -> None:
    assert match({"$or": ["x"]}, {"$or": "x"})
    assert match({"$or": {"a": [1]}}, {"$or": {"a": 1}})
    assert match({"$or": [{"prefix": "x"}, {"prefix": "y"}]}, {"$or": "yes"})


def test_the_last_of_two_equal_names_counts() -> None:
    automaton: PatternAutomaton[int] = PatternAutomaton()
    automaton.add(1, parse('{"a": [1], "a": [2]}'))
    assert automaton.match({"a": 2})
    assert not automaton.match({"a": 1})


PLACED = {
    '{"int": 42}': ('"int" must be an object or an array', 11),
    '{"s":"v"}': ('"s" must be an object or an array', 7),
    '{"a": []}': ("Empty arrays are not allowed", 9),
    "{}": ("Empty objects are not allowed", 3),
    '["a"]': ("Filter is not an object", 2),
    '{"a":[{"EXISTS":true}]}': ("Unrecognized match type EXISTS", 21),
    '{"a":[{"numeric":10}]}': ("Value of numeric must be an array.", 20),
    '{"a":[{"numeric":[">",0,">",0]}]}': ("Bad numeric range operator: >", 28),
    '{"a":[{"numeric":[">",0,"<"]}]}': ("Value of < must be numeric", 29),
    '{"a":[{"numeric":["~",0]}]}': ("Unrecognized numeric range operator: ~", 24),
    '{"a":[{"prefix":1}]}': ("prefix match pattern must be a string", 18),
    '{"a":[{"suffix":null}]}': ("suffix match pattern must be a string", 21),
    '{"a":[{"equals-ignore-case":["x"]}]}': ("equals-ignore-case match pattern must be a string", 30),
    '{"a":[{"wildcard":3}]}': ("wildcard match pattern must be a string", 20),
    '{"a":[{"wildcard":"**"}]}': ("Consecutive wildcard characters at pos 1", 23),
    '{"a":[{"wildcard":"a\\\\b"}]}': ("Invalid escape character at pos 2", 25),
    '{"a":[{"cidr":["x"]}]}': ("prefix match pattern must be a string", 16),
    '{"a":[{"exists":"yes"}]}': ("exists match pattern must be either true or false.", 18),
    '{"a":[{"anything-but":null}]}': (
        "Value of anything-but must be an array or single string/number value.",
        27,
    ),
    '{"a":[{"anything-but":{"prefix":{"equals-ignore-case":"x"}}}]}': (
        "Value of anything-but must be an array or single string/number value.",
        34,
    ),
    '{"a":[{"anything-but":[null]}]}': ("Inside anything but list, start|null|boolean is not supported.", 28),
    '{"a":[{"anything-but":[1,"x"]}]}': (
        "Inside anything but list, either all values are number or string, mixed type is not supported",
        30,
    ),
    '{"a":[{"anything-but":{"equals-ignore-case":["x",1]}}]}': (
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
        51,
    ),
    '{"a":[{"anything-but":{"prefix":1}}]}': ("prefix/suffix match pattern must be a string", 34),
    '{"a":[{"anything-but":{"suffix":""}}]}': ("Null prefix/suffix not allowed", 35),
    "this is": (
        "Unrecognized token 'this': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or "
        "'false')",
        6,
    ),
}


@pytest.mark.parametrize("text", PLACED)
def test_mistakes_in_the_words_of_aws(text: str) -> None:
    reason, column = PLACED[text]
    with pytest.raises(InvalidEventPattern) as raised:
        parse(text)
    assert raised.value.reason == f'{reason}\n at [Source: (String)"{text}"; line: 1, column: {column}]'


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ({"cidr": "10.0.0.0"}, "Malformed CIDR, one '/' required"),
        ({"cidr": "10.0.0.0/x"}, "Malformed CIDR, mask bits must be an integer"),
        ({"cidr": "10.0.0.0/-1"}, "Malformed CIDR, mask bits must not be negative"),
        ({"cidr": "10.0.0.0/32"}, "IPv4 mask bits must be < 32"),
        ({"cidr": "::/128"}, "IPv6 mask bits must be < 128"),
        ({"cidr": "xx.11.xx/8"}, "Nonstandard IP address: xx.11.xx"),
        (
            {"wildcard": "*" + "a" * 60},
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
            "wildcard character",
        ),
    ],
)
def test_mistakes_without_a_place(expression: Any, reason: str) -> None:
    with pytest.raises(InvalidEventPattern) as raised:
        parse(json.dumps({"a": [expression]}))
    assert raised.value.reason == reason


def test_lines_are_counted_and_long_sources_cut() -> None:
    with pytest.raises(InvalidEventPattern, match=r"; line: 2, column: 4\]$"):
        parse('{"a":\n []}')
    with pytest.raises(InvalidEventPattern, match=r"\[truncated 112 chars\]; line"):
        parse('{"a": "' + "x" * 603 + '"}')


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 101 + "[1]" + "}" * 101,
        '{"a":' * 4_000,
        json.dumps({"a": ["x" * 5_000]}),
        json.dumps(
            {"a": {"$or": [{"x": [1]}, {"y": [2]}]}} | {f"k{n}": {"$or": [{"x": [1]}, {"y": [2]}]} for n in range(12)}
        ),
        json.dumps({"a": [{"wildcard": "*".join("abcdefgh" * 8)}]}),
    ],
)
def test_what_would_cost_too_much_is_refused(text: str) -> None:
    with pytest.raises(InvalidEventPattern):
        parse(text)
