"""Output members into JSON: one closure a shape, shared by all operations of a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lambent.server.protocol import scalars
from lambent.server.protocol.shapes import Shape

Convert = Callable[[Any], Any]

encode = msgspec.json.Encoder().encode
"""JSON bytes of plain values."""


class UnknownOutputMember(Exception):
    """A handler answered a member that the service model does not have: a fault of ours."""


class JsonRenderers:
    """Compiles and keeps the renderers of one service."""

    def __init__(self) -> None:
        self._structures: dict[str, Convert] = {}

    def value(self, shape: Shape) -> Convert | None:
        """A converter of one value into what JSON can hold; None where the value is already that."""
        if shape.is_document:
            return None
        if shape.type == "structure":
            return self.structure(shape)
        if shape.type == "list":
            return _list(self.value(shape.member))
        if shape.type == "map":
            return _map(self.value(shape.value))
        return self.scalar(shape)

    def scalar(self, shape: Shape) -> Convert | None:
        """A converter of a string, number, boolean, timestamp or blob; None where the value is already right."""
        if shape.type == "timestamp":
            timestamp_format = (shape.timestamp_format or "unixTimestamp").lower()
            if timestamp_format == "unixtimestamp":
                return scalars.epoch_number
            return scalars.timestamp_writer(timestamp_format, timestamp_format)
        if shape.type == "blob":
            return scalars.format_base64
        if shape.type in ("float", "double"):
            return _double
        return None

    def structure(self, shape: Shape) -> Convert:
        """A converter of a structure. It raises UnknownOutputMember."""
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members: dict[str, tuple[str, Convert | None]] = {}
        convert = self._structures[shape.name] = structure(shape.name, members)
        for name, member in shape.members.items():
            members[name] = (member.wire_name(name), self.value(member))
        return convert


def structure(shape_name: str, members: Mapping[str, tuple[str, Convert | None]]) -> Convert:
    """A converter of structures with these members (wire name, converter), filled in before the first use."""

    def convert(value: Any) -> dict[str, Any] | msgspec.Raw:
        if type(value) is msgspec.Raw:  # JSON that the handler has ready
            return value
        rendered: dict[str, Any] = {}
        try:
            for name, item in value.items():
                if item is not None:
                    wire_name, inner = members[name]
                    rendered[wire_name] = item if inner is None else inner(item)
        except KeyError:
            unknown = [name for name in value if name not in members]
            if unknown:
                raise UnknownOutputMember(f"{shape_name} has no members {unknown}") from None
            raise
        return rendered

    return convert


def _list(element: Convert | None) -> Convert:
    if element is None:
        return list
    inner = element

    def convert(value: Any) -> list[Any]:
        return [None if item is None else inner(item) for item in value]

    return convert


def _map(item_value: Convert | None) -> Convert:
    if item_value is None:
        return dict
    inner = item_value

    def convert(value: Mapping[str, Any]) -> dict[str, Any]:
        return {key: None if item is None else inner(item) for key, item in value.items()}

    return convert


def _double(value: float) -> float | str:
    special = scalars.special_float(value)
    return value if special is None else special
