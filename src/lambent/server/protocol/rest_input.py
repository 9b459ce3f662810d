"""REST requests into parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from lambent.core.errors import AwsError, NotImplementedOperation
from lambent.core.operations import Params
from lambent.server.protocol import bindings, urls
from lambent.server.protocol.faults import Unreadable
from lambent.server.protocol.shapes import Shape
from lambent.server.wire import WireRequest

Parse = Callable[[WireRequest, Mapping[str, str]], Params]
BodyParser = Callable[[bytes], Any]
Fault = Callable[[str], AwsError]


def is_streaming(shape: Shape | None) -> bool:
    """Whether the request's body is handed on as it comes."""
    if shape is None or shape.definition.payload is None:
        return False
    payload = shape.members[shape.definition.payload]
    return payload.type == "blob" and payload.streaming


def compile_parse(
    shape: Shape | None,
    uri: str,
    body_parser: Callable[[Shape], BodyParser],
    *,
    binding_fault: Fault,
    body_fault: Fault,
) -> Parse:
    """A parser of an operation's requests. The faults make the errors for unreadable bindings and bodies."""
    if shape is None:
        return lambda request, labels: {}
    members = shape.members
    literals = frozenset(pair.partition("=")[0] for pair in uri.partition("?")[2].split("&"))
    label_readers = tuple(bindings.label_reader(n, m) for n, m in members.items() if m.location == "uri")
    query_readers = tuple(
        bindings.query_reader(n, m, literals) for n, m in members.items() if m.location == "querystring"
    )
    header_readers = tuple(
        bindings.header_reader(n, m) for n, m in members.items() if m.location in ("header", "headers")
    )
    read_body = _payload_reader(shape, members, body_parser)

    def parse(request: WireRequest, labels: Mapping[str, str]) -> Params:
        params: Params = {}
        try:
            for read_label in label_readers:
                read_label(params, labels)
            if query_readers and request.query:
                query = urls.parse_query(request.query)
                for read_query in query_readers:
                    read_query(params, query)
            headers = request.headers
            for read_header in header_readers:
                read_header(params, headers)
        except Unreadable as unreadable:
            raise binding_fault(str(unreadable)) from None
        if read_body is not None:
            try:
                read_body(params, request.body)
            except Unreadable as unreadable:
                raise body_fault(str(unreadable)) from None
        return params

    return parse


def _payload_reader(
    shape: Shape, members: Mapping[str, Shape], body_parser: Callable[[Shape], BodyParser]
) -> Callable[[Params, Any], None] | None:
    name = shape.definition.payload
    if name is None:
        in_body = frozenset(name for name, member in members.items() if member.location is None)
        if not in_body:
            return None
        parse_members = body_parser(shape)

        def read_members(params: Params, body: bytes) -> None:
            if body:
                for key, value in parse_members(body).items():
                    if key in in_body:  # what is bound to path, query or headers cannot come in by the body
                        params[key] = value

        return read_members
    payload = members[name]
    if payload.definition.eventstream:

        def refuse(params: Params, body: Any) -> None:
            raise NotImplementedOperation("Event streams as input are not implemented.")

        return refuse
    if payload.type == "blob" and payload.streaming:

        def read_stream(params: Params, body: bytes | AsyncIterator[bytes]) -> None:
            params[name] = _once(body) if isinstance(body, bytes) else body

        return read_stream
    if payload.type == "blob":

        def read_blob(params: Params, body: bytes) -> None:
            if body:
                params[name] = body

        return read_blob
    if payload.type == "string":

        def read_text(params: Params, body: bytes) -> None:
            if body:
                try:
                    params[name] = body.decode()
                except UnicodeDecodeError:
                    raise Unreadable("the body is not valid UTF-8") from None

        return read_text
    parse_payload = body_parser(payload)

    def read_structure(params: Params, body: bytes) -> None:
        if body:
            params[name] = parse_payload(body)

    return read_structure


async def _once(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body
