"""Patterns of JSON messages: `{ $.status = 4* && ($.user.name = "x" || $.tags[0] IS NULL) }`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

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

Test = Callable[[Any], bool]
Step = str | int | None  # a member, an index, or all elements

# A bound of ours: a deeper condition exists only to exhaust the stack.
_MAX_DEPTH: Final = 20
_NAME: Final = re.compile(r"[A-Za-z0-9_\-@#:/]+")
_INDEX: Final = re.compile(r"\d{1,9}", re.ASCII)
_LITERAL: Final = re.compile(r"[^\s\"(){}&|=<>!]+")
_WORD: Final = re.compile(r"[A-Za-z]+")

_decode: Final = msgspec.json.Decoder().decode


def compile_json(pattern: str) -> Matcher:
    """A message that is no JSON object does not match. Raises InvalidPattern."""
    scanner = Scanner(pattern)
    scanner.take("{")
    selectors: dict[str, tuple[Step, ...]] = {}
    test = _either(scanner, selectors, 0)
    scanner.take("}")
    if not scanner.ended:
        raise InvalidPattern("something follows the closing brace")

    def match(message: str) -> dict[str, str] | None:
        if "{" not in message:
            return None
        try:
            document = _decode(message)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return None
        if not isinstance(document, dict) or not test(document):
            return None
        return {
            text: _text(value)
            for text, steps in selectors.items()
            for value in [next(_values(document, steps), None)]
            if value is not None
        }

    return match


def _either(scanner: Scanner, selectors: dict[str, tuple[Step, ...]], depth: int) -> Test:
    tests = [_both(scanner, selectors, depth)]
    while scanner.try_take("||"):
        tests.append(_both(scanner, selectors, depth))
    return tests[0] if len(tests) == 1 else lambda document: any(test(document) for test in tests)


def _both(scanner: Scanner, selectors: dict[str, tuple[Step, ...]], depth: int) -> Test:
    tests = [_condition(scanner, selectors, depth)]
    while scanner.try_take("&&"):
        tests.append(_condition(scanner, selectors, depth))
    return tests[0] if len(tests) == 1 else lambda document: all(test(document) for test in tests)


def _condition(scanner: Scanner, selectors: dict[str, tuple[Step, ...]], depth: int) -> Test:
    if scanner.try_take("("):
        if depth == _MAX_DEPTH:
            raise InvalidPattern("the conditions are nested too deeply")
        test = _either(scanner, selectors, depth + 1)
        scanner.take(")")
        return test
    start = scanner.at
    steps = _selector(scanner)
    selectors[scanner.text[start : scanner.at].strip()] = steps
    operator = scanner.try_take(*OPERATORS)
    accept = _word_test(scanner) if operator is None else _value_test(scanner, operator)
    if accept is None:
        return lambda document: next(_values(document, steps), _MISSING) is _MISSING
    return lambda document: any(accept(value) for value in _values(document, steps))


def _selector(scanner: Scanner) -> tuple[Step, ...]:
    scanner.take("$")
    steps: list[Step] = []
    while scanner.at < len(scanner.text) and scanner.text[scanner.at] in ".[":
        scanner.at += 1
        if scanner.text[scanner.at - 1] == ".":
            name = None if scanner.text[scanner.at : scanner.at + 1].isspace() else scanner.try_match(_NAME)
            if name is None:
                raise InvalidPattern(f"a property's name is expected at character {scanner.at + 1}")
            steps.append(name)
            continue
        quote = scanner.try_take('"', "'")
        if quote is not None:
            steps.append(scanner.quoted(quote))
        elif scanner.try_take("*"):
            steps.append(None)
        else:
            index = scanner.try_match(_INDEX)
            if index is None:
                raise InvalidPattern(f"an index is expected at character {scanner.at + 1}")
            steps.append(int(index))
        scanner.take("]")
    if not steps:
        raise InvalidPattern("a selector is '$', and then properties or indexes")
    return tuple(steps)


def _word_test(scanner: Scanner) -> Test | None:
    """A test of values by word; None for NOT EXISTS, which holds where there is no value."""
    word = (scanner.try_match(_WORD) or "").upper()
    if word == "EXISTS":
        return lambda value: True
    second = (scanner.try_match(_WORD) or "").upper()
    if (word, second) == ("NOT", "EXISTS"):
        return None
    if word == "IS" and second == "NULL":
        return lambda value: value is None
    if word == "IS" and second in ("TRUE", "FALSE"):
        wanted = second == "TRUE"
        return lambda value: value is wanted
    raise InvalidPattern("a selector is followed by an operator, IS TRUE, IS FALSE, IS NULL, EXISTS or NOT EXISTS")


def _value_test(scanner: Scanner, operator: str) -> Test:
    if scanner.try_take('"'):
        literal, as_number = scanner.quoted(), None
    else:
        if scanner.try_take("%"):
            raise refuse_expression()
        found = scanner.try_match(_LITERAL)
        if found is None:
            raise InvalidPattern(f"a value is expected at character {scanner.at + 1}")
        literal, as_number = found, number(found)
    if operator not in ("=", "!="):
        if as_number is None:
            raise InvalidPattern(f"{operator} compares numbers, {literal!r} is none")
        compare = comparison(operator, as_number)
        return lambda value: _is_number(value) and compare(value)
    same_text, anything = wildcard(literal), literal == "*"

    def equal(value: Any) -> bool:
        if isinstance(value, str):
            return same_text(value)
        return (as_number is not None and _is_number(value) and value == as_number) or (anything and value is not None)

    if operator == "=":
        return equal
    # Containers and null are neither equal nor unequal to a literal.
    return lambda value: isinstance(value, str | int | float) and not equal(value)


def _values(value: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    """What a selector leads to; several values only through `[*]`."""
    for place, step in enumerate(steps):
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return
            value = value[step]
        elif not isinstance(value, list):
            return
        elif step is None:
            for element in value:
                yield from _values(element, steps[place + 1 :])
            return
        elif step >= len(value):
            return
        else:
            value = value[step]
    yield value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


_MISSING: Final = object()
