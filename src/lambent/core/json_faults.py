"""Why a payload is not JSON: the first fault, in the words and at the position that AWS's parser (Jackson) gives.

Only payloads that were found not to be JSON come here, and no verdict is made here. The walk is bounded, since whoever
sends megabytes of almost-JSON waits on the same loop as everybody else; beyond the bound the fault goes unnamed.
A position is that of the byte after the last one that was read, and only line ends between tokens count, as in Jackson.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NoReturn

import msgspec

_MAX_TOKENS = 20_000
_MAX_TOKEN_CHARACTERS = 256
_SOURCE_BYTES = 500
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_LITERALS = {ord("t"): "true", ord("f"): "false", ord("n"): "null"}
_NOT_FINITE = {ord("N"): "NaN", ord("I"): "Infinity"}
_SPACE = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f\x80-\xff]*')
_DIGITS = re.compile(rb"[0-9]*")
_ESCAPES = b'"\\/bfnrtu'
_HEX = b"0123456789abcdefABCDEF"
_IDENTIFIER_START = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "Sc", "Pc"})
_IDENTIFIER_PART = _IDENTIFIER_START | {"Nd", "Mc", "Mn", "Cf"}


class JsonFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and where."""

    reason: str
    line: int
    column: int


def find_fault(payload: bytes, otherwise: str) -> JsonFault:
    """The first fault of a payload that is not JSON; `otherwise`, at the end of the walk, where it finds none."""
    walk = _Walk(payload)
    reason = otherwise
    try:
        walk.document()
    except _Found as found:
        reason = str(found)
    except _TooLong:
        pass
    line, column = walk.position()
    return JsonFault(reason=reason, line=line, column=column)


def source(payload: bytes) -> str:
    """The payload as messages quote it."""
    text = payload[:_SOURCE_BYTES].decode(errors="replace")
    cut = len(payload) - _SOURCE_BYTES
    return f'(byte[])"{text}"' + (f"[truncated {cut} bytes]" if cut > 0 else "")


class _Found(Exception):
    """The fault; its message is the reason."""


class _TooLong(Exception):
    """The bound is reached."""


class _Container:
    __slots__ = ("kind", "start", "started")

    def __init__(self, kind: str, start: tuple[int, int]) -> None:
        self.kind = kind
        self.start = start  # line and column
        self.started = False


