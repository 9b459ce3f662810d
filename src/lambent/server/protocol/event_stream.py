"""`application/vnd.amazon.eventstream`: frames of headers and payload, each guarded by two CRCs.

A frame is: total length, headers length, CRC-32 of those eight bytes, headers, payload, CRC-32 of all before
(Amazon event stream specification, Smithy).
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from zlib import crc32

from lambent.core.errors import AwsError
from lambent.server.protocol import json_renderer, scalars
from lambent.server.protocol.json_renderer import JsonRenderers, UnknownOutputMember
from lambent.server.protocol.shapes import Shape

HeaderValue = str | int | bool | bytes | float
EncodeEvents = Callable[[AsyncIterator[Mapping[str, Any]]], AsyncIterator[bytes]]
EncodeStructure = Callable[[Shape, frozenset[str]], Callable[[Mapping[str, Any]], bytes]]
"""Given an event's shape and the members that are not in its payload, what encodes the rest."""

_STRING, _BYTES, _TIMESTAMP, _LONG, _INTEGER = 7, 6, 8, 5, 4
_PRELUDE = struct.Struct(">II")
_CRC = struct.Struct(">I")


def encode_header(name: str, value: HeaderValue, type_name: str = "string") -> bytes:
    """One header: name length, name, type, value. Timestamps are epoch seconds."""
    encoded = name.encode()
    prefix = struct.pack(">B", len(encoded)) + encoded
    if type_name == "boolean":
        return prefix + (b"\x00" if value else b"\x01")
    if type_name == "timestamp":
        return prefix + struct.pack(">Bq", _TIMESTAMP, round(float(value) * 1000))
    if type_name == "integer":
        return prefix + struct.pack(">Bi", _INTEGER, value)
    if type_name == "long":
        return prefix + struct.pack(">Bq", _LONG, value)
    raw = value if isinstance(value, bytes) else str(value).encode()
    return prefix + struct.pack(">BH", _BYTES if type_name == "blob" else _STRING, len(raw)) + raw


def encode_frame(headers: bytes, payload: bytes) -> bytes:
    """A whole frame from encoded headers and payload."""
    prelude = _PRELUDE.pack(16 + len(headers) + len(payload), len(headers))
    head = prelude + _CRC.pack(crc32(prelude)) + headers
    return b"".join((head, payload, _CRC.pack(crc32(payload, crc32(head)))))


def initial_response(payload: bytes, content_type: str) -> bytes:
    """The first frame of a json-protocol stream: the output members beside the stream."""
    headers = _headers("event", "initial-response", content_type)
    return encode_frame(headers, payload)


def _headers(kind: str, name: str, content_type: str | None) -> bytes:
    headers = encode_header(f":{kind}-type", name)
    if content_type is not None:
        headers += encode_header(":content-type", content_type)
    return headers + encode_header(":message-type", kind)


def member_name(shape: Shape) -> str | None:
    """The output member that is an event stream."""
    return next((name for name, member in shape.members.items() if member.definition.eventstream), None)


def json_encoder(shape: Shape, renderers: JsonRenderers, content_type: str) -> EncodeEvents:
    """Encodes a stream whose structures are JSON."""

    def structure(event: Shape, skip: frozenset[str]) -> Callable[[Mapping[str, Any]], bytes]:
        members = {
            name: (member.wire_name(name), renderers.value(member))
            for name, member in event.members.items()
            if name not in skip
        }
        convert = json_renderer.structure(event.name, members)
        return lambda value: json_renderer.encode(convert(value))

    return encoder(shape, structure, content_type)


def encoder(shape: Shape, structure: EncodeStructure, content_type: str) -> EncodeEvents:
    """Encodes the one-member dicts of a stream. An AwsError raised by the iterator becomes its last frame.

    Raises UnknownOutputMember for events that the model does not have.
    """
    events = {name: _event(name, member, structure, content_type) for name, member in shape.members.items()}
    exceptions = {member.name: name for name, member in shape.members.items() if member.definition.exception}

    async def encode(stream: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
        try:
            async for event in stream:
                ((name, value),) = event.items()
                write = events.get(name)
                if write is None:
                    raise UnknownOutputMember(f"{shape.name} has no event {name}")
                yield write(value)
        except AwsError as error:
            name = exceptions.get(error.code, "")
            if name:
                yield events[name]({**error.members, _message_member(shape, name): error.message})
            else:
                yield encode_frame(
                    encode_header(":error-code", error.code)
                    + encode_header(":error-message", error.message)
                    + encode_header(":message-type", "error"),
                    b"",
                )

    return encode


def _message_member(shape: Shape, name: str) -> str:
    return next((m for m in shape.members[name].definition.members if m.lower() == "message"), "message")


def _event(
    name: str, shape: Shape, structure: EncodeStructure, content_type: str
) -> Callable[[Mapping[str, Any]], bytes]:
    members = shape.members
    in_headers = {member: part for member, part in members.items() if part.eventheader}
    payload_name = next((member for member, part in members.items() if part.eventpayload), None)
    kind = "exception" if shape.definition.exception else "event"
    convert: Callable[[Any], bytes]
    if payload_name is None:
        encode_members = structure(shape, frozenset(in_headers))
        fixed = _headers(kind, name, content_type)

        def write(value: Mapping[str, Any]) -> bytes:
            rest = {member: item for member, item in value.items() if member not in in_headers}
            return encode_frame(fixed + _event_headers(in_headers, value), encode_members(rest))

        return write
    payload = members[payload_name]
    if payload.type == "blob":
        convert, payload_type = scalars.to_bytes, "application/octet-stream"
    elif payload.type == "string":
        convert, payload_type = str.encode, "text/plain"
    else:
        convert, payload_type = structure(payload, frozenset()), content_type
    fixed = _headers(kind, name, payload_type)
    known = in_headers.keys() | {payload_name}

    def write_payload(value: Mapping[str, Any]) -> bytes:
        if not value.keys() <= known:
            raise UnknownOutputMember(f"{shape.name} has no members {sorted(value.keys() - known)}")
        item = value.get(payload_name)
        headers = fixed + _event_headers(in_headers, value) if in_headers else fixed
        return encode_frame(headers, b"" if item is None else convert(item))

    return write_payload


def _event_headers(members: Mapping[str, Shape], value: Mapping[str, Any]) -> bytes:
    return b"".join(
        encode_header(name, value[name], shape.type) for name, shape in members.items() if value.get(name) is not None
    )
