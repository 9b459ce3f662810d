"""XML bodies into light trees, with expat alone.

Document types are refused before anything in them is read, so there are no entities to expand and nothing external
to fetch; depth is bounded; the encoding is UTF-8 whatever the declaration says.
"""

from __future__ import annotations

from xml.parsers import expat

from lambent.server.protocol.faults import Unreadable

MAX_DEPTH = 100
"""Levels of elements; a bound of ours. AWS's documents have about ten."""


class Node:
    """An element. Names are without namespace prefixes, attribute names as written."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Node] = []
        self.text = ""


def parse_xml(body: bytes) -> Node:
    """The root element. Raises Unreadable."""
    builder = _Builder()
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = builder.refuse_doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise Unreadable(f"the XML is not well-formed: {error}") from None
    if builder.root is None:
        raise Unreadable("the XML has no element")
    return builder.root


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._text: list[list[str]] = []

    def refuse_doctype(self, *_: object) -> None:
        raise Unreadable("document types are not accepted")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise Unreadable("the XML is nested too deeply")
        node = Node(name.rpartition(":")[2], attributes)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)
        self._text.append([])

    def end(self, name: str) -> None:
        self._open.pop().text = "".join(self._text.pop())

    def characters(self, text: str) -> None:
        self._text[-1].append(text)
