"""The regular expressions of service models, which AWS runs on Java, on Python's engine.

What differs and is translated: `\\p{..}` classes, `.` and its line terminators, ASCII-only `\\d \\w \\s`, literal `-`
and `[` inside classes, surrogate pairs for one character, named groups. What cannot be translated is reported by
`untranslatable`, and the constraint is left out.

Classes like `\\p{L}` hold hundreds of ranges, while nearly all values are ASCII: those are matched by a pattern that
knows only the ASCII part, and the other is made when the first non-ASCII value comes.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata

Ranges = list[tuple[int, int]]

_ASCII_CLASSES: dict[str, str] = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": "\\x00-\\x7f",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": "!-/:-@\\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": " \\t",
    "Cntrl": "\\x00-\\x1f\\x7f",
    "XDigit": "0-9a-fA-F",
    "Space": " \\t-\\r",
}
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_ANY = "[^\\n\\r\\x85\\u2028\\u2029]"
_HEX = re.compile(r"[0-9a-fA-F]+")


# EventBridge's two patterns of header values take time exponential in the number of blanks. These say the same.
_LINEAR = {
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": r"\t*[\x20-\x7E][\t\x20-\x7E]*",
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$": (
        r"\t*[^\x00-\x1F:\x7F][^\x00-\x08\x0A-\x1F:\x7F]*"
    ),
}


class Untranslatable(Exception):
    """A construct that Python's engine cannot express."""


