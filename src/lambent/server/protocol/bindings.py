"""HTTP bindings of the REST protocols' inputs: labels, query string and headers into members."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lambent.server.protocol import scalars, urls
from lambent.server.protocol.faults import Unreadable
from lambent.server.protocol.shapes import Shape

Assign = Callable[[dict[str, Any], Any], None]
Text = Callable[[str], Any]


def label_reader(name: str, shape: Shape) -> Callable[[dict[str, Any], Mapping[str, str]], None]:
    """Puts a path label into member `name`."""
    label = shape.wire_name(name)
    convert = scalars.text_parser(shape.type)

    def read(params: dict[str, Any], labels: Mapping[str, str]) -> None:
        value = labels.get(label)
        if value is not None:
            params[name] = value if convert is None else convert(value)

    return read


def query_reader(name: str, shape: Shape, literals: frozenset[str]) -> Callable[[dict[str, Any], urls.Query], None]:
    """Puts a query parameter, or for maps the whole query string less the uri's literals, into member `name`."""
    wire_name = shape.wire_name(name)
    if shape.type == "map":
        several = shape.value.type == "list"

        def read_map(params: dict[str, Any], query: urls.Query) -> None:
            found = {key: values if several else values[0] for key, values in query.items() if key not in literals}
            if found:
                params[name] = found

        return read_map
    if shape.type == "list":
        element = scalars.text_parser(shape.member.type)

        def read_list(params: dict[str, Any], query: urls.Query) -> None:
            values = query.get(wire_name)
            if values is not None:
                params[name] = values if element is None else [element(value) for value in values]

        return read_list
    convert = scalars.text_parser(shape.type)

    def read(params: dict[str, Any], query: urls.Query) -> None:
        values = query.get(wire_name)
        if values is None:
            return
        if convert is None:
            params[name] = values[0]
        elif values[0]:  # `?MaxItems=` is no number, and AWS takes it as absent
            params[name] = convert(values[0])

    return read


def header_reader(name: str, shape: Shape) -> Callable[[dict[str, Any], Mapping[str, str]], None]:
    """Puts a header, or for maps all headers with the member's prefix, into member `name`."""
    wire_name = (shape.location_name or ("" if shape.location == "headers" else name)).lower()
    if shape.location == "headers":
        length = len(wire_name)

        def read_prefix(params: dict[str, Any], headers: Mapping[str, str]) -> None:
            found = {key[length:]: value for key, value in headers.items() if key.startswith(wire_name)}
            if found:
                params[name] = found

        return read_prefix
    convert = header_text_parser(shape)

    def read(params: dict[str, Any], headers: Mapping[str, str]) -> None:
        value = headers.get(wire_name)
        if value is not None:
            params[name] = value if convert is None else convert(value)

    return read


def header_text_parser(shape: Shape) -> Text | None:
    """What turns the text of a header into the member's value."""
    if shape.type == "list":
        element = header_text_parser(shape.member)
        dates = shape.member.type == "timestamp"

        def parse_list(text: str) -> list[Any]:
            if not text:
                return []
            items = split_header_list(text, dates=dates)
            return items if element is None else [element(item) for item in items]

        return parse_list
    if shape.jsonvalue:
        return _parse_json_value
    return scalars.text_parser(shape.type)


def _parse_json_value(text: str) -> Any:
    try:
        return msgspec.json.decode(binascii.a2b_base64(text, strict_mode=True))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        raise Unreadable("the header is not base64 of JSON") from None


def split_header_list(text: str, *, dates: bool = False) -> list[str]:
    """The items of a comma-separated header; quoted items may hold commas, and HTTP dates hold one each."""
    items: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    for character in text:
        if escaped:
            current.append(character)
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            items.append("".join(current).strip())
            current = []
        else:
            current.append(character)
    items.append("".join(current).strip())
    if not dates:
        return items
    joined: list[str] = []
    for item in items:
        if joined and joined[-1].isalpha():  # "Mon" of "Mon, 16 Dec 2019 ..."
            joined[-1] = f"{joined[-1]}, {item}"
        else:
            joined.append(item)
    return joined
