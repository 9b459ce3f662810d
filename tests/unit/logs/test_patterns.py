from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.logs.patterns import InvalidPattern, compile_pattern

EVENT = json.dumps(
    {
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": None,
        "cluster.name": "c",
        "flag": True,
        "latency": 12.5,
        "status": "404",
    }
)


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("  ", "anything", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "[error 400] BAD REQUEST", False),
        ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", True),
        ("ERROR ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", False),
        ("?ERROR ?ARGUMENTS", "[WARN 420] INVALID ARGUMENTS", True),
        ("?ERROR ?ARGUMENTS", "[INFO] FINE", False),
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL SERVER ERROR", True),
        ('"INTERNAL SERVER ERROR"', "INTERNAL ERROR SERVER", False),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ("ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", False),
        ('ERROR -"MISSING ARGUMENTS"', "[ERROR 419] MISSING ARGUMENTS", False),
        ("-ERROR", "fine", True),
        ("?x ERROR", "ERROR", True),
        (r'"say \"hi\""', 'they say "hi"', True),
        ("REPORT", "REPORT RequestId: 1", True),
        ('{ $.eventType = "UpdateTrail" }', EVENT, True),
        ("{$.eventType=UpdateTrail}", EVENT, True),
        ('{ $.eventType != "UpdateTrail" }', EVENT, False),
        ('{ $.nothing != "UpdateTrail" }', EVENT, False),
        ('{ $.sourceIPAddress != "123.123.*" }', EVENT, True),
        ("{ $.sourceIPAddress = 111.111.* }", EVENT, True),
        ('{ $.arrayKey[0] = "value" }', EVENT, True),
        ('{ $.arrayKey[5] = "value" }', EVENT, False),
        ('{ $.arrayKey[*] = "another value" }', EVENT, True),
        ("{ $.objectList[1].id = 2 }", EVENT, True),
        ("{ $.objectList[*].id > 1 }", EVENT, True),
        ("{ $.objectList[*].id > 2 }", EVENT, False),
        ("{ $.SomeObject IS NULL }", EVENT, True),
        ("{ $.Other IS NULL }", EVENT, False),
        ("{ $.Other NOT EXISTS }", EVENT, True),
        ("{ $.flag NOT EXISTS }", EVENT, False),
        ("{ $.flag EXISTS }", EVENT, True),
        ("{ $.flag IS TRUE }", EVENT, True),
        ("{ $.flag IS FALSE }", EVENT, False),
        ("{ $.['cluster.name'] = \"c\" }", EVENT, None),
        ("{ $['cluster.name'] = \"c\" }", EVENT, True),
        ("{ $.latency > 12 && $.latency <= 12.5 }", EVENT, True),
        ("{ $.latency = 1.25e1 }", EVENT, True),
        ("{ $.status = 404 }", EVENT, True),
        ("{ $.eventType = * }", EVENT, True),
        ("{ $.Other = * }", EVENT, False),
        ("{ ($.flag IS FALSE) || ($.latency < 13 && $.eventType = Up*) }", EVENT, True),
        ("{ $.flag IS FALSE || $.latency < 13 && $.eventType = Down* }", EVENT, False),
        ("{ $.a = 1 }", "no json", False),
        ("{ $.a = 1 }", "[1]", False),
        ("{ $.a = 1 }", '{"a": true}', False),
        ("[ip, user, status=4*, bytes]", '127.0.0.1 "some one" 404 1534', True),
        ("[ip, user, status=4*, bytes]", "127.0.0.1 x 500 1534", False),
        ("[ip, user, status=4*, bytes]", "127.0.0.1 x 404", False),
        ("[..., status = 404 || status = 410, bytes > 1000]", "a [b c] d e 410 1534", True),
        ("[..., status = 404 || status = 410, bytes > 2000]", "a [b c] d e 410 1534", False),
        ("[first, ..., last!=x]", "a b c y", True),
        ("[first, ...]", "", False),
        ("[a >= 5 && a < 7]", "6", True),
        ("[a >= 5 && a < 7]", "7", False),
        ("[a != 7]", "seven", True),
    ],
)
def test_patterns(pattern: str, message: str, matches: bool | None) -> None:
    if matches is None:
        with pytest.raises(InvalidPattern):
            compile_pattern(pattern)
        return
    assert (compile_pattern(pattern)(message) is not None) is matches


def test_what_a_pattern_takes_out_of_a_message() -> None:
    assert compile_pattern("[ip, ..., size]")("a b c 7") == {"$ip": "a", "$size": "7"}
    assert compile_pattern("{ $.latency > 1 && $.x NOT EXISTS && $.flag IS TRUE }")(EVENT) == {
        "$.latency": "12.5",
        "$.flag": "true",
    }
    assert compile_pattern("ERROR")("ERROR") == {}


@pytest.mark.parametrize(
    "pattern",
    [
        "{ $.a }",
        "{ $.a = }",
        "{ $ = 1 }",
        "{ $.a = 1",
        "{ $.a = 1 } x",
        "{ $.a > b }",
        "{ $.a[x] = 1 }",
        "{ $.a = %x% }",
        "{ $.a = 1 && }",
        "{ " + "(" * 50 + "$.a = 1" + ")" * 50 + " }",
        "[a, a]",
        "[a=1 || b=2, b]",
        "[..., x, ...]",
        "[]",
        "[a",
        '"open',
        "a(b",
        "%regex%",
        "- x",
    ],
)
def test_patterns_that_cannot_be_read(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


@given(st.text(max_size=60))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        match = compile_pattern(text)
    except InvalidPattern:
        return
    match(EVENT)
    match(text)


@given(st.text(st.sampled_from('{}[]()$."=<>&|!?-* a1,%'), max_size=30), st.text(max_size=20))
def test_hostile_patterns(text: str, message: str) -> None:
    for pattern in (text, "{" + text + "}", "[" + text + "]"):
        try:
            compile_pattern(pattern)(message)
        except InvalidPattern:
            continue


def test_a_message_of_brackets_costs_no_more_than_any_other() -> None:
    # Quadratic scanning of a message this long would run into the test's time limit.
    message = '[ "' * 300_000
    assert compile_pattern("[a, ..., b=x]")(message) is None
    assert compile_pattern("{ $.a = *x*y*z* }")(json.dumps({"a": "x" * 1_000_000})) is None
