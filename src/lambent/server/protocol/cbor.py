"""CBOR (RFC 8949) as far as Smithy's RPC v2 protocol uses it, bounded in depth, and in memory by the input's size.

No tags but 1 (epoch seconds), no simple values but booleans, null and undefined (which is null).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from lambent.server.protocol.faults import Unreadable

MAX_DEPTH: Final = 100
"""Levels that a body may have. A bound of ours: deeper bodies exist only to exhaust the stack."""

MAX_CONTAINERS: Final = 500_000
"""Lists and maps that a body may have. A bound of ours: an empty list is one byte there and 64 here."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
_EPOCH_TAG: Final = 1
_INDEFINITE: Final = 31
_BREAK: Final = 0xFF
_SIMPLE_VALUES: Final[Mapping[int, bool | None]] = {20: False, 21: True, 22: None, 23: None}
_FLOATS: Final = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
_DOUBLE: Final = struct.Struct(">Bd")


class Timestamp(NamedTuple):
    """A number under tag 1: seconds since the epoch."""

    seconds: int | float


def decode(raw: bytes) -> Any:
    """The one value of a body. Raises Unreadable."""
    reader = _Reader(raw)
    value = reader.value(MAX_DEPTH)
    if reader.at != len(raw):
        raise Unreadable("something follows the CBOR value")
    return value


class _Reader:
    __slots__ = ("_containers_left", "_raw", "at")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._containers_left = MAX_CONTAINERS
        self.at = 0

    def value(self, levels: int) -> Any:
        if levels == 0:
            raise Unreadable("the body is nested too deeply")
        initial = self._take(1)[0]
        major, info = initial >> 5, initial & 31
        if major == _TEXT:
            return self._text(self._string(_TEXT, info))
        if major == _UNSIGNED:
            return self._argument(info)
        if major == _NEGATIVE:
            return -1 - self._argument(info)
        if major == _SIMPLE:
            return self._simple(info)
        if major in (_MAP, _LIST):
            self._containers_left -= 1
            if self._containers_left < 0:
                raise Unreadable("the body has too many lists and maps")
        if major == _MAP:
            return self._map(info, levels)
        if major == _LIST:
            return self._list(info, levels)
        if major == _BYTES:
            return self._string(_BYTES, info)
        return self._tagged(info, levels)

    def _take(self, count: int) -> bytes:
        start = self.at
        end = start + count
        if end > len(self._raw):
            raise Unreadable("the CBOR ends in the middle of a value")
        self.at = end
        return self._raw[start:end]

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise Unreadable("the CBOR holds a number or a length that no encoder writes")
        return int.from_bytes(self._take(1 << (info - 24)), "big")

    def _count(self, info: int, bytes_each: int) -> int:
        """The length of a collection. What it promises must still be able to come: nothing is made for less."""
        count = self._argument(info)
        if count * bytes_each > len(self._raw) - self.at:
            raise Unreadable("the CBOR ends in the middle of a value")
        return count

    def _break(self) -> bool:
        if self.at < len(self._raw) and self._raw[self.at] == _BREAK:
            self.at += 1
            return True
        return False

    def _string(self, major: int, info: int) -> bytes:
        if info != _INDEFINITE:
            return self._take(self._argument(info))
        pieces = []
        while not self._break():
            initial = self._take(1)[0]
            if initial >> 5 != major or initial & 31 == _INDEFINITE:
                raise Unreadable("a piece of a CBOR string is no string")
            pieces.append(self._take(self._argument(initial & 31)))
        return b"".join(pieces)

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise Unreadable("a CBOR text is no UTF-8") from None

    def _list(self, info: int, levels: int) -> list[Any]:
        if info != _INDEFINITE:
            return [self.value(levels - 1) for _ in range(self._count(info, 1))]
        items = []
        while not self._break():
            items.append(self.value(levels - 1))
        return items

    def _map(self, info: int, levels: int) -> dict[str, Any]:
        left = self._count(info, 2) if info != _INDEFINITE else None
        items: dict[str, Any] = {}
        while left or (left is None and not self._break()):
            key = self.value(levels - 1)
            if type(key) is not str:
                raise Unreadable("a key of a CBOR map is no text")
            items[key] = self.value(levels - 1)
            if left is not None:
                left -= 1
        return items

    def _tagged(self, info: int, levels: int) -> Timestamp:
        tag = self._argument(info)
        value = self.value(levels - 1)
        if tag != _EPOCH_TAG or type(value) not in (int, float):
            raise Unreadable("the only CBOR tag that may come is 1, on a number")
        return Timestamp(value)

    def _simple(self, info: int) -> float | bool | None:
        layout = _FLOATS.get(info)
        if layout is not None:
            number: float = layout.unpack(self._take(layout.size))[0]
            return number
        if info not in _SIMPLE_VALUES:
            raise Unreadable("the CBOR holds a simple value that has no meaning")
        return _SIMPLE_VALUES[info]


def encode(value: Any) -> bytes:
    """CBOR of plain values and timestamps; definite lengths, doubles, the shortest integers."""
    out = bytearray()
    _write(out, value)
    return bytes(out)


def _write(out: bytearray, value: Any) -> None:
    kind = type(value)
    if kind is str:
        raw = value.encode("utf-8", "replace")
        _head(out, _TEXT, len(raw))
        out += raw
    elif kind is float:
        out += _DOUBLE.pack(_SIMPLE << 5 | 27, value)
    elif kind is int:
        _integer(out, value)
    elif value is None:
        out.append(_SIMPLE << 5 | 22)
    elif kind is bool:
        out.append(_SIMPLE << 5 | (21 if value else 20))
    elif isinstance(value, Timestamp):
        out.append(_TAG << 5 | _EPOCH_TAG)
        _write(out, value.seconds)
    elif isinstance(value, Mapping):
        _head(out, _MAP, len(value))
        for key, item in value.items():
            _write(out, key)
            _write(out, item)
    elif isinstance(value, list | tuple):
        _head(out, _LIST, len(value))
        for item in value:
            _write(out, item)
    elif isinstance(value, bytes | bytearray | memoryview):
        _head(out, _BYTES, len(value))
        out += value
    else:
        raise TypeError(f"CBOR has no place for {kind.__name__}")


def _integer(out: bytearray, value: int) -> None:
    if value >= 0:
        _head(out, _UNSIGNED, value)
    else:
        _head(out, _NEGATIVE, -1 - value)


def _head(out: bytearray, major: int, argument: int) -> None:
    if argument < 24:
        out.append(major << 5 | argument)
        return
    for power in range(4):
        if argument < 1 << (8 << power):
            out.append(major << 5 | (24 + power))
            out += argument.to_bytes(1 << power, "big")
            return
    raise TypeError("CBOR integers have 64 bits at most")
