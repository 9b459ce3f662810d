"""JSON bodies into parameters: one closure a shape, shared by all operations of a service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lambent.server.protocol import scalars
from lambent.server.protocol.faults import Unreadable
from lambent.server.protocol.shapes import Shape, is_recursive

Convert = Callable[[Any], Any]

MAX_DEPTH = 100
"""Levels that free-form or recursive JSON may have. A bound of ours: deeper bodies exist only to exhaust the stack."""

_decode = msgspec.json.Decoder().decode


class JsonParsers:
    """Compiles and keeps the parsers of one service."""

    def __init__(self) -> None:
        self._structures: dict[str, Convert] = {}
        self._recursive: dict[str, bool] = {}

    def body(self, shape: Shape) -> Callable[[bytes], Any]:
        """A parser of whole bodies. It raises Unreadable for whatever does not fit the shape."""
        convert = self.value(shape)
        check_depth = _check_depth if is_recursive(shape) else None

        def parse(raw: bytes) -> Any:
            try:
                decoded = _decode(raw)
                if check_depth is not None:
                    check_depth(decoded, MAX_DEPTH)
                return convert(decoded)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Unreadable(str(error)) from None
            except RecursionError:
                raise Unreadable("the body is nested too deeply") from None

        return parse

    def value(self, shape: Shape) -> Convert:
        """A converter of the decoded JSON of one value."""
        if shape.is_document:
            return _same
        if shape.type == "structure":
            return self.structure(shape)
        if shape.type == "list":
            return _list(self.value(shape.member))
        if shape.type == "map":
            return _map(self.value(shape.value))
        return self.scalar(shape.type)

    def scalar(self, type_name: str) -> Convert:
        """A converter of a string, number, boolean, timestamp or blob."""
        return _SCALARS[type_name]

    def structure(self, shape: Shape) -> Convert:
        """A converter of a structure, made once a service and safe for structures that hold themselves."""
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members: dict[str, tuple[str, Convert]] = {}
        convert = self._structures[shape.name] = _structure(members)
        for name, member in shape.members.items():
            members[member.wire_name(name)] = (name, self.value(member))
        return convert


def _structure(members: dict[str, tuple[str, Convert]]) -> Convert:
    find = members.get

    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Unreadable(_unexpected(value))
        parsed = {}
        for wire_name, item in value.items():
            member = find(wire_name)
            # Members that the model does not know are ignored, as AWS ignores them; null is absent.
            if member is not None and item is not None:
                parsed[member[0]] = member[1](item)
        return parsed

    return convert


def _list(element: Convert) -> Convert:
    if element is _string:

        def strings(value: Any) -> list[Any]:
            if type(value) is not list:
                raise Unreadable(_unexpected(value))
            for item in value:
                if type(item) is not str and item is not None:
                    _string(item)
            return value

        return strings

    def convert(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Unreadable(_unexpected(value))
        return [None if item is None else element(item) for item in value]

    return convert


def _map(item_value: Convert) -> Convert:
    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Unreadable(_unexpected(value))
        return {key: None if item is None else item_value(item) for key, item in value.items()}

    return convert


def _same(value: Any) -> Any:
    return value


def _string(value: Any) -> str:
    if type(value) is str:
        return value
    raise Unreadable(not_convertible(value, "String"))


def _integer(value: Any) -> int:
    if type(value) is int:
        return scalars.check_integer(value)
    if type(value) is float and value.is_integer():
        return scalars.check_integer(int(value))
    raise Unreadable(not_convertible(value, "Integer"))


def _double(value: Any) -> float:
    if type(value) is float or type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise Unreadable("the number is out of the range of a double") from None
    if type(value) is str and value in ("NaN", "Infinity", "-Infinity"):
        return scalars.parse_float(value)
    raise Unreadable(not_convertible(value, "Double"))


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise Unreadable(not_convertible(value, "Boolean"))


def _timestamp(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return scalars.check_timestamp(value)
    if type(value) is str:
        return scalars.parse_timestamp(value)
    raise Unreadable(not_convertible(value, "Timestamp"))


def _blob(value: Any) -> bytes:
    if type(value) is str:
        return scalars.parse_base64(value)
    raise Unreadable(not_convertible(value, "ByteBuffer"))


_SCALARS: dict[str, Convert] = {
    "string": _string,
    "character": _string,
    "integer": _integer,
    "long": _integer,
    "short": _integer,
    "bigint": _integer,
    "float": _double,
    "double": _double,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}


def _token(value: Any) -> str:
    if value is None:
        return "NULL_VALUE"
    if value is True:
        return "TRUE_VALUE"
    if value is False:
        return "FALSE_VALUE"
    return "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"


def not_convertible(value: Any, wanted: str) -> str:
    """What AWS says of a value of the wrong type."""
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if isinstance(value, list):
        return "Start of list found where not expected"
    article = "an" if wanted == "Integer" else "a"
    return f"{_token(value)} can not be converted to {article} {wanted}"


def _unexpected(value: Any) -> str:
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if isinstance(value, list):
        return "Start of list found where not expected"
    return f"Unexpected token {_token(value)}"


def _check_depth(value: Any, levels: int) -> None:
    if isinstance(value, dict):
        items = list(value.values())
    elif isinstance(value, list):
        items = value
    else:
        return
    if levels == 0:
        raise Unreadable("the body is nested too deeply")
    for item in items:
        _check_depth(item, levels - 1)
