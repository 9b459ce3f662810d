"""XML elements into parameters: one closure a shape, shared by all operations of a service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lambent.server.protocol import scalars
from lambent.server.protocol.faults import Unreadable
from lambent.server.protocol.shapes import Shape
from lambent.server.protocol.xml_tree import Node, parse_xml

Convert = Callable[[Node], Any]
Take = Callable[[dict[str, Any], Node], None]
"""Takes one child element into the structure that is being built."""


class XmlParsers:
    """Compiles and keeps the parsers of one service."""

    def __init__(self) -> None:
        self._structures: dict[str, Convert] = {}

    def body(self, shape: Shape) -> Callable[[bytes], Any]:
        """A parser of whole bodies, whatever the root element is called. It raises Unreadable."""
        convert = self.value(shape)
        return lambda raw: convert(parse_xml(raw))

    def value(self, shape: Shape) -> Convert:
        """A converter of one element."""
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            element_name = shape.member.location_name or "member"
            return _list(element_name, self.value(shape.member))
        if shape.type == "map":
            return _map("entry", self._entry(shape))
        convert = scalars.text_parser(shape.type)
        if convert is None:
            return _text
        scalar = convert
        return lambda node: scalar(node.text)

    def _structure(self, shape: Shape) -> Convert:
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        takes: dict[str, Take] = {}
        attributes: list[tuple[str, str, Callable[[str], Any] | None]] = []
        convert = self._structures[shape.name] = _structure(takes, attributes)
        for name, member in shape.members.items():
            if member.location is not None:
                continue
            if member.xml_attribute:
                attributes.append((member.wire_name(name), name, scalars.text_parser(member.type)))
            else:
                takes[member.wire_name(name)] = self._take(name, member)
        # Older services and some clients name flattened lists after their elements, and structures after their shape.
        for name, member in shape.members.items():
            if member.location is None and not member.xml_attribute:
                take = takes[member.wire_name(name)]
                takes.setdefault(name, take)
                if member.flattened and member.type == "list" and member.member.location_name:
                    takes.setdefault(member.member.location_name, take)
        return convert

    def _take(self, name: str, member: Shape) -> Take:
        if member.flattened and member.type == "list":
            element = self.value(member.member)

            def append(into: dict[str, Any], node: Node) -> None:
                into.setdefault(name, []).append(element(node))

            return append
        if member.flattened and member.type == "map":
            entry = self._entry(member)

            def put(into: dict[str, Any], node: Node) -> None:
                key, value = entry(node)
                into.setdefault(name, {})[key] = value

            return put
        convert = self.value(member)

        def take(into: dict[str, Any], node: Node) -> None:
            into[name] = convert(node)

        return take

    def _entry(self, shape: Shape) -> Callable[[Node], tuple[Any, Any]]:
        key_name = shape.key.location_name or "key"
        value_name = shape.value.location_name or "value"
        key_of, value_of = self.value(shape.key), self.value(shape.value)

        def convert(node: Node) -> tuple[Any, Any]:
            key = value = None
            for child in node.children:
                if child.name == key_name:
                    key = key_of(child)
                elif child.name == value_name:
                    value = value_of(child)
            if key is None:
                raise Unreadable("an entry of a map has no key")
            return key, value

        return convert


def _structure(takes: dict[str, Take], attributes: list[tuple[str, str, Callable[[str], Any] | None]]) -> Convert:
    def convert(node: Node) -> dict[str, Any]:
        parsed: dict[str, Any] = {}
        for wire_name, name, scalar in attributes:
            text = node.attributes.get(wire_name)
            if text is not None:
                parsed[name] = text if scalar is None else scalar(text)
        for child in node.children:
            take = takes.get(child.name)
            if take is not None:
                take(parsed, child)
        return parsed

    return convert


def _list(element_name: str, element: Convert) -> Convert:
    return lambda node: [element(child) for child in node.children if child.name == element_name]


def _map(entry_name: str, entry: Callable[[Node], tuple[Any, Any]]) -> Convert:
    return lambda node: dict(entry(child) for child in node.children if child.name == entry_name)


def _text(node: Node) -> str:
    return node.text
