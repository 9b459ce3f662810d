"""Output members into XML: closures that append text, one a place, their insides shared by a service's operations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lambent.server.protocol import scalars
from lambent.server.protocol.json_renderer import UnknownOutputMember
from lambent.server.protocol.shapes import Shape

Out = list[str]
Write = Callable[[Out, Any], None]
"""Appends the XML of a value."""

# Characters that XML 1.0 cannot hold in any way; a document with one of them would be refused as a whole.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')


def escape(text: str) -> str:
    """`text` for an element or attribute. What XML cannot hold becomes U+FFFD."""
    if not _SPECIAL.search(text):
        return text
    text = _FORBIDDEN.sub("\ufffd", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("\r", "&#xD;")


def namespace_attribute(namespace: dict[str, str] | str | None) -> str:
    """The ` xmlns="..."` of a model's xmlNamespace trait, empty without one."""
    if not namespace:
        return ""
    if isinstance(namespace, str):
        return f' xmlns="{escape(namespace)}"'
    prefix = namespace.get("prefix")
    return f' xmlns{":" + prefix if prefix else ""}="{escape(namespace.get("uri", ""))}"'


class XmlRenderers:
    """Compiles and keeps the renderers of one service."""

    def __init__(self) -> None:
        self._bodies: dict[str, Write] = {}

    def element(
        self, name: str, shape: Shape, *, default_namespace: str = "", skip: frozenset[str] = frozenset()
    ) -> Write:
        """Writes a value as the element `name`; flattened collections as several. Members in `skip` are left out."""
        start, end = f"<{name}{namespace_attribute(shape.xml_namespace) or default_namespace}", f"</{name}>"
        if shape.type == "structure":
            return self._structure_element(shape, start, end, skip)
        if shape.type == "list":
            if shape.flattened:
                return _each(self.element(shape.member.location_name or name, shape.member))
            return _enclosed(
                f"{start}>", end, _each(self.element(shape.member.location_name or "member", shape.member))
            )
        if shape.type == "map":
            if shape.flattened:
                return self._entries(shape, f"{start}>", end)
            return _enclosed(f"{start}>", end, self._entries(shape, "<entry>", "</entry>"))
        opening = f"{start}>"
        if shape.type in ("string", "character"):

            def write_text(out: Out, value: Any) -> None:
                out.append(f"{opening}{escape(value)}{end}")

            return write_text
        to_text = scalars.text_writer(shape.type, shape.timestamp_format, "iso8601")

        def write(out: Out, value: Any) -> None:
            out.append(f"{opening}{to_text(value)}{end}")

        return write

    def members(self, shape: Shape, skip: frozenset[str] = frozenset()) -> Write:
        """Writes a structure's members without an element around them. Raises UnknownOutputMember."""
        known = None if skip else self._bodies.get(shape.name)
        if known is not None:
            return known
        members: dict[str, Write | None] = {}
        body = _structure(shape.name, members)
        if not skip:
            self._bodies[shape.name] = body
        for name, member in shape.members.items():
            if name not in skip:
                members[name] = None if member.xml_attribute else self.element(member.wire_name(name), member)
        return body

    def _structure_element(self, shape: Shape, start: str, end: str, skip: frozenset[str]) -> Write:
        body = self.members(shape, skip)
        attributes = [
            (name, member.wire_name(name), scalars.text_writer(member.type, member.timestamp_format, "iso8601"))
            for name, member in shape.members.items()
            if member.xml_attribute
        ]
        if not attributes:
            return _enclosed(f"{start}>", end, body)

        def write(out: Out, value: Mapping[str, Any]) -> None:
            out.append(start)
            for name, wire_name, to_text in attributes:
                item = value.get(name)
                if item is not None:
                    out.append(f' {wire_name}="{escape(to_text(item))}"')
            out.append(">")
            body(out, value)
            out.append(end)

        return write

    def _entries(self, shape: Shape, start: str, end: str) -> Write:
        write_key = self.element(shape.key.location_name or "key", shape.key)
        write_value = self.element(shape.value.location_name or "value", shape.value)

        def write(out: Out, value: Mapping[str, Any]) -> None:
            for key, item in value.items():
                if item is not None:
                    out.append(start)
                    write_key(out, key)
                    write_value(out, item)
                    out.append(end)

        return write


def _structure(shape_name: str, members: dict[str, Write | None]) -> Write:
    def write(out: Out, value: Mapping[str, Any]) -> None:
        for name, item in value.items():
            if item is None:
                continue
            if name not in members:
                raise UnknownOutputMember(f"{shape_name} has no member {name}")
            inner = members[name]
            if inner is not None:
                inner(out, item)

    return write


def _each(element: Write) -> Write:
    def write(out: Out, value: Any) -> None:
        for item in value:
            if item is not None:
                element(out, item)

    return write


def _enclosed(start: str, end: str, inner: Write) -> Write:
    def write(out: Out, value: Any) -> None:
        out.append(start)
        inner(out, value)
        out.append(end)

    return write
