"""The `<Error>` element that the query protocol and most rest-xml services share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambent.core.errors import AwsError
from lambent.server.protocol.shapes import Shape
from lambent.server.protocol.xml_renderer import Out, XmlRenderers, escape


def error_element(
    renderers: XmlRenderers,
    error: AwsError,
    *,
    code: str,
    shape: Shape | None,
    members: Mapping[str, Any],
    suffix: str = "",
) -> str:
    """`<Error>` with fault, code, message, members, and the `suffix` that SQS wants."""
    fault = "Sender" if error.sender_fault else "Receiver"
    inner = f"<Type>{fault}</Type><Code>{escape(code)}</Code>"
    return f"<Error>{inner}{message_element(error)}{member_elements(renderers, shape, members)}{suffix}</Error>"


def message_element(error: AwsError) -> str:
    """The message, if the error has one."""
    message = error.query_message or error.message
    return f"<Message>{escape(message)}</Message>" if message else ""


def member_elements(renderers: XmlRenderers, shape: Shape | None, members: Mapping[str, Any]) -> str:
    """Further members, as the model shapes them or as text where it does not know them."""
    known = {} if shape is None else shape.members
    out: Out = []
    for name, value in members.items():
        member = known.get(name)
        if member is None:
            out.append(f"<{name}>{escape(str(value))}</{name}>")
        elif member.location is None:
            renderers.element(member.wire_name(name), member)(out, value)
    return "".join(out)
