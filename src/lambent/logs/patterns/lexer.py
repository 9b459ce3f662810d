"""What the three kinds of patterns share: a scanner, comparisons, wildcards."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

Matcher = Callable[[str], dict[str, str] | None]
"""The values that a pattern takes out of a matching message (empty for terms), None where it does not match."""

Operator = str
OPERATORS: Final = ("!=", ">=", "<=", "=", ">", "<")

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class InvalidPattern(ValueError):
    """The pattern cannot be read; the text says why."""


class Scanner:
    """Walks over a pattern's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip_space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def try_take(self, *tokens: str) -> str | None:
        """The first of `tokens` that comes next, after spaces."""
        self.skip_space()
        for token in tokens:
            if self.text.startswith(token, self.at):
                self.at += len(token)
                return token
        return None

    def take(self, token: str) -> None:
        if self.try_take(token) is None:
            raise InvalidPattern(f"{token!r} expected at character {self.at + 1}")

    def try_match(self, expression: re.Pattern[str]) -> str | None:
        """What `expression` matches here, after spaces."""
        self.skip_space()
        found = expression.match(self.text, self.at)
        if found is None or found.end() == self.at:
            return None
        self.at = found.end()
        return found[0]

    def quoted(self, quote: str = '"') -> str:
        """The rest of a quoted string whose first quote has been taken; a backslash keeps the next character."""
        characters: list[str] = []
        while self.at < len(self.text):
            character = self.text[self.at]
            self.at += 1
            if character == quote:
                return "".join(characters)
            if character == "\\" and self.at < len(self.text):
                character = self.text[self.at]
                self.at += 1
            characters.append(character)
        raise InvalidPattern("a quoted string has no end")

    @property
    def ended(self) -> bool:
        self.skip_space()
        return self.at == len(self.text)


def refuse_expression() -> InvalidPattern:
    return InvalidPattern("Lambent does not support regular expressions (%...%) in filter patterns yet")


def number(text: str) -> float | None:
    """The number that a text is, if it is one."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def comparison(operator: Operator, wanted: float) -> Callable[[float], bool]:
    """A test of numbers."""
    if operator == "=":
        return lambda value: value == wanted
    if operator == "!=":
        return lambda value: value != wanted
    if operator == ">":
        return lambda value: value > wanted
    if operator == ">=":
        return lambda value: value >= wanted
    if operator == "<":
        return lambda value: value < wanted
    return lambda value: value <= wanted


def wildcard(pattern: str) -> Callable[[str], bool]:
    """A test of texts in which every `*` stands for anything. Its cost is linear in the text for each part."""
    if "*" not in pattern:
        return lambda text: text == pattern
    first, *middle, last = pattern.split("*")

    def matches(text: str) -> bool:
        if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return matches
