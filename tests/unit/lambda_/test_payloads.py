from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core import json_faults
from lambent.core.json_faults import find_fault
from lambent.lambda_.errors import InvalidRequestContent
from lambent.lambda_.payloads import client_context_of, event_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def _refuse(token: str) -> object:
    raise ValueError(token)


@given(json_values, st.booleans())
def test_json_is_delivered_as_it_came(value: object, ascii_only: bool) -> None:
    payload = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass" if ascii_only else "replace")
    assert event_of(payload) is payload


@given(st.binary(max_size=30))
def test_the_verdict_is_that_of_a_json_parser(payload: bytes) -> None:
    try:
        json.loads(payload.decode(), parse_constant=_refuse)
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


VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
QUOTED_QUOTES = b'{\n  "bodyjson": "{"payload":"payload"}"\n}'


@pytest.mark.parametrize(
    ("payload", "reason", "position"),
    [
        # as AWS was seen to answer
        (b"\x99\xac\x7f", f"Unexpected character ((CTRL-CHAR, code 153)): expected a valid value {VALUES}", (1, 2)),
        (b"\xa5\x97x", "Invalid UTF-8 start byte 0x97", (1, 3)),
        (b"test data", f"Unrecognized token 'test': was expecting {VALUES}", (1, 6)),
        (b"z{\xec", f"Unrecognized token 'z': was expecting {VALUES}", (1, 3)),
        (b"\xc2'm", f"Unrecognized token '\u00c2': was expecting {VALUES}", (1, 3)),
        (b"'tes", f"Unexpected character (''' (code 39)): expected a valid value {VALUES}", (1, 2)),
        (b"0D\xbf", "Unexpected character ('D' (code 68)): Expected space separating root-level values", (1, 3)),
        (
            QUOTED_QUOTES,
            "Unexpected character ('p' (code 112)): was expecting comma to separate Object entries",
            (2, 19),
        ),
        (
            b"------Web",
            "Unexpected character ('-' (code 45)) in numeric value: expected digit (0-9) to follow minus sign, for "
            "valid numeric value",
            (1, 3),
        ),
        # the same parser's other words
        (b'{"a":\n "\x99"}', "Invalid UTF-8 start byte 0x99", (2, 4)),
        (b'{"a":"\xc3("}', "Invalid UTF-8 middle byte 0x28", (1, 9)),
        (b"{a: 1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name", (1, 3)),
        (
            b'{"a" 1}',
            "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value",
            (1, 7),
        ),
        (b"[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", (1, 5)),
        (b"[1,]", "Unexpected character (']' (code 93)): expected a value", (1, 5)),
        (b'{"a":', "Unexpected end-of-input within/between Object entries", (1, 6)),
        (
            b'{"a": 1',
            'Unexpected end-of-input: expected close marker for Object (start marker at [Source: (byte[])"{"a": 1"; '
            "line: 1, column: 1])",
            (1, 8),
        ),
        (
            b"\r\n[\r\n1}",
            "Unexpected close marker '}': expected ']' (for Array starting at [Source: (byte[])\"\r\n[\r\n1}\"; "
            "line: 2, column: 1])",
            (3, 3),
        ),
        (b'"abc', "Unexpected end-of-input: was expecting closing quote for a string value", (1, 5)),
        (
            b'"a\nb"',
            "Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash to be included in "
            "string value",
            (1, 4),
        ),
        (b'"\\x"', "Unrecognized character escape 'x' (code 120)", (1, 4)),
        (b"01", "Invalid numeric value: Leading zeroes not allowed", (1, 3)),
        (b"nul", f"Unrecognized token 'nul': was expecting {VALUES}", (1, 4)),
        (b"[" * 100_000 + b"]" * 100_000, "Document nesting depth exceeds the maximum allowed", None),
        (b" ", "No content to map due to end-of-input", (1, 2)),
    ],
)
def test_what_is_not_json_says_where(payload: bytes, reason: str, position: tuple[int, int] | None) -> None:
    with pytest.raises(InvalidRequestContent) as caught:
        event_of(payload)
    message = caught.value.message
    assert message.startswith(
        f'Could not parse request body into json: Could not parse payload into json: {reason}\n at [Source: (byte[])"'
    )
    if position is not None:
        line, column = position
        assert message.endswith(f'"; line: {line}, column: {column}]')
    assert len(message) < 1000


def test_long_payloads_are_quoted_in_part() -> None:
    with pytest.raises(InvalidRequestContent) as caught:
        event_of(b"{" + b"x" * 1490)
    assert caught.value.message.endswith(f'"{{{"x" * 499}"[truncated 991 bytes]; line: 1, column: 3]')


@given(st.text("[]{}:,\"'\\/nulNa0123.eE+- \n\x01\u00e9", max_size=12))
def test_a_fault_is_found_where_there_is_one(text: str) -> None:
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        valid = False
    else:
        valid = True
    assert (find_fault(text.encode(), "none").reason == "none") is valid


@pytest.mark.parametrize("payload", [b"[" + b"1," * 200_000, b'"' + b"\\n" * 200_000, b"\n" * 400_000 + b"x"])
def test_the_search_for_a_fault_is_bounded(payload: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_faults, "_MAX_TOKENS", 1_000)
    assert find_fault(payload, "unknown").reason in ("unknown", f"Unrecognized token 'x': was expecting {VALUES}")


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
