"""Java's regular expressions on Python's engine."""

from __future__ import annotations

import re

import pytest

from lambent.server.protocol import shapes
from lambent.server.protocol.java_patterns import JavaPattern, untranslatable

MATCHES = [
    (r"[\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}]*", ["", "abc 1+€", "äöü 漢字", "e\u0301"], ["\t", "a\x00", "é\x00"]),
    (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+", ["key-1", "schlüssel", "a b"], ["", "a|b", "ü|"]),
    (r"\P{L}+", ["123"], ["a", "1ä"]),
    (r"[^\p{Cntrl}]+", ["a"], ["\x01"]),
    (r"\p{Alpha}\p{Digit}", ["a1"], ["1a", "ä1"]),
    (r"\p{IsLu}", ["A", "Ä"], ["a", "ä"]),
    (r"\d\w\s", ["1a "], ["١a ", "1ä ", "1a\u2003"]),
    (r"a.b", ["a-b", "aéb"], ["a\nb", "a\rb", "a\u2028b"]),
    (r"[a-zA-Z0-9-_\.]+", ["a-b_c.d"], ["a b", ""]),
    (r"[\w-.]+", ["a-b.c"], ["a/b"]),
    (r"[a-\d]+", ["a-1"], ["b"]),
    (r"[a[bc]]+", ["abc"], ["[", "d"]),
    (r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*", ["a\tb", "ÿ"], ["\x00", "\u0100"]),
    (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", ["a😹\n"], ["\x0b"]),
    (r"^a$", ["a"], ["a\n", "ab"]),
    (r"(?<name>a)\z", ["a"], ["b"]),
    (r"(?<=a)b|c", ["c"], ["b"]),
    (r"(?i)abc", ["ABC"], ["abd"]),
    (r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)", ["v1", "1v"], ["12"]),
    (r"\.\-\/\@", [".-/@"], ["x"]),
    (r"[\S\s]+", ["a \n"], [""]),
    (r"[!-~&&x]|y".replace("&&", "&"), ["y", "&"], ["é"]),
    (r"[]a]+", ["]a"], ["b"]),
]


@pytest.mark.parametrize(("pattern", "right", "wrong"), MATCHES, ids=[case[0] for case in MATCHES])
def test_pattern_matches_whole_values(pattern: str, right: list[str], wrong: list[str]) -> None:
    assert untranslatable(pattern) is None
    compiled = JavaPattern(pattern)
    assert [value for value in right if not compiled.matches(value)] == []
    assert [value for value in wrong if compiled.matches(value)] == []


@pytest.mark.parametrize(
    "pattern", [r"[a-z&&[^b]]", r"\p{InGreek}", r"[z-a]", r"(", r"[a", r"\Qa\E", r"[a[^b]]", r"a\R"]
)
def test_what_cannot_be_translated_is_reported_and_lets_everything_pass(pattern: str) -> None:
    assert untranslatable(pattern)
    assert JavaPattern(pattern).matches("anything")
    assert JavaPattern(pattern).matches("ünything")


@pytest.mark.parametrize("service", ["lambda", "iam", "sts", "events", "sqs", "logs"])
def test_no_pattern_hangs_on_a_hostile_value(service: str) -> None:
    """With a pattern that backtracks exponentially this takes years: the test's time limit is the assertion."""
    for definition in shapes.load(service).shapes.values():
        if definition.pattern is not None:
            compiled = JavaPattern(definition.pattern)
            for base in (
                "a",
                "1",
                "-",
                "a-",
                "/a",
                " ",
                "a ",
                ":",
                "arn:aws:lambda:us-east-1:123456789012:function:a:",
            ):
                compiled.matches(base * 200 + "\x00")


@pytest.mark.parametrize("value", ["a", " ", "\ta\tb\t", "a  b", " a"])
def test_rewritten_patterns_take_what_the_originals_take(value: str) -> None:
    for name in ("HeaderValue", "AuthHeaderParameters"):
        pattern = shapes.load("events").shapes[name].pattern
        assert pattern is not None
        assert JavaPattern(pattern).matches(value) is bool(re.fullmatch(pattern, value))
        for wrong in ("", "\t", value + "\x00", value + "\n"):
            assert JavaPattern(pattern).matches(wrong) is bool(re.fullmatch(pattern, wrong)) is False
