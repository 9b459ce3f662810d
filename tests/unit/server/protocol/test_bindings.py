"""Labels, query strings, headers, and the scalars in them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.errors import AwsError
from lambent.server.protocol import ServiceModels, scalars
from lambent.server.protocol.bindings import split_header_list
from lambent.server.protocol.faults import Unreadable
from lambent.server.protocol.service import compile_service
from lambent.server.protocol.shapes import from_description
from lambent.server.wire import WireRequest

MODELS = ServiceModels()


def parse(service: str, operation: str, labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    request = WireRequest(**{"method": "POST", "path": "/", "query": "", "headers": {}, **fields})
    return MODELS.service(service).operation(operation).parse(request, labels or {})


@pytest.mark.parametrize("bound", ["FunctionName", "Qualifier"])
def test_a_body_cannot_stand_in_for_a_label_or_parameter(bound: str) -> None:
    body = b'{"%s":"other","MaximumRetryAttempts":1}' % bound.encode()
    parsed = parse("lambda", "PutFunctionEventInvokeConfig", {"FunctionName": "f"}, body=body)
    assert parsed == {"FunctionName": "f", "MaximumRetryAttempts": 1}


def test_repeated_parameters_are_a_list_and_else_the_first_counts() -> None:
    assert parse("lambda", "UntagResource", {"Resource": "r"}, query="tagKeys=a&tagKeys=b%26") == {
        "Resource": "r",
        "TagKeys": ["a", "b&"],
    }
    assert parse("lambda", "ListFunctions", query="Marker=a&Marker=b") == {"Marker": "a"}


def test_empty_parameters() -> None:
    assert parse("lambda", "ListFunctions", query="MaxItems=&Marker=") == {"Marker": ""}
    with pytest.raises(AwsError) as caught:
        parse("lambda", "ListFunctions", query="MaxItems=ten")
    assert caught.value.code == "SerializationException"


def test_headers_with_a_prefix() -> None:
    headers = {"x-amz-meta-a": "1", "x-amz-meta-b-c": "2", "content-type": "text/plain"}
    parsed = parse("s3", "PutObject", {"Bucket": "b", "Key": "k"}, headers=headers)
    assert parsed["Metadata"] == {"a": "1", "b-c": "2"}
    assert parsed["ContentType"] == "text/plain"


def test_json_values_in_headers() -> None:
    description = {
        "metadata": {"protocol": "rest-json"},
        "operations": {"Op": {"name": "Op", "http": {"method": "GET", "requestUri": "/"}, "input": {"shape": "In"}}},
        "shapes": {
            "In": {
                "type": "structure",
                "members": {"V": {"shape": "S", "jsonvalue": True, "location": "header", "locationName": "X-V"}},
            },
            "S": {"type": "string"},
        },
    }
    operation = compile_service("case", from_description(description)).operation("Op")

    def parsed(header: str) -> dict[str, Any]:
        return operation.parse(WireRequest(method="GET", path="/", query="", headers={"x-v": header}), {})

    assert parsed("eyJhIjpbMV19") == {"V": {"a": [1]}}
    for wrong in ("?", "eyJhIg==", "W1tb" * 4000):
        with pytest.raises(AwsError):
            parsed(wrong)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a, b,c", ["a", "b", "c"]),
        ('"a,b", "c\\"d", e', ["a,b", 'c"d', "e"]),
        ("a", ["a"]),
        ('"', [""]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_lists_in_headers(text: str, items: list[str]) -> None:
    assert split_header_list(text) == items


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("2026-01-02T03:04:05.250Z", 1767323045.25),
        ("2026-01-02T03:04:05+01:00", 1767319445.0),
        ("2026-01-02T03:04:05-0130", 1767328445.0),
        ("2026-01-02", 1767312000.0),
        ("Fri, 02 Jan 2026 03:04:05 GMT", 1767323045.0),
        ("1767323045.5", 1767323045.5),
        ("1.767323045E9", 1767323045.0),
    ],
)
def test_timestamps(text: str, seconds: float) -> None:
    assert scalars.parse_timestamp(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "nope", "2026-13-01T00:00:00Z", "99999999999999", "NaN", "2026-01-02T25:00:00Z", "1e999"]
)
def test_what_is_no_timestamp(text: str) -> None:
    with pytest.raises(Unreadable):
        scalars.parse_timestamp(text)


@given(st.integers(0, 253_402_300_799_000).map(lambda milliseconds: milliseconds / 1000))
def test_timestamps_survive_being_written(seconds: float) -> None:
    assert math.isclose(scalars.parse_timestamp(scalars.iso8601(seconds)), seconds, abs_tol=1e-4)
    assert scalars.parse_timestamp(scalars.http_date(seconds)) == math.floor(seconds)
    assert math.isclose(scalars.epoch_number(seconds), seconds, abs_tol=1e-3)


@pytest.mark.parametrize("text", ["1_000", "0x1", "1.0", "", "--1", "9223372036854775808", "\u0661"])
def test_what_is_no_integer(text: str) -> None:
    with pytest.raises(Unreadable):
        scalars.parse_integer(text)


@pytest.mark.parametrize("text", ["1_0", "nan", "inf", "infinity", "1e", "", "0x1p3"])
def test_what_is_no_float(text: str) -> None:
    with pytest.raises(Unreadable):
        scalars.parse_float(text)


def test_base64_may_have_line_breaks_and_nothing_else() -> None:
    assert scalars.parse_base64("aGVs\nbG8=\n") == b"hello"
    for wrong in ("aGVsbG8", "a?==", "=aGk", "é"):
        with pytest.raises(Unreadable):
            scalars.parse_base64(wrong)
