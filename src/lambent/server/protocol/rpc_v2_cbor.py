"""Smithy RPC v2 CBOR: the operation in the path, CBOR in both directions (Smithy specification of that name)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from lambent.core.errors import AwsError
from lambent.core.operations import Params
from lambent.server.protocol import cbor, event_stream, json_parser, json_renderer, scalars, shapes
from lambent.server.protocol.cbor import Timestamp
from lambent.server.protocol.dialect import Codec, Dialect, error_body, request_id_headers
from lambent.server.protocol.faults import SerializationError, Unreadable
from lambent.server.protocol.json_parser import JsonParsers
from lambent.server.protocol.json_renderer import JsonRenderers
from lambent.server.protocol.rest_input import Parse
from lambent.server.protocol.rest_output import Headers, Render, header_text
from lambent.server.protocol.shapes import ModelDocument, OperationDef, Shape
from lambent.server.wire import WireRequest, WireResponse

PROTOCOL: Final = "smithy-rpc-v2-cbor"
HEADER: Final = "smithy-protocol"
HEADER_VALUE: Final = "rpc-v2-cbor"
_CONTENT_TYPE: Final = "application/cbor"


def spoken_in(headers: Mapping[str, str]) -> bool:
    """Whether a request (header names in lower case) is one of this protocol."""
    return headers.get(HEADER) == HEADER_VALUE


def target_of(path: str) -> tuple[str, str] | None:
    """The service (as target prefixes name it) and the operation of `/service/NAME/operation/NAME`."""
    parts = path.split("/")
    if len(parts) != 5 or parts[0] or parts[1] != "service" or parts[3] != "operation":
        return None
    return parts[2], parts[4]


class CborParsers(JsonParsers):
    """Parsers of CBOR bodies: JSON's, but for the scalars that CBOR can hold by itself."""

    def body(self, shape: Shape) -> Callable[[bytes], Any]:
        """A parser of whole bodies. It raises Unreadable for whatever does not fit the shape."""
        convert = self.value(shape)
        return lambda raw: convert(cbor.decode(raw))

    def scalar(self, type_name: str) -> Callable[[Any], Any]:
        return _PARSED.get(type_name) or super().scalar(type_name)


class CborRenderers(JsonRenderers):
    """Renderers into what `cbor.encode` takes."""

    def scalar(self, shape: Shape) -> Callable[[Any], Any] | None:
        return _RENDERED.get(shape.type)


