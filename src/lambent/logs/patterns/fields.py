"""Patterns of messages whose fields are delimited by spaces: `[ip, user, ..., status = 4* || status = 500, bytes]`.

What is in square brackets or double quotes is one field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from lambent.logs.patterns.lexer import (
    OPERATORS,
    InvalidPattern,
    Matcher,
    Scanner,
    comparison,
    number,
    refuse_expression,
    wildcard,
)

_NAME: Final = re.compile(r"[A-Za-z0-9_\-]+")
_LITERAL: Final = re.compile(r"[^\s\",\[\](){}&|=<>!]+")
_SPACE: Final = re.compile(r"\s")
_NOT_SPACE: Final = re.compile(r"\S")
# A bound of ours: a message of more fields is no line of a log in columns, and does not match.
_MAX_FIELDS: Final = 1000

Values = dict[str, str]
Test = Callable[[Values], bool]


def compile_fields(pattern: str) -> Matcher:
    """A message matches when it has as many fields (`...` stands for any number) and all conditions hold.

    Raises InvalidPattern.
    """
    scanner = Scanner(pattern)
    scanner.take("[")
    names: list[str | None] = []  # None: the ellipsis
    tests: list[Test] = []
    while True:
        if scanner.try_take("..."):
            if None in names:
                raise InvalidPattern("there can be one ellipsis only")
            names.append(None)
        else:
            name, test = _field(scanner)
            if name in names:
                raise InvalidPattern(f"two fields are called {name}")
            names.append(name)
            if test is not None:
                tests.append(test)
        if not scanner.try_take(","):
            break
    scanner.take("]")
    if not scanner.ended:
        raise InvalidPattern("something follows the closing bracket")

    def match(message: str) -> Values | None:
        fields = _split(message)
        values = None if len(fields) > _MAX_FIELDS else _assign(names, fields)
        if values is None or not all(test(values) for test in tests):
            return None
        return {f"${name}": value for name, value in values.items()}

    return match


def _field(scanner: Scanner) -> tuple[str, Test | None]:
    start = scanner.at
    name = scanner.try_match(_NAME)
    if name is None:
        raise InvalidPattern(f"a field's name is expected at character {scanner.at + 1}")
    after = scanner.at
    if scanner.try_take(*OPERATORS) is None:
        return name, None
    scanner.at = start
    test = _either(scanner, name)
    assert scanner.at > after
    return name, test


def _either(scanner: Scanner, name: str) -> Test:
    tests = [_both(scanner, name)]
    while scanner.try_take("||"):
        tests.append(_both(scanner, name))
    return tests[0] if len(tests) == 1 else lambda values: any(test(values) for test in tests)


def _both(scanner: Scanner, name: str) -> Test:
    tests = [_condition(scanner, name)]
    while scanner.try_take("&&"):
        tests.append(_condition(scanner, name))
    return tests[0] if len(tests) == 1 else lambda values: all(test(values) for test in tests)


def _condition(scanner: Scanner, name: str) -> Test:
    if scanner.try_match(_NAME) != name:
        raise InvalidPattern(f"a condition in the place of {name} must be on {name}")
    operator = scanner.try_take(*OPERATORS)
    if operator is None:
        raise InvalidPattern(f"an operator is expected at character {scanner.at + 1}")
    literal: str | None
    if scanner.try_take('"'):
        literal, as_number = scanner.quoted(), None
    else:
        if scanner.try_take("%"):
            raise refuse_expression()
        literal = scanner.try_match(_LITERAL)
        if literal is None:
            raise InvalidPattern(f"a value is expected at character {scanner.at + 1}")
        as_number = number(literal)
    same_text = wildcard(literal)
    if as_number is None:
        if operator not in ("=", "!="):
            raise InvalidPattern(f"{operator} compares numbers, {literal!r} is none")
        equal = operator == "="
        return lambda values: same_text(values[name]) is equal
    compare = comparison(operator, as_number)

    def test(values: Values) -> bool:
        value = number(values[name])
        # A text that is no number differs from every number, and is neither above nor below any.
        return operator == "!=" if value is None else compare(value)

    return test


def _split(message: str) -> list[str]:
    fields: list[str] = []
    # A closing character that is missing once is missing ever after: nobody looks for it again and again.
    closable = {"[": "]", '"': '"'}
    at, end = 0, len(message)
    while len(fields) <= _MAX_FIELDS:
        begin = _NOT_SPACE.search(message, at)
        if begin is None:
            return fields
        at = begin.start()
        closing = closable.get(message[at])
        if closing is not None:
            found = message.find(closing, at + 1)
            if found >= 0:
                fields.append(message[at + 1 : found])
                at = found + 1
                continue
            del closable[message[at]]
        space = _SPACE.search(message, at)
        stop = end if space is None else space.start()
        fields.append(message[at:stop])
        at = stop
    return fields


def _assign(names: Sequence[str | None], fields: Sequence[str]) -> Values | None:
    """Fields by name, None where their number is wrong."""
    if None not in names:
        if len(names) != len(fields):
            return None
        return dict(zip((name for name in names if name is not None), fields, strict=True))
    place = names.index(None)
    tail = len(names) - place - 1
    if len(fields) < place + tail:
        return None
    values = dict(zip(names[:place], fields, strict=False))
    if tail:
        values |= dict(zip(names[place + 1 :], fields[-tail:], strict=True))
    return {name: value for name, value in values.items() if name is not None}
