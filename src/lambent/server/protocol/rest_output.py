"""REST output members into responses: status, headers, payload or body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from lambent.server.protocol import json_renderer, scalars
from lambent.server.protocol.json_renderer import UnknownOutputMember
from lambent.server.protocol.shapes import Shape
from lambent.server.wire import WireResponse

Headers = list[tuple[str, str]]
Encode = Callable[[Mapping[str, Any]], bytes]
"""Body members, by model name, into the body."""

_BOUND = ("header", "headers", "statusCode")  # other locations (labels, query) mean nothing in a response


class Render(Protocol):
    """Output members into a response. Raises UnknownOutputMember."""

    def __call__(
        self, output: Mapping[str, Any], *, request_id: str, status: int | None, headers: Mapping[str, str]
    ) -> WireResponse: ...


class BodyFormat(Protocol):
    """What rest-json and rest-xml do differently."""

    content_type: str

    def body_encoder(self, shape: Shape, skip: frozenset[str]) -> Encode:
        """Encodes the members of an output shape that are not bound elsewhere."""

    def payload_encoder(self, name: str, shape: Shape) -> Callable[[Any], bytes]:
        """Encodes a structure (or document) that is the whole body."""

    def event_encoder(self, shape: Shape) -> Callable[[AsyncIterator[Any]], AsyncIterator[bytes]]:
        """Encodes an event stream."""


def compile_render(
    shape: Shape | None,
    *,
    method: str,
    default_status: int,
    identify: Callable[[str], Headers],
    body_format: BodyFormat,
) -> Render:
    """A renderer of an operation's output. `identify` makes the headers that carry the request id."""
    members = {} if shape is None else shape.members
    payload_name = None if shape is None else shape.definition.payload
    shape_name = "the operation without output" if shape is None else shape.name
    assign = {
        name: _assigner(name, member, is_payload=name == payload_name)
        for name, member in members.items()
        if member.location in _BOUND or name == payload_name
    }
    in_body = frozenset(members) - assign.keys()
    encode: Encode | None = None
    write_payload: Callable[[Any], bytes | AsyncIterator[bytes]] | None = None
    content_type: str | None = body_format.content_type
    if shape is not None and payload_name is not None:
        write_payload, content_type = _payload_writer(payload_name, members[payload_name], body_format)
    elif shape is not None and in_body:
        encode = body_format.body_encoder(shape, frozenset(assign))
    else:
        content_type = None
    silent = method == "HEAD"

    def render(
        output: Mapping[str, Any], *, request_id: str, status: int | None, headers: Mapping[str, str]
    ) -> WireResponse:
        response = _Response(identify(request_id))
        body_members: dict[str, Any] = {}
        for name, value in output.items():
            if value is None:
                continue
            put = assign.get(name)
            if put is not None:
                put(response, value)
            elif name in in_body:
                body_members[name] = value
            else:
                raise UnknownOutputMember(f"{shape_name} has no member {name}")
        for name, text in headers.items():
            response.add(name, text)
        status = status or response.status or default_status
        body: bytes | AsyncIterator[bytes] = b""
        if not (silent or status in (204, 304)):
            if encode is not None:
                body = encode(body_members)
            elif write_payload is not None and response.payload is not None:
                body = write_payload(response.payload)
            if content_type is not None and body and not response.has_content_type:
                response.headers.append(("Content-Type", content_type))
        return WireResponse(status=status, headers=response.headers, body=body)

    return render


class _Response:
    __slots__ = ("has_content_type", "headers", "payload", "status")

    def __init__(self, headers: Headers) -> None:
        self.headers = headers
        self.status: int | None = None
        self.payload: Any = None
        self.has_content_type = False

    def add(self, name: str, text: str) -> None:
        if len(name) == 12 and name.lower() == "content-type":
            self.has_content_type = True
        self.headers.append((name, header_text(text)))


def header_text(text: str) -> str:
    """`text` as a header can carry it: no line breaks (they would start another header), UTF-8 shown as latin-1."""
    if text.isascii() and text.isprintable():
        return text
    cleaned = "".join(" " if character in "\r\n\0" else character for character in text)
    return cleaned.encode("utf-8", "replace").decode("latin-1")


def _assigner(name: str, member: Shape, *, is_payload: bool) -> Callable[[_Response, Any], None]:
    if is_payload:
        return _assign_payload
    if member.location == "statusCode":
        return _assign_status
    wire_name = member.wire_name(name)
    if member.location == "headers":
        prefix = member.location_name or ""

        def assign_prefix(response: _Response, value: Mapping[str, str]) -> None:
            for key, text in value.items():
                response.add(prefix + key, text)

        return assign_prefix
    write = header_writer(member)

    def assign_header(response: _Response, value: Any) -> None:
        if value != [] and value != "":
            response.add(wire_name, write(value))

    return assign_header


def _assign_payload(response: _Response, value: Any) -> None:
    response.payload = value


def _assign_status(response: _Response, value: int) -> None:
    response.status = value


def header_writer(shape: Shape) -> Callable[[Any], str]:
    """What turns a member's value into the text of its header."""
    if shape.type == "list":
        element = header_writer(shape.member)
        escape = _escape_item if shape.member.type == "string" else str
        return lambda values: ", ".join(escape(element(value)) for value in values if value is not None)
    if shape.jsonvalue:
        return lambda value: scalars.format_base64(json_renderer.encode(value))
    return scalars.text_writer(shape.type, shape.timestamp_format, "rfc822")


def _escape_item(text: str) -> str:
    if "," in text or '"' in text:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text


def _payload_writer(
    name: str, shape: Shape, body_format: BodyFormat
) -> tuple[Callable[[Any], bytes | AsyncIterator[bytes]], str]:
    if shape.definition.eventstream:
        return body_format.event_encoder(shape), "application/vnd.amazon.eventstream"
    if shape.type == "blob":
        return _bytes_or_stream, "application/octet-stream"
    if shape.type == "string":
        return lambda value: value.encode(), "text/plain"
    return body_format.payload_encoder(name, shape), body_format.content_type


def _bytes_or_stream(value: Any) -> bytes | AsyncIterator[bytes]:
    if isinstance(value, bytes | bytearray | memoryview | str):
        return scalars.to_bytes(value)
    stream: AsyncIterator[bytes] = value
    return stream
