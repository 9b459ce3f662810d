"""The AWS query protocol: form parameters in, XML out (AWS Query protocol, Smithy specification)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambent.core.errors import AwsError
from lambent.core.operations import Params
from lambent.server.protocol import shapes, urls
from lambent.server.protocol.dialect import Codec, Dialect, request_id_headers
from lambent.server.protocol.faults import InvalidAction, MalformedInput, Unreadable
from lambent.server.protocol.json_renderer import UnknownOutputMember
from lambent.server.protocol.query_parser import QueryParsers, tree_of
from lambent.server.protocol.rest_input import Parse
from lambent.server.protocol.rest_output import Render, header_text
from lambent.server.protocol.shapes import ModelDocument, OperationDef, Shape
from lambent.server.protocol.xml_errors import error_element
from lambent.server.protocol.xml_renderer import Out, XmlRenderers, escape, namespace_attribute
from lambent.server.wire import WireRequest, WireResponse

_CONTENT_TYPE = ("Content-Type", "text/xml")


class AwsQuery(Dialect):
    """The query protocol of one service.

    `path_member` takes the request's path where the parameter is absent (SQS: the queue's URL). `detail` puts SQS's
    empty element into errors.
    """

    def __init__(self, model: ModelDocument, *, path_member: str | None = None, detail: bool = False) -> None:
        super().__init__(model)
        self._path_member = path_member
        self._detail = "<Detail/>" if detail else ""
        self._namespace = namespace_attribute(model.metadata.xml_namespace)
        self._parsers = QueryParsers()
        self._renderers = XmlRenderers()

    def compile(self, operation: OperationDef) -> Codec:
        """The closures of one operation."""
        return Codec(
            self._compile_parse(operation.name, shapes.resolve(self.model, operation.input)),
            self._compile_render(operation.name, shapes.resolve(self.model, operation.output)),
            False,
        )

    def _compile_parse(self, name: str, shape: Shape | None) -> Parse:
        convert = None if shape is None else self._parsers.value(shape)
        version = self.model.metadata.api_version
        path_member = self._path_member if shape is not None and self._path_member in shape.members else None

        def parse(request: WireRequest, labels: Mapping[str, str]) -> Params:
            try:
                tree = tree_of(form_parameters(request))
                given = tree.get("Version", {}).get("")
                if given is not None and given != version:
                    raise InvalidAction(f"Could not find operation {name} for version {given}")
                params: Params = {} if convert is None else convert(tree)
            except Unreadable as unreadable:
                raise MalformedInput(str(unreadable)) from None
            if path_member is not None and path_member not in params and len(request.path) > 1:
                params[path_member] = request.path
            return params

        return parse

    def _compile_render(self, name: str, shape: Shape | None) -> Render:
        start, end = f"<{name}Response{self._namespace}>", f"</{name}Response>"
        wrapper = "" if shape is None else shape.result_wrapper or f"{name}Result"
        write = None if shape is None else self._renderers.members(shape)

        def render(
            output: Mapping[str, Any], *, request_id: str, status: int | None, headers: Mapping[str, str]
        ) -> WireResponse:
            out: Out = [start]
            if write is None:
                _refuse_members(name, output)
            else:
                out.append(f"<{wrapper}>")
                write(out, output)
                out.append(f"</{wrapper}>")
            out.append(f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>{end}")
            lines = [("x-amzn-RequestId", request_id), _CONTENT_TYPE]
            lines += [(header, header_text(text)) for header, text in headers.items()]
            return WireResponse(status=status or 200, headers=lines, body="".join(out).encode())

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
        """`ErrorResponse` with fault, code, message and members."""
        headers = [*request_id_headers(request_id), _CONTENT_TYPE]
        headers += [(name, header_text(text)) for name, text in error.headers.items()]
        inner = error_element(
            self._renderers, error, code=query_code, shape=shape, members=members, suffix=self._detail
        )
        body = f"<ErrorResponse{self._namespace}>{inner}<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
        return WireResponse(status=error.status, headers=headers, body=body.encode())


def _refuse_members(name: str, output: Mapping[str, Any]) -> None:
    if any(value is not None for value in output.values()):
        raise UnknownOutputMember(f"{name} has no output, not {list(output)}")


def form_parameters(request: WireRequest) -> list[tuple[str, str]]:
    """The parameters of query string and form, in that order; the last of a name counts. Raises Unreadable."""
    parameters = _pairs(request.query)
    if request.body:
        assert isinstance(request.body, bytes)
        try:
            parameters += _pairs(request.body.decode())
        except UnicodeDecodeError:
            raise Unreadable("the form is not valid UTF-8") from None
    return parameters


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(name, values[-1]) for name, values in urls.parse_query(text).items()]


def action_of(request: WireRequest) -> str | None:
    """The value of `Action`, found without decoding the rest. None if there is none."""
    body = request.body if isinstance(request.body, bytes) else b""
    for text in (body, request.query.encode("utf-8", "replace")):
        start = 0 if text.startswith(b"Action=") else text.find(b"&Action=") + 1
        if start or text.startswith(b"Action="):
            value = text[start + 7 :].split(b"&", 1)[0].strip()
            return value.decode("ascii", "replace")
    return None
