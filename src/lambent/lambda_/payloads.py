"""What may travel in an Invoke: the payload's JSON, the client context, the answer's size.

Valid JSON is the hot path and costs a fraction of a microsecond; only a refused payload is parsed a second time,
to say where it breaks the way AWS's (Jackson's) parser does.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import NoReturn

import msgspec

from lambent.core.limits import LAMBDA_CLIENT_CONTEXT_BYTES, LAMBDA_RESPONSE_BYTES
from lambent.lambda_.errors import InvalidRequestContent

_SYNTAX = msgspec.json.Decoder(msgspec.Raw)
_EXPECTED = "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_SOURCE_CHARACTERS = 500

RESPONSE_TOO_LARGE = (
    b'{"errorMessage":"Response payload size exceeded maximum allowed payload size (%d bytes).",'
    b'"errorType":"Function.ResponseSizeTooLarge"}' % LAMBDA_RESPONSE_BYTES
)


def event_of(payload: bytes) -> bytes:
    """The event to deliver: `{}` for an empty body. Raises InvalidRequestContent unless it is UTF-8 JSON."""
    if not payload:
        return b"{}"
    try:
        _SYNTAX.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        _check_slowly(payload)
    else:
        if not payload.isascii():
            _text_of(payload)
    return payload


def _check_slowly(payload: bytes) -> None:
    """The verdict where the fast parser refused (it is stricter than AWS on lone surrogates), with a position."""
    text = _text_of(payload)
    try:
        json.loads(text, parse_constant=_not_json)
    except json.JSONDecodeError as error:
        _refuse(_reason(text, error), text, error.lineno, error.colno)
    except RecursionError:
        _refuse("Document nesting depth exceeds the maximum allowed", text, 1, 1)


def _not_json(token: str) -> NoReturn:
    raise json.JSONDecodeError(f"Non-standard token '{token}'", "", 0)


def _reason(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text):
        return "Unexpected end-of-input"
    character = text[error.pos]
    if error.msg != "Expecting value":
        return error.msg
    if character.isalpha():
        token = text[error.pos :].split(maxsplit=1)[0].rstrip(",]}")[:100]
        return f"Unrecognized token '{token}': was {_EXPECTED.removeprefix('expected a valid value ')}"
    shown = f"(CTRL-CHAR, code {ord(character)})" if ord(character) < 32 else f"'{character}' (code {ord(character)})"
    return f"Unexpected character ({shown}): {_EXPECTED}"


def _text_of(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        before = payload[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        byte = payload[error.start]
        which = "middle" if "continuation" in error.reason else "start"
        if which == "middle" and error.end < len(payload):
            byte = payload[error.end]
        _refuse(f"Invalid UTF-8 {which} byte 0x{byte:x}", payload.decode(errors="replace"), line, column)


def _refuse(reason: str, text: str, line: int, column: int) -> NoReturn:
    source = text[:_SOURCE_CHARACTERS]
    raise InvalidRequestContent(
        f"Could not parse request body into json: Could not parse payload into json: {reason}\n"
        f' at [Source: (byte[])"{source}"; line: {line}, column: {column}]'
    )


def client_context_of(header: str | None) -> str:
    """The JSON text that X-Amz-Client-Context carries in base64; empty without one. Raises InvalidRequestContent."""
    if not header:
        return ""
    try:
        decoded = base64.b64decode(header, validate=True)
        if len(decoded) > LAMBDA_CLIENT_CONTEXT_BYTES:
            raise InvalidRequestContent(f"Client Context must be no more than {LAMBDA_CLIENT_CONTEXT_BYTES} bytes.")
        text = decoded.decode()
        is_object = isinstance(msgspec.json.decode(text), dict)
    except (binascii.Error, UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.") from error
    if not is_object:
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.")
    return text
