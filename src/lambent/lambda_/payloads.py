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

from lambent.core.json_faults import find_fault, source
from lambent.core.limits import LAMBDA_CLIENT_CONTEXT_BYTES, LAMBDA_RESPONSE_BYTES
from lambent.lambda_.errors import InvalidRequestContent

_SYNTAX = msgspec.json.Decoder(msgspec.Raw)

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
            try:
                payload.decode()
            except UnicodeDecodeError:
                _refuse(payload, "Invalid UTF-8")
    return payload


def _check_slowly(payload: bytes) -> None:
    """The verdict where the fast parser refused: it is stricter than AWS on lone surrogates."""
    try:
        json.loads(payload.decode(), parse_constant=_not_json)
    except ValueError as error:
        _refuse(payload, str(error))
    except RecursionError:
        _refuse(payload, "Document nesting depth exceeds the maximum allowed")


def _not_json(token: str) -> NoReturn:
    raise ValueError(f"Non-standard token '{token}'")


def _refuse(payload: bytes, otherwise: str) -> NoReturn:
    """Refuse with AWS's words for the payload's first fault, or `otherwise` where none is found."""
    fault = find_fault(payload, otherwise)
    raise InvalidRequestContent(
        f"Could not parse request body into json: Could not parse payload into json: {fault.reason}\n"
        f" at [Source: {source(payload)}; line: {fault.line}, column: {fault.column}]"
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
