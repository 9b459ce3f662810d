"""Query-protocol parameters (`Tags.member.1.Key=a`) into parameters: one closure a shape.

The flat names become a tree first; indices only order the elements, so that `member.1000000000` costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lambent.server.protocol import scalars
from lambent.server.protocol.faults import Unreadable
from lambent.server.protocol.shapes import Shape

MAX_DEPTH = 64
"""Parts that a parameter's name may have; a bound of ours."""

Tree = dict[str, Any]
"""Parts of names to trees; the value itself is under the empty name."""

Convert = Callable[[Tree], Any]


def tree_of(parameters: Iterable[tuple[str, str]]) -> Tree:
    """The tree of flat parameters. Raises Unreadable."""
    root: Tree = {}
    for name, value in parameters:
        node = root
        if "." in name:
            parts = name.split(".")
            if len(parts) > MAX_DEPTH:
                raise Unreadable("a parameter's name has too many parts")
            for part in parts:
                node = node.setdefault(part or " ", {})
        else:
            node = node.setdefault(name or " ", {})
        node[""] = value
    return root


class QueryParsers:
    """Compiles and keeps the parsers of one service."""

    def __init__(self) -> None:
        self._structures: dict[str, Convert] = {}

    def value(self, shape: Shape) -> Convert:
        """A converter of the tree below one name."""
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            element = self.value(shape.member)
            if shape.flattened:
                return lambda tree: _elements(tree, element)
            name = shape.member.location_name or "member"
            return lambda tree: _elements(tree.get(name, {}), element)
        if shape.type == "map":
            entry = self._entry(shape)
            if shape.flattened:
                return lambda tree: _entries(tree, *entry)
            return lambda tree: _entries(tree.get("entry", {}), *entry)
        return _scalar(scalars.text_parser(shape.type))

    def _structure(self, shape: Shape) -> Convert:
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members: dict[str, tuple[str, Convert]] = {}
        convert = self._structures[shape.name] = _structure(members)
        for name, member in shape.members.items():
            wire_name = member.wire_name(name)
            parse = self.value(member)
            if member.type == "list" and member.flattened and member.member.location_name:
                # Clients write the element's name; an empty list is written under the list's own.
                members.setdefault(member.member.location_name, (name, parse))
            members.setdefault(wire_name, (name, parse))
        return convert

    def _entry(self, shape: Shape) -> tuple[str, str, Convert, Convert]:
        return (
            shape.key.location_name or "key",
            shape.value.location_name or "value",
            self.value(shape.key),
            self.value(shape.value),
        )


def _structure(members: dict[str, tuple[str, Convert]]) -> Convert:
    find = members.get

    def convert(tree: Tree) -> dict[str, Any]:
        parsed = {}
        for wire_name, below in tree.items():
            if wire_name:
                member = find(wire_name)
                if member is not None:
                    parsed[member[0]] = member[1](below)
        return parsed

    return convert


def _scalar(convert: Callable[[str], Any] | None) -> Convert:
    def parse(tree: Tree) -> Any:
        text = tree.get("")
        if text is None:
            raise Unreadable("a structure was given where a single value is expected")
        return text if convert is None else convert(text)

    return parse


def _elements(tree: Tree, element: Convert) -> list[Any]:
    return [element(tree[index]) for index in _indices(tree)]


def _indices(tree: Tree) -> list[str]:
    indices = [part for part in tree if part]
    for index in indices:
        if not (index.isascii() and index.isdigit() and len(index) <= 10):
            raise Unreadable(f"{index[:20]} is not the index of a list element")
    return sorted(indices, key=int) if len(indices) > 1 else indices


def _entries(tree: Tree, key_name: str, value_name: str, key_of: Convert, value_of: Convert) -> dict[Any, Any]:
    if key_name in tree:  # a single entry may go without its index
        entries = [tree]
    else:
        entries = [tree[index] for index in _indices(tree)]
    found = {}
    for entry in entries:
        if key_name not in entry:
            raise Unreadable(f"an entry of a map has no {key_name}")
        key = key_of(entry[key_name])
        found[key] = value_of(entry[value_name]) if value_name in entry else None
    return found
