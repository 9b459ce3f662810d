"""rest-xml: HTTP bindings around XML (AWS restXml protocol, Smithy specification), and what is S3's own in it."""

from __future__ import annotations

import binascii
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from lambent.core.errors import AwsError
from lambent.server.protocol import event_stream, rest_input, rest_output, shapes
from lambent.server.protocol.dialect import Codec, Dialect, request_id_headers
from lambent.server.protocol.faults import InvalidArgument, MalformedXml
from lambent.server.protocol.rest_output import Encode, Headers, header_text
from lambent.server.protocol.shapes import ModelDocument, OperationDef, Shape
from lambent.server.protocol.xml_errors import error_element, member_elements, message_element
from lambent.server.protocol.xml_parser import XmlParsers
from lambent.server.protocol.xml_renderer import Out, Write, XmlRenderers, escape, namespace_attribute
from lambent.server.wire import WireResponse

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class RestXml(Dialect):
    """The rest-xml protocol of one service; also its body format.

    `roots` names the root elements of outputs where it is not the shape's name, by shape; `unwrapped` the outputs
    whose only member is the root itself. `bare_errors` gives S3's form of errors and of request ids.
    """

    content_type = "application/xml"

    def __init__(
        self,
        model: ModelDocument,
        *,
        namespace: str | None = None,
        roots: Mapping[str, str] | None = None,
        unwrapped: frozenset[str] = frozenset(),
        bare_errors: bool = False,
    ) -> None:
        super().__init__(model)
        self._namespace = namespace_attribute(namespace or model.metadata.xml_namespace or _namespace_of(model))
        self._roots = roots or {}
        self._unwrapped = unwrapped
        self._bare_errors = bare_errors
        self._identify = _s3_request_id if bare_errors else request_id_headers
        self._parsers = XmlParsers()
        self._renderers = XmlRenderers()

    def compile(self, operation: OperationDef) -> Codec:
        """The closures of one operation."""
        shape = shapes.resolve(self.model, operation.input)
        return Codec(
            rest_input.compile_parse(
                shape,
                operation.http.request_uri,
                self._parsers.body,
                binding_fault=InvalidArgument,
                body_fault=lambda message: MalformedXml(),
            ),
            rest_output.compile_render(
                shapes.resolve(self.model, operation.output),
                method=operation.http.method,
                default_status=operation.http.response_code or 200,
                identify=self._identify,
                body_format=self,
            ),
            rest_input.is_streaming(shape),
        )

    def body_encoder(self, shape: Shape, skip: frozenset[str]) -> Encode:
        """Encodes the members of an output shape that are not bound elsewhere."""
        root = self._roots.get(shape.name) or shape.location_name or shape.name
        namespace = namespace_attribute(shape.xml_namespace) or self._namespace
        if shape.name in self._unwrapped:
            ((name, member),) = shape.members.items()
            encode_root = _document(self._renderers.element(root, member, default_namespace=namespace))
            return lambda output: encode_root(output.get(name, ""))
        return _document(self._renderers.element(root, shape, default_namespace=namespace, skip=skip))

    def payload_encoder(self, name: str, shape: Shape) -> Callable[[Any], bytes]:
        """Encodes a structure that is the whole body."""
        return _document(
            self._renderers.element(shape.location_name or shape.name, shape, default_namespace=self._namespace)
        )

    def event_encoder(self, shape: Shape) -> Callable[[AsyncIterator[Any]], AsyncIterator[bytes]]:
        """Encodes an event stream."""

        def structure(event: Shape, skip: frozenset[str]) -> Callable[[Mapping[str, Any]], bytes]:
            write = self._renderers.members(event, skip)
            start, end = f"<{event.name}>", f"</{event.name}>"

            def encode(value: Mapping[str, Any]) -> bytes:
                if not value:
                    return b""
                out: Out = [start]
                write(out, value)
                out.append(end)
                return "".join(out).encode()

            return encode

        return event_stream.encoder(shape, structure, "text/xml")

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
        """S3: `Error` alone, without a namespace; other services: `ErrorResponse`."""
        headers = self._identify(request_id)
        headers.append(("Content-Type", "application/xml"))
        known = {} if shape is None else shape.members
        for name, value in members.items():
            if name in known and known[name].location == "header":
                headers.append((known[name].wire_name(name), header_text(str(value))))
        headers += [(name, header_text(text)) for name, text in error.headers.items()]
        request = f"<RequestId>{escape(request_id)}</RequestId>"
        if self._bare_errors:
            inner = f"<Code>{escape(query_code)}</Code>{message_element(error)}"
            inner += member_elements(self._renderers, shape, members)
            body = f"{_DECLARATION}<Error>{inner}{request}<HostId>{_host_id(request_id)}</HostId></Error>"
        else:
            inner = error_element(self._renderers, error, code=query_code, shape=shape, members=members)
            body = f"{_DECLARATION}<ErrorResponse{self._namespace}>{inner}{request}</ErrorResponse>"
        return WireResponse(status=error.status, headers=headers, body=body.encode())


def _namespace_of(model: ModelDocument) -> dict[str, str] | str | None:
    """The namespace of the service's requests, which models give once per input."""
    given = (operation.input.xml_namespace for operation in model.operations.values() if operation.input is not None)
    return next((namespace for namespace in given if namespace), None)


def _document(write: Write) -> Callable[[Any], bytes]:
    def encode(value: Any) -> bytes:
        out: Out = [_DECLARATION]
        write(out, value)
        return "".join(out).encode()

    return encode


def _s3_request_id(request_id: str) -> Headers:
    return [("x-amz-request-id", request_id), ("x-amz-id-2", _host_id(request_id))]


def _host_id(request_id: str) -> str:
    """S3's second, opaque id; ours says no more than the first."""
    return binascii.b2a_base64(request_id.encode(), newline=False).decode("ascii")
