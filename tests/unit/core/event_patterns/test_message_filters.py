"""FilterCriteria of a queue: bodies that are JSON and bodies that are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambent.core.event_patterns.message_filters import InvalidFilterPattern, TooManyFilters, parse_filters


def passes(filters: list[Any], body: object, **keys: Any) -> bool:
    message_filter = parse_filters([json.dumps(one) for one in filters])
    assert message_filter is not None
    text = body if isinstance(body, str) else json.dumps(body)
    return message_filter.accepts({"messageId": "m", "body": text, "attributes": {"SenderId": "AIDA"}, **keys})


@pytest.mark.parametrize(
    ("pattern", "passing", "dropped"),
    [
        ({"body": {"k": ["a", "b"]}}, [{"k": "a"}, {"k": "b", "x": 1}], [{"k": "c"}, {}]),
        ({"body": {"k": ["a"], "l": [1]}}, [{"k": "a", "l": 1.0}], [{"k": "a"}, {"k": "a", "l": 2}]),
        ({"body": {"k": [{"exists": True}]}}, [{"k": None}], [{"l": 1}, "text", [{"k": 1}], 5]),
        ({"body": {"k": [{"exists": False}]}}, [{"l": 1}], [{"k": 1}, "plain text", "[]", "7"]),
        ({"body": {"k": [{"numeric": ["<", 100]}]}}, [{"k": 99}], [{"k": 100}]),
        ({"body": {"k": [{"numeric": [">=", 100, "<", 200]}]}}, [{"k": 100}], [{"k": 200}]),
        ({"body": {"k": [{"prefix": "yes"}]}}, [{"k": "yes, please"}], [{"k": "no"}]),
        ({"body": ["plain text"]}, ["plain text"], ["other", '"plain text"', {"a": 1}]),
        ({"body": [{"prefix": "plain"}]}, ["plain text"], ["7", "true"]),
        ({"attributes": {"SenderId": ["AIDA"]}}, ["any", {"json": 1}], []),
        ({"attributes": {"SenderId": ["other"]}}, [], ["any", {"json": 1}]),
        ({"$or": [{"body": ["x"]}, {"body": {"k": [1]}}]}, ["x", {"k": 1}], ["y", {"k": 2}]),
        ({"body": {"k": [1]}, "attributes": {"SenderId": ["AIDA"]}}, [{"k": 1}], [{"k": 2}, "x"]),
        ({"body": {"event_type": ["PAYMENT", "REFUND"]}}, [{"event_type": "REFUND"}], [{"event_type": "OTHER"}, "x"]),
    ],
)
def test_what_a_filter_lets_through(pattern: object, passing: list[Any], dropped: list[Any]) -> None:
    assert all(passes([pattern], body) for body in passing)
    assert not any(passes([pattern], body) for body in dropped)


def test_filters_are_alternatives() -> None:
    filters = [{"body": {"a": [1]}}, {"body": ["plain"]}, {"body": {"b": [2]}}]
    assert passes(filters, {"b": 2})
    assert passes(filters, "plain")
    assert not passes(filters, {"a": 2, "b": 1})


def test_keys_besides_the_body_are_named() -> None:
    message_filter = parse_filters(['{"body": {"a": [1]}, "attributes": {"SenderId": ["x"]}}', '{"messageId": ["m"]}'])
    assert message_filter is not None
    assert message_filter.other_keys == {"attributes", "messageId"}


def test_no_filters_are_no_filter() -> None:
    assert parse_filters([]) is None


@pytest.mark.parametrize("pattern", [None, "text", '"string"', "[1]", '{"a": "b"}', '{"a": []}', "{}", 5, {"a": [1]}])
def test_patterns_that_lambda_refuses(pattern: object) -> None:
    with pytest.raises(InvalidFilterPattern, match=r"^Invalid filter pattern definition\.$"):
        parse_filters([pattern])


def test_too_many_filters() -> None:
    parse_filters(['{"a": [1]}'] * 5, max_filters=5)
    with pytest.raises(TooManyFilters, match="at most 5"):
        parse_filters(['{"a": [1]}'] * 6, max_filters=5)


def test_a_body_that_nests_too_deep_to_be_read_is_a_string() -> None:
    assert not passes([{"body": {"a": [1]}}], "[" * 100_000)
    assert passes([{"body": [{"prefix": "["}]}], "[" * 100_000)
