"""rest-json: HTTP bindings around JSON (AWS restJson1 protocol, Smithy specification)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from lambent.core.errors import AwsError
from lambent.server.protocol import event_stream, json_renderer, rest_input, rest_output, shapes
from lambent.server.protocol.dialect import Codec, Dialect, error_body, request_id_headers
from lambent.server.protocol.faults import SerializationError
from lambent.server.protocol.json_parser import JsonParsers
from lambent.server.protocol.json_renderer import JsonRenderers
from lambent.server.protocol.rest_output import Encode, header_text
from lambent.server.protocol.shapes import ModelDocument, OperationDef, Shape
from lambent.server.wire import WireResponse


class RestJson(Dialect):
    """The rest-json protocol of one service; also its body format."""

    content_type = "application/json"

    def __init__(self, model: ModelDocument) -> None:
        super().__init__(model)
        self._parsers = JsonParsers()
        self._renderers = JsonRenderers()

    def compile(self, operation: OperationDef) -> Codec:
        """The closures of one operation."""
        shape = shapes.resolve(self.model, operation.input)
        return Codec(
            rest_input.compile_parse(
                shape,
                operation.http.request_uri,
                self._parsers.body,
                binding_fault=SerializationError,
                body_fault=SerializationError,
            ),
            rest_output.compile_render(
                shapes.resolve(self.model, operation.output),
                method=operation.http.method,
                default_status=operation.http.response_code or 200,
                identify=request_id_headers,
                body_format=self,
            ),
            rest_input.is_streaming(shape),
        )

    def body_encoder(self, shape: Shape, skip: frozenset[str]) -> Encode:
        """Encodes the members of an output shape that are not bound elsewhere."""
        renderers = self._renderers
        members = {
            name: (member.wire_name(name), renderers.value(member))
            for name, member in shape.members.items()
            if name not in skip
        }
        convert = json_renderer.structure(shape.name, members)
        encode = json_renderer.encode
        return lambda output: encode(convert(output))

    def payload_encoder(self, name: str, shape: Shape) -> Callable[[Any], bytes]:
        """Encodes a structure or document that is the whole body."""
        convert = self._renderers.value(shape)
        if convert is None:
            return json_renderer.encode
        encode, inner = json_renderer.encode, convert
        return lambda value: encode(inner(value))

    def event_encoder(self, shape: Shape) -> Callable[[AsyncIterator[Any]], AsyncIterator[bytes]]:
        """Encodes an event stream."""
        return event_stream.json_encoder(shape, self._renderers, self.content_type)

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
        """The code in `x-amzn-ErrorType`, members and message in the body."""
        headers = request_id_headers(request_id)
        headers += [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)]
        body = error_body(error, code, shape, members, headers, self._renderers)
        headers += [(name, header_text(text)) for name, text in error.headers.items()]
        return WireResponse(status=error.status, headers=headers, body=json_renderer.encode(body))
