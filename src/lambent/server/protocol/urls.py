"""Percent-encoded paths, query strings and forms."""

from __future__ import annotations

from urllib.parse import unquote

from lambent.server.protocol.faults import Unreadable

Query = dict[str, list[str]]

MAX_PARAMETERS = 20_000
"""Parameters that one query string or form may have; a bound of ours."""


def decode_label(text: str) -> str:
    """A path segment without its percent-encoding. Raises Unreadable for what is not UTF-8."""
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable("the path is not valid UTF-8") from None


def decode_parameter(text: str) -> str:
    """A name or value of a query string or form. Raises Unreadable for what is not UTF-8."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable("a parameter is not valid UTF-8") from None


def parse_query(query: str) -> Query:
    """Names to their values, in the order of appearance; a name without `=` has the value `""`. Raises Unreadable."""
    if not query:
        return {}
    parsed: Query = {}
    if query.count("&") > MAX_PARAMETERS:
        raise Unreadable("too many parameters")
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            parsed.setdefault(decode_parameter(name), []).append(decode_parameter(value))
    return parsed
