"""AWS JSON 1.0 and 1.1: one path, the operation in X-Amz-Target (AWS JSON protocol, Smithy specification)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from lambent.core.errors import AwsError
from lambent.core.operations import Params
from lambent.server.protocol import event_stream, json_renderer, shapes
from lambent.server.protocol.dialect import Codec, Dialect, error_body, request_id_headers
from lambent.server.protocol.faults import SerializationError, Unreadable
from lambent.server.protocol.json_parser import JsonParsers
from lambent.server.protocol.json_renderer import JsonRenderers
from lambent.server.protocol.rest_input import Parse
from lambent.server.protocol.rest_output import Render, header_text
from lambent.server.protocol.shapes import ModelDocument, OperationDef, Shape
from lambent.server.wire import WireRequest, WireResponse


class AwsJson(Dialect):
    """The json protocol of one service. `error_namespace` precedes the names in `__type`."""

    def __init__(self, model: ModelDocument, *, error_namespace: str | None = None) -> None:
        super().__init__(model)
        self._content_type = f"application/x-amz-json-{model.metadata.json_version}"
        self._error_prefix = f"{error_namespace}#" if error_namespace else ""
        self._parsers = JsonParsers()
        self._renderers = JsonRenderers()

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
        content_type = self._content_type
        convert = _no_members if shape is None else self._renderers.structure(shape)
        stream_name = None if shape is None else event_stream.member_name(shape)
        if shape is not None and stream_name is not None:
            return self._compile_stream_render(shape, stream_name)
        encode = json_renderer.encode
        answers = shape is not None

        def render(
            output: Mapping[str, Any], *, request_id: str, status: int | None, headers: Mapping[str, str]
        ) -> WireResponse:
            lines = [("x-amzn-RequestId", request_id), ("Content-Type", content_type)]
            for name, text in headers.items():
                lines.append((name, header_text(text)))
            members = convert(output)
            # Actions without an output answer with nothing at all.
            return WireResponse(status=status or 200, headers=lines, body=encode(members) if answers else b"")

        return render

    def _compile_stream_render(self, shape: Shape, stream_name: str) -> Render:
        members = shape.members
        encode_events = event_stream.json_encoder(members.pop(stream_name), self._renderers, self._content_type)
        others = {name: (member.wire_name(name), self._renderers.value(member)) for name, member in members.items()}
        convert = json_renderer.structure(shape.name, others)
        content_type = self._content_type

        async def stream(first: bytes, events: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
            # The members beside the stream come as its first frame in this protocol.
            yield event_stream.initial_response(first, content_type)
            async for frame in encode_events(events):
                yield frame

        def render(
            output: Mapping[str, Any], *, request_id: str, status: int | None, headers: Mapping[str, str]
        ) -> WireResponse:
            rest = dict(output)
            events = rest.pop(stream_name)
            lines = [("x-amzn-RequestId", request_id), ("Content-Type", "application/vnd.amazon.eventstream")]
            lines += [(name, header_text(text)) for name, text in headers.items()]
            body = stream(json_renderer.encode(convert(rest)), events)
            return WireResponse(status=status or 200, headers=lines, body=body)

        return render

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
        headers = request_id_headers(request_id)
        headers.append(("Content-Type", self._content_type))
        if self.model.metadata.aws_query_compatible is not None:
            fault = "Sender" if error.sender_fault else "Receiver"
            headers.append(("x-amzn-query-error", f"{query_code};{fault}"))
        name = code if shape is None else shape.name
        body = {
            "__type": self._error_prefix + name,
            **error_body(error, code, shape, members, headers, self._renderers),
        }
        headers += [(name, header_text(text)) for name, text in error.headers.items()]
        return WireResponse(status=error.status, headers=headers, body=json_renderer.encode(body))


def _no_members(output: Mapping[str, Any]) -> dict[str, Any]:
    if any(value is not None for value in output.values()):
        raise json_renderer.UnknownOutputMember(f"the operation has no output, not {list(output)}")
    return {}
