"""Metric math, as far as it goes without functions: `(errors / invocations) * 100` over ids and numbers.

A moment at which one of the metrics has no value, or at which the result is no number, has no result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite, pow
from typing import Final

Series = Mapping[int, float]
"""Values by the start of their period in epoch seconds."""

Value = Callable[[Mapping[str, float]], float]

_TOKEN: Final = re.compile(
    r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?|\.\d+)|([A-Za-z][A-Za-z0-9_]*)|([-+*/^()]))", re.ASCII
)
# A bound of ours: deeper parentheses exist only to exhaust the stack.
_MAX_DEPTH: Final = 20


class InvalidExpression(ValueError):
    """The expression cannot be read, or needs what is not supported; the text says what."""


class Expression:
    """A compiled expression. `ids` are the metrics and expressions that it names. Raises InvalidExpression."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self.ids: set[str] = set()
        self._value = self._sum(0)
        if self._at != len(self._tokens):
            raise InvalidExpression(f"{self._tokens[self._at]!r} is not expected here")
        if not self.ids:
            raise InvalidExpression("an expression must name a metric")

    def over(self, series: Mapping[str, Series]) -> dict[int, float]:
        """The result for every moment that all named series have."""
        named = [series[each] for each in sorted(self.ids)]
        moments = set(named[0]).intersection(*named[1:])
        result = {}
        for moment in moments:
            try:
                value = self._value({each: series[each][moment] for each in self.ids})
            except (ZeroDivisionError, OverflowError, ValueError):  # 1/0, 10^1000, (-1)^0.5
                continue
            if isfinite(value):
                result[moment] = value
        return result

    def _next(self, *tokens: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at] in tokens:
            self._at += 1
            return self._tokens[self._at - 1]
        return None

    def _sum(self, depth: int) -> Value:
        left = self._product(depth)
        while (operator := self._next("+", "-")) is not None:
            left = _operation(operator, left, self._product(depth))
        return left

    def _product(self, depth: int) -> Value:
        left = self._power(depth)
        while (operator := self._next("*", "/")) is not None:
            left = _operation(operator, left, self._power(depth))
        return left

    def _power(self, depth: int) -> Value:
        base = self._signed(depth)
        if self._next("^"):
            return _operation("^", base, self._signed(depth))
        return base

    def _signed(self, depth: int) -> Value:
        if depth > _MAX_DEPTH:
            raise InvalidExpression("the parentheses are nested too deeply")
        if self._next("-"):
            inner = self._signed(depth + 1)
            return lambda values: -inner(values)
        if self._next("("):
            value = self._sum(depth + 1)
            if not self._next(")"):
                raise InvalidExpression("a closing parenthesis is missing")
            return value
        if self._at == len(self._tokens):
            raise InvalidExpression("it ends too early")
        token = self._tokens[self._at]
        self._at += 1
        if token[0].isdigit() or token[0] == ".":
            number = float(token)
            return lambda values: number
        if not token[0].isalpha():
            raise InvalidExpression(f"{token!r} is not expected here")
        if self._next("("):
            raise InvalidExpression(f"Lambent does not support the function {token} yet")
        self.ids.add(token)
        return lambda values: values[token]


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise InvalidExpression(f"{text[at : at + 10].strip()!r} cannot be read")
        tokens.append(found[0].strip())
        at = found.end()
    return tokens


def _operation(operator: str, left: Value, right: Value) -> Value:
    if operator == "+":
        return lambda values: left(values) + right(values)
    if operator == "-":
        return lambda values: left(values) - right(values)
    if operator == "*":
        return lambda values: left(values) * right(values)
    if operator == "/":
        return lambda values: left(values) / right(values)
    return lambda values: pow(left(values), right(values))