class _Walk:
    def __init__(self, payload: bytes) -> None:
        self.at = 0
        self._payload = payload
        self._open: list[_Container] = []
        self._tokens = 0
        self._line, self._line_start = 1, 0

    def position(self) -> tuple[int, int]:
        """Line and column, both from 1, of the next byte."""
        return self._line, self.at - self._line_start + 1

    def document(self) -> None:
        """Walk through the whole payload. Raises _Found and _TooLong."""
        byte = self._next_token()
        if byte is None:
            raise _Found("No content to map due to end-of-input")
        self._value(byte)
        while self._open:
            self._entry(self._open[-1])
        byte = self._next_token()
        if byte is not None:
            self._value(byte)
            raise _Found("Trailing token found after value")

    def _entry(self, container: _Container) -> None:
        """The container's next entry, or its end."""
        byte = self._next_token()
        if byte is None:
            raise _Found(
                f"Unexpected end-of-input: expected close marker for {container.kind} (start marker at "
                f"{self._start_of(container)})"
            )
        if byte in b"]}":
            expected = "}" if container.kind == "Object" else "]"
            if chr(byte) != expected:
                raise _Found(
                    f"Unexpected close marker '{chr(byte)}': expected '{expected}' (for {container.kind} starting at "
                    f"{self._start_of(container)})"
                )
            self._open.pop()
            return
        if container.started:
            if byte != ord(","):
                self._unexpected(byte, f"was expecting comma to separate {container.kind} entries")
            byte = self._within(container)
        container.started = True
        if container.kind == "Object":
            if byte != ord('"'):
                self._unexpected(ord(self._decode(byte)), "was expecting double-quote to start field name")
            self._string("name", " in field name")
            byte = self._within(container)
            if byte != ord(":"):
                self._unexpected(byte, "was expecting a colon to separate field name and value")
            byte = self._within(container)
        self._value(byte)

    def _start_of(self, container: _Container) -> str:
        line, column = container.start
        return f"[Source: {source(self._payload)}; line: {line}, column: {column}]"

    def _next_token(self) -> int | None:
        self._tokens += 1
        if self._tokens > _MAX_TOKENS:
            raise _TooLong
        space = _SPACE.match(self._payload, self.at)
        assert space is not None
        self._count_lines(space[0])
        self.at = space.end()
        byte = self._take()
        if byte is not None and byte < 0x20:
            raise _Found(
                f"Illegal character ((CTRL-CHAR, code {byte})): only regular white space (\\r, \\n, \\t) is allowed "
                "between tokens"
            )
        return byte

    def _count_lines(self, space: bytes) -> None:
        ends = space.count(b"\n") + space.count(b"\r") - space.count(b"\r\n")
        if ends:
            self._line += ends
            self._line_start = self.at + max(space.rfind(b"\n"), space.rfind(b"\r")) + 1

    def _within(self, container: _Container) -> int:
        byte = self._next_token()
        if byte is None:
            raise _Found(f"Unexpected end-of-input within/between {container.kind} entries")
        return byte

    def _take(self) -> int | None:
        if self.at >= len(self._payload):
            return None
        self.at += 1
        return self._payload[self.at - 1]

    def _value(self, byte: int) -> None:
        if byte == ord('"'):
            self._string("string value", ": was expecting closing quote for a string value")
        elif byte in b"{[":
            line, column = self.position()
            self._open.append(_Container("Object" if byte == ord("{") else "Array", (line, column - 1)))
        elif byte in b"-0123456789":
            self._number(byte)
        elif byte in _LITERALS:
            self._literal(_LITERALS[byte])
        else:
            self._no_value(byte)

    def _no_value(self, byte: int) -> NoReturn:
        in_array = bool(self._open) and self._open[-1].kind == "Array"
        if byte in b",}" or (byte == ord("]") and in_array):
            self._unexpected(byte, "expected a value")
        if byte in _NOT_FINITE:
            self._literal(_NOT_FINITE[byte])
            raise _Found(
                f"Non-standard token '{_NOT_FINITE[byte]}': enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to "
                "allow"
            )
        if byte == ord("/"):
            self._unexpected(
                byte,
                "maybe a (non-standard) comment? (not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for "
                "parser)",
            )
        if unicodedata.category(chr(byte)) in _IDENTIFIER_START:
            self._unrecognized(chr(byte))
        self._unexpected(byte, f"expected a valid value {_VALUES}")

    def _literal(self, word: str) -> None:
        for read in range(1, len(word)):
            if self._payload[self.at : self.at + 1] != word[read].encode():
                self._unrecognized(word[:read])
            self.at += 1
        following = self._payload[self.at : self.at + 1]
        if following >= b"0" and following not in b"]}" and _is_part(following.decode("latin-1")):
            self._unrecognized(word)

    def _unrecognized(self, token: str) -> NoReturn:
        """Report a word that is none of JSON's; it goes on while letters do."""
        while (byte := self._take()) is not None:
            character = self._decode(byte)
            if not _is_part(character):
                break
            token += character
            if len(token) >= _MAX_TOKEN_CHARACTERS:
                token += "..."
                break
        raise _Found(f"Unrecognized token '{token}': was expecting {_VALUES}")

    def _number(self, byte: int) -> None:
        if byte == ord("-"):
            byte = self._digit("expected digit (0-9) to follow minus sign, for valid numeric value")
        if byte == ord("0") and self._payload[self.at : self.at + 1].isdigit():
            self.at += 1
            raise _Found("Invalid numeric value: Leading zeroes not allowed")
        self._digits()
        if self._payload[self.at : self.at + 1] == b".":
            self.at += 1
            self._digit("Decimal point not followed by a digit")
            self._digits()
        if self._payload[self.at : self.at + 1] in (b"e", b"E"):
            self.at += 1
            if self._payload[self.at : self.at + 1] in (b"+", b"-"):
                self.at += 1
            self._digit("Exponent indicator not followed by a digit")
            self._digits()
        following = self._payload[self.at : self.at + 1]
        if not self._open and following and following not in b" \t\r\n":
            self.at += 1
            self._unexpected(following[0], "Expected space separating root-level values")

    def _digit(self, otherwise: str) -> int:
        byte = self._take()
        if byte is None:
            raise _Found("Unexpected end-of-input in VALUE_NUMBER_INT")
        if byte not in b"0123456789":
            raise _Found(f"Unexpected character ({_shown(byte)}) in numeric value: {otherwise}")
        return byte

    def _digits(self) -> None:
        digits = _DIGITS.match(self._payload, self.at)
        assert digits is not None
        self.at = digits.end()

    def _string(self, what: str, at_end: str) -> None:
        while True:
            plain = _PLAIN.match(self._payload, self.at)
            assert plain is not None
            self.at = plain.end()
            byte = self._take()
            if byte is None:
                raise _Found(f"Unexpected end-of-input{at_end}")
            if byte == ord('"'):
                return
            self._tokens += 1
            if self._tokens > _MAX_TOKENS:
                raise _TooLong
            if byte == ord("\\"):
                self._escape()
            elif byte < 0x20:
                raise _Found(
                    f"Illegal unquoted character ((CTRL-CHAR, code {byte})): has to be escaped using backslash to be "
                    f"included in {what}"
                )
            else:
                self._decode(byte)

    def _escape(self) -> None:
        byte = self._take()
        if byte is None:
            raise _Found("Unexpected end-of-input in character escape sequence")
        if byte not in _ESCAPES:
            raise _Found(f"Unrecognized character escape {_shown(ord(self._decode(byte)))}")
        for _ in range(4 if byte == ord("u") else 0):
            digit = self._take()
            if digit is None:
                raise _Found("Unexpected end-of-input in character escape sequence")
            if digit not in _HEX:
                self._unexpected(digit, "expected a hex-digit for character escape sequence")

    def _decode(self, first: int) -> str:
        """The character that starts with `first`, its other bytes read."""
        if first < 0x80:
            return chr(first)
        more = 1 if first & 0xE0 == 0xC0 else 2 if first & 0xF0 == 0xE0 else 3 if first & 0xF8 == 0xF0 else 0
        if not more:
            raise _Found(f"Invalid UTF-8 start byte 0x{first:x}")
        code = first & (0x3F >> more)
        for _ in range(more):
            byte = self._take()
            if byte is None:
                raise _Found("Unexpected end-of-input in a multi-byte character")
            if byte & 0xC0 != 0x80:
                raise _Found(f"Invalid UTF-8 middle byte 0x{byte:x}")
            code = code << 6 | byte & 0x3F
        return chr(code) if code <= 0x10FFFF else "\ufffd"

    def _unexpected(self, code: int, comment: str) -> NoReturn:
        raise _Found(f"Unexpected character ({_shown(code)}): {comment}")


def _is_part(character: str) -> bool:
    """Whether Java takes the character for a part of an identifier (Character.isJavaIdentifierPart)."""
    return unicodedata.category(character) in _IDENTIFIER_PART or character <= "\x08" or "\x7f" <= character <= "\x9f"


def _shown(code: int) -> str:
    if code < 0x20 or 0x7F <= code < 0xA0:
        return f"(CTRL-CHAR, code {code})"
    return f"'{chr(code)}' (code {code} / 0x{code:x})" if code > 0xFF else f"'{chr(code)}' (code {code})"