class JavaPattern:
    """A pattern with the meaning of Java's `String.matches`."""

    __slots__ = ("_ascii", "_full", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._ascii: re.Pattern[str] | None = None
        self._full: re.Pattern[str] | None = None

    def matches(self, value: str) -> bool:
        """Whether the whole of `value` fits. True for patterns that are untranslatable."""
        if value.isascii():
            if self._ascii is None:
                self._ascii = _compile(self.text, ascii_only=True)
            return self._ascii.fullmatch(value) is not None
        if self._full is None:
            self._full = _compile(self.text, ascii_only=False)
        return self._full.fullmatch(value) is not None


def untranslatable(text: str) -> str | None:
    """Why a pattern cannot be checked; None if it can."""
    try:
        re.compile(_Translator(text, ascii_only=True).translate(), re.ASCII)
    except (Untranslatable, re.error, OverflowError, RecursionError) as error:
        return str(error) or type(error).__name__
    return None


def _compile(text: str, *, ascii_only: bool) -> re.Pattern[str]:
    try:
        return re.compile(_Translator(text, ascii_only=ascii_only).translate(), re.ASCII)
    except (Untranslatable, re.error, OverflowError, RecursionError):
        return re.compile(r"[\s\S]*")


class _Translator:
    def __init__(self, text: str, *, ascii_only: bool) -> None:
        self._text = _LINEAR.get(text, text)
        self._position = 0
        self._ascii_only = ascii_only

    def translate(self) -> str:
        parts = []
        while self._position < len(self._text):
            character = self._take()
            if character == "\\":
                kind, value = self._escape()
                parts.append(f"[{value}]" if kind == "set" else value if kind == "raw" else re.escape(value))
            elif character == "[":
                parts.append(self._class())
            elif character == ".":
                parts.append(_ANY)
            elif character == "(" and self._text.startswith("?<", self._position):
                follows = self._text[self._position + 2 : self._position + 3]
                parts.append("(" if follows in ("=", "!") else "(?P")
                self._position += 0 if follows in ("=", "!") else 1
            else:
                parts.append(character)
        return "".join(parts)

    def _take(self) -> str:
        if self._position >= len(self._text):
            raise Untranslatable("the pattern ends too early")
        character = self._text[self._position]
        self._position += 1
        return character

    def _escape(self) -> tuple[str, str]:
        """What follows a backslash: a `char`, a `set` (the inside of a class), or `raw` text of the pattern."""
        character = self._take()
        if character in "dDsSwW":
            return "set", "\\" + character
        if character in "pP":
            return "set", self._property(negated=character == "P")
        if character in _CONTROL:
            return "char", _CONTROL[character]
        if character == "u":
            return "char", self._unicode()
        if character == "x":
            return "char", chr(self._hexadecimal(2))
        if character == "h":
            return "set", " \\t\\xa0\\u1680\\u180e\\u2000-\\u200a\\u202f\\u205f\\u3000"
        if character in "zZ":
            return "raw", "\\Z"
        if character in "AbB" or character in "123456789":
            return "raw", "\\" + character
        if character.isalnum():
            raise Untranslatable(f"\\{character}")
        return "char", character

    def _hexadecimal(self, digits: int) -> int:
        text = self._text[self._position : self._position + digits]
        if len(text) != digits or not _HEX.fullmatch(text):
            raise Untranslatable("a hexadecimal escape")
        self._position += digits
        return int(text, 16)

    def _unicode(self) -> str:
        code = self._hexadecimal(4)
        # Java joins an escaped surrogate pair into one character.
        if 0xD800 <= code < 0xDC00 and self._text.startswith("\\u", self._position):
            mark = self._position
            self._position += 2
            low = self._hexadecimal(4)
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
            self._position = mark
        return chr(code)

    def _property(self, *, negated: bool) -> str:
        name = self._take()
        if name == "{":
            end = self._text.find("}", self._position)
            if end < 0:
                raise Untranslatable("\\p without }")
            name = self._text[self._position : end]
            self._position = end + 1
        if name in _ASCII_CLASSES:
            if negated:
                raise Untranslatable(f"\\P{{{name}}}")
            return _ASCII_CLASSES[name]
        category = name.removeprefix("Is") if len(name) in (3, 4) else name
        limit = 0x80 if self._ascii_only else sys.maxunicode + 1
        ranges = _category_ranges(category, limit)
        if ranges is None:
            raise Untranslatable(f"\\p{{{name}}}")
        if negated:
            ranges = _complement(ranges, limit)
        # An empty class must match nothing and still be text that fits inside brackets.
        return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) or "\\U0010ffff"

    def _class(self) -> str:
        negated = self._text.startswith("^", self._position)
        self._position += negated
        return f"[{'^' if negated else ''}{self._class_items()}]"

    def _class_items(self) -> str:
        items: list[str] = []
        first = True
        while True:
            character = self._take()
            if character == "]" and not first:
                return "".join(items)
            first = False
            kind, value = self._class_atom(character)
            ahead = self._text[self._position : self._position + 2]
            if kind == "set" or len(ahead) < 2 or ahead[0] != "-" or ahead[1] in "][":
                items.append(value if kind == "set" else _class_escape(value))
                continue
            self._position += 1
            end_kind, end = self._class_atom(self._take())
            if end_kind == "set":  # [a-\d] holds a, - and the digits
                items += [_class_escape(value), "\\-", end]
            elif ord(end) < ord(value):
                raise Untranslatable("a range that runs backwards")
            else:
                items.append(f"{_class_escape(value)}-{_class_escape(end)}")

    def _class_atom(self, character: str) -> tuple[str, str]:
        if character == "\\":
            kind, value = self._escape()
            if kind == "raw":
                raise Untranslatable("an anchor in a class")
            return kind, value
        if character == "[":  # a union in Java
            if self._text.startswith("^", self._position):
                raise Untranslatable("a negated class in a class")
            return "set", self._class_items()
        if character == "&" and self._text.startswith("&", self._position):
            raise Untranslatable("an intersection of classes")
        return "char", character


def _class_escape(character: str) -> str:
    return f"\\U{ord(character):08x}" if not character.isalnum() else character


@functools.cache
def _categories(limit: int) -> dict[str, Ranges]:
    found: dict[str, Ranges] = {}
    category = unicodedata.category
    for code in range(limit):
        ranges = found.setdefault(category(chr(code)), [])
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return found


def _category_ranges(name: str, limit: int) -> Ranges | None:
    """The characters of a general category (`Lu`) or group (`L`); None if there is no such category."""
    if not name or name[0] not in "LMNPSZC" or len(name) > 2:
        return None
    chosen = [ranges for category, ranges in _categories(limit).items() if category.startswith(name)]
    if len(name) == 2 and not chosen and limit > 0x80:
        return None
    return _merge(sorted(pair for ranges in chosen for pair in ranges))


def _merge(ranges: Ranges) -> Ranges:
    merged: Ranges = []
    for low, high in ranges:
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _complement(ranges: Ranges, limit: int) -> Ranges:
    gaps: Ranges = []
    start = 0
    for low, high in ranges:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    if start < limit:
        gaps.append((start, limit - 1))
    return gaps
