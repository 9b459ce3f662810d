"""The tokens of a pattern's JSON, and the place that an error names.

AWS names the place where its parser (Jackson) stands when it gives up. That parser reads a string only when somebody
asks for its text, and reads ahead to the value when it returns a name; so the place is kept with each token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any, Final

import msgspec

from lambent.core.event_patterns.model import InvalidEventPattern
from lambent.core.json_faults import find_fault

_SOURCE_CHARACTERS: Final = 500
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_decode: Final = msgspec.json.Decoder().decode


class Kind(Enum):
    OBJECT = "{"
    OBJECT_END = "}"
    ARRAY = "["
    ARRAY_END = "]"
    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    LITERAL = "literal"
    END = "end"


@dataclass(slots=True)
class Token:
    """`at` is where the parser stands once it has the token, `text_at` once it has read its text."""

    kind: Kind
    value: Any
    raw: str
    at: int
    text_at: int


class Tokens:
    """A cursor over a pattern's tokens. Raises InvalidEventPattern where the text is no JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            _decode(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
            raise self._not_json(error) from None
        self._tokens = _tokenize(text)
        self._next = 0
        self.current = Token(Kind.END, None, "", 0, 0)
        self._was_read = False

    def next(self) -> Token:
        """Go on to the next token."""
        self.current = self._tokens[min(self._next, len(self._tokens) - 1)]
        self._next += 1
        self._was_read = False
        return self.current

    def ahead(self) -> list[Token]:
        """The tokens from the next one on."""
        return self._tokens[self._next :]

    def text(self) -> str:
        """The current token's text: a string's own, else as it is written. The parser has then read it."""
        self._was_read = True
        return self.current.value if self.current.kind in (Kind.STRING, Kind.NAME) else self.current.raw

    def invalid(self, reason: str) -> InvalidEventPattern:
        """The error that names the current place."""
        at = self.current.text_at if self._was_read else self.current.at
        line = self._text.count("\n", 0, at) + 1
        column = at - (self._text.rfind("\n", 0, at) + 1) + 1
        return InvalidEventPattern(f"{reason}{_place(self._text, line, column)}")

    def _not_json(self, error: Exception) -> InvalidEventPattern:
        payload = self._text.encode(errors="replace")
        fault = find_fault(payload, str(error) or "Document nesting depth exceeds the maximum allowed")
        reason = fault.reason.replace("[Source: (byte[])", "[Source: (String)")
        return InvalidEventPattern(f"{reason}{_place(self._text, fault.line, fault.column)}")


def _place(text: str, line: int, column: int) -> str:
    cut = len(text) - _SOURCE_CHARACTERS
    source = f'"{text[:_SOURCE_CHARACTERS]}"' + (f"[truncated {cut} chars]" if cut > 0 else "")
    return f"\n at [Source: (String){source}; line: {line}, column: {column}]"


def _tokenize(text: str) -> list[Token]:
    """The tokens of a text that is JSON."""
    tokens: list[Token] = []
    for found in _TOKEN.finditer(text):
        raw, start, end = found[0], found.start(), found.end()
        match raw[0]:
            case "{" | "}" | "[" | "]":
                tokens.append(Token(Kind(raw), None, raw, end, end))
            case ",":
                pass
            case ":":
                tokens[-1].kind = Kind.NAME
            case '"':
                tokens.append(Token(Kind.STRING, _decode(raw), raw, start + 1, end))
            case first:
                kind = Kind.LITERAL if first in "tfn" else Kind.NUMBER
                tokens.append(Token(kind, _decode(raw), raw, end, end))
    for name, value in pairwise(tokens):
        if name.kind is Kind.NAME:
            name.at = name.text_at = value.at
    tokens.append(Token(Kind.END, None, "", len(text), len(text)))
    return tokens
