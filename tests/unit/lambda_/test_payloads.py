from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.lambda_.errors import InvalidRequestContent
from lambent.lambda_.payloads import client_context_of, event_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values, st.booleans())
def test_json_is_delivered_as_it_came(value: object, ascii_only: bool) -> None:
    payload = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass" if ascii_only else "replace")
    assert event_of(payload) is payload


@given(st.binary(max_size=30))
def test_the_verdict_is_that_of_a_json_parser(payload: bytes) -> None:
    def refuse(token: str) -> object:
        raise ValueError(token)

    try:
        json.loads(payload.decode(), parse_constant=refuse)
    except ValueError:
        valid = not payload
    else:
        valid = True
    if valid:
        assert event_of(payload) == (payload or b"{}")
    else:
        with pytest.raises(InvalidRequestContent):
            event_of(payload)


def test_an_escaped_lone_surrogate_is_json() -> None:
    assert event_of(b'"\\ud800"') == b'"\\ud800"'


def test_no_payload_is_an_empty_object() -> None:
    assert event_of(b"") == b"{}"


@pytest.mark.parametrize(
    ("payload", "reason", "position"),
    [
        (b"\x87", "Invalid UTF-8 start byte 0x87", "line: 1, column: 1"),
        (b'{"a":\n "\x99"}', "Invalid UTF-8 start byte 0x99", "line: 2, column: 3"),
        (
            b"\x01",
            "Unexpected character ((CTRL-CHAR, code 1)): expected a valid value (JSON String, Number, Array, Object or "
            "token 'null', 'true' or 'false')",
            "line: 1, column: 1",
        ),
        (
            b"hello",
            "Unrecognized token 'hello': was (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
            "line: 1, column: 1",
        ),
        (b'{"a": 1', "Unexpected end-of-input", "line: 1, column: 8"),
        (b"[" * 100_000 + b"]" * 100_000, "Document nesting depth exceeds the maximum allowed", "line: 1, column: 1"),
    ],
)
def test_what_is_not_json_says_where(payload: bytes, reason: str, position: str) -> None:
    with pytest.raises(InvalidRequestContent) as caught:
        event_of(payload)
    message = caught.value.message
    assert message.startswith(
        f"Could not parse request body into json: Could not parse payload into json: {reason}\n at [Source: "
    )
    assert message.endswith(f"; {position}]")
    assert len(message) < 1000


def test_client_context_is_base64_json() -> None:
    assert client_context_of(None) == ""
    assert client_context_of(base64.b64encode(b'{"client": {}}').decode()) == '{"client": {}}'


@pytest.mark.parametrize("header", ["%%%", base64.b64encode(b"[1]").decode(), base64.b64encode(b"{").decode(), "gA=="])
def test_client_context_that_is_not(header: str) -> None:
    with pytest.raises(InvalidRequestContent, match="valid Base64-encoded JSON object"):
        client_context_of(header)


def test_client_context_has_a_limit() -> None:
    def header(size: int) -> str:
        return base64.b64encode(b'{"k":"' + b"x" * (size - 8) + b'"}').decode()

    assert len(client_context_of(header(3583))) == 3583
    with pytest.raises(InvalidRequestContent, match="no more than 3583 bytes"):
        client_context_of(header(3584))