class RpcV2Cbor(Dialect):
    """The protocol of one service."""

    def __init__(self, model: ModelDocument) -> None:
        super().__init__(model)
        name = (model.metadata.service_id or "").replace(" ", "").lower()
        self._error_prefix = f"com.amazonaws.{name}#"
        self._parsers = CborParsers()
        self._renderers = CborRenderers()

    def compile(self, operation: OperationDef) -> Codec:
        """The closures of one operation."""
        return Codec(
            self._compile_parse(shapes.resolve(self.model, operation.input)),
            self._compile_render(shapes.resolve(self.model, operation.output)),
            False,
        )

    def _compile_parse(self, shape: Shape | None) -> Parse:
        if shape is None:
            return lambda request, labels: {}
        parse_body = self._parsers.body(shape)

        def parse(request: WireRequest, labels: Mapping[str, str]) -> Params:
            body = request.body
            if not body:
                return {}
            assert isinstance(body, bytes)
            try:
                params: Params = parse_body(body)
            except Unreadable as unreadable:
                raise SerializationError(str(unreadable)) from None
            return params

        return parse

    def _compile_render(self, shape: Shape | None) -> Render:
        if shape is None:
            return _render_nothing
        stream_name = event_stream.member_name(shape)
        if stream_name is not None:
            return self._compile_stream_render(shape, stream_name)
        convert = self._renderers.structure(shape)

        def render(
            output: Mapping[str, Any], *, request_id: str, status: int | None, headers: Mapping[str, str]
        ) -> WireResponse:
            lines = _headers(request_id, _CONTENT_TYPE, headers)
            return WireResponse(status=status or 200, headers=lines, body=cbor.encode(convert(output)))

        return render

    def _compile_stream_render(self, shape: Shape, stream_name: str) -> Render:
        members = shape.members
        encode_events = event_stream.encoder(members.pop(stream_name), self._event_structure, _CONTENT_TYPE)
        others = {name: (member.wire_name(name), self._renderers.value(member)) for name, member in members.items()}
        convert = json_renderer.structure(shape.name, others)

        async def stream(first: bytes, events: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
            yield event_stream.initial_response(first, _CONTENT_TYPE)
            async for frame in encode_events(events):
                yield frame

        def render(
            output: Mapping[str, Any], *, request_id: str, status: int | None, headers: Mapping[str, str]
        ) -> WireResponse:
            rest = dict(output)
            events = rest.pop(stream_name)
            lines = _headers(request_id, "application/vnd.amazon.eventstream", headers)
            return WireResponse(status=status or 200, headers=lines, body=stream(cbor.encode(convert(rest)), events))

        return render

    def _event_structure(self, event: Shape, skip: frozenset[str]) -> Callable[[Mapping[str, Any]], bytes]:
        members = {
            name: (member.wire_name(name), self._renderers.value(member))
            for name, member in event.members.items()
            if name not in skip
        }
        convert = json_renderer.structure(event.name, members)
        return lambda value: cbor.encode(convert(value))

    def render_error(
        self,
        error: AwsError,
        *,
        code: str,
        query_code: str,
        shape: Shape | None,
        members: Mapping[str, Any],
        request_id: str,
    ) -> WireResponse:
        """`__type` and message; the query protocol's code in a header where the service once spoke that protocol."""
        headers = _headers(request_id, _CONTENT_TYPE, {})
        if self.model.metadata.aws_query_compatible is not None:
            fault = "Sender" if error.sender_fault else "Receiver"
            headers.append(("x-amzn-query-error", f"{query_code};{fault}"))
        name = code if shape is None else shape.name
        body = {
            "__type": self._error_prefix + name,
            **error_body(error, code, shape, members, headers, self._renderers),
        }
        headers += [(name, header_text(text)) for name, text in error.headers.items()]
        return WireResponse(status=error.status, headers=headers, body=cbor.encode(body))


def _headers(request_id: str, content_type: str | None, more: Mapping[str, str]) -> Headers:
    headers = [*request_id_headers(request_id), (HEADER, HEADER_VALUE)]
    if content_type is not None:
        headers.append(("Content-Type", content_type))
    headers += [(name, header_text(text)) for name, text in more.items()]
    return headers


def _render_nothing(
    output: Mapping[str, Any], *, request_id: str, status: int | None, headers: Mapping[str, str]
) -> WireResponse:
    if any(value is not None for value in output.values()):
        raise json_renderer.UnknownOutputMember(f"the operation has no output, not {list(output)}")
    # Operations without an output answer with nothing at all, not even a type of content.
    return WireResponse(status=status or 200, headers=_headers(request_id, None, headers), body=b"")


def _parse_timestamp(value: Any) -> float:
    if type(value) is not Timestamp:
        raise Unreadable(json_parser.not_convertible(value, "Timestamp"))
    return scalars.check_timestamp(value.seconds)


def _parse_double(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)  # CBOR's integers have 64 bits: no overflow
    raise Unreadable(json_parser.not_convertible(value, "Double"))


def _parse_blob(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    raise Unreadable(json_parser.not_convertible(value, "ByteBuffer"))


def _render_timestamp(value: float) -> Timestamp:
    return Timestamp(scalars.epoch_number(value))


_PARSED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "timestamp": _parse_timestamp,
    "float": _parse_double,
    "double": _parse_double,
    "blob": _parse_blob,
}

_RENDERED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "timestamp": _render_timestamp,
    "float": float,
    "double": float,
    "blob": scalars.to_bytes,
}
