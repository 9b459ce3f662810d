"""What every wire protocol offers the rest of the endpoint."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

from lambent.core.errors import AwsError
from lambent.server.protocol.json_renderer import JsonRenderers
from lambent.server.protocol.rest_input import Parse
from lambent.server.protocol.rest_output import Headers, Render, header_text
from lambent.server.protocol.shapes import ModelDocument, OperationDef, Shape
from lambent.server.wire import WireResponse


class Codec(NamedTuple):
    """An operation's compiled halves."""

    parse: Parse
    render: Render
    streaming_input: bool


class Dialect(abc.ABC):
    """One protocol spoken by one service."""

    def __init__(self, model: ModelDocument) -> None:
        self.model = model

    @abc.abstractmethod
    def compile(self, operation: OperationDef) -> Codec:
        """The closures of one operation."""

    @abc.abstractmethod
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
        """An error with `members`: those of the error and those that the service adds. Unmodelled: no `shape`."""


def request_id_headers(request_id: str) -> Headers:
    """The header that carries the request id, spelt as AWS spells it."""
    return [("x-amzn-RequestId", request_id)]


def message_key(shape: Shape | None, code: str) -> str:
    """Whether an error's text goes by `message` or `Message`: what the modelled shape says.

    The front door's own errors, which are in few models, say `Message`.
    """
    if shape is None:
        return "Message" if code in _FRONT_DOOR else "message"
    names = shape.definition.members
    for name in names:
        if name.lower() == "message":
            return names[name].location_name or name
    return "message"


_FRONT_DOOR = frozenset({"AccessDeniedException", "SerializationException"})


def error_body(
    error: AwsError,
    code: str,
    shape: Shape | None,
    members: Mapping[str, Any],
    headers: Headers,
    renderers: JsonRenderers,
) -> dict[str, Any]:
    """The members of a JSON error body by wire name, and its message; members bound to headers go to `headers`."""
    bound = {} if shape is None else shape.members
    body: dict[str, Any] = {}
    for name, value in members.items():
        member = bound.get(name)
        if member is not None and member.location == "header":
            headers.append((member.wire_name(name), header_text(str(value))))
        elif member is None:
            body[name] = value
        elif value is not None:
            convert = renderers.value(member)
            body[member.wire_name(name)] = value if convert is None else convert(value)
    if error.message:
        body[message_key(shape, code)] = error.message
    return body
