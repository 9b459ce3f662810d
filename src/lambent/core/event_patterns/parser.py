"""From a pattern's text to an `EventPattern`: EventBridge user guide, "Event patterns".

Fields are ANDed, the values of a field ORed. `$or` multiplies: each of its objects continues all alternatives that
there are so far. A field that is named twice counts the last time, as in AWS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lambent.core.event_patterns.model import EventPattern, Field, InvalidEventPattern
from lambent.core.event_patterns.operators import match_expression
from lambent.core.event_patterns.tokens import Kind, Token, Tokens
from lambent.core.event_patterns.values import ExactLiteral, ExactNumber, ExactString, ValuePattern, number

# EventBridge quotas: characters of an event pattern, and the combinations that its $or conditions make.
MAX_PATTERN_CHARACTERS: Final = 4096
MAX_ALTERNATIVES: Final = 1000
# A bound of ours: a deeper pattern exists only to exhaust the stack.
MAX_DEPTH: Final = 100

_OR: Final = "$or"
_RESERVED: Final = frozenset(
    {
        "exact", "exists", "prefix", "suffix", "numeric", "anything-but", "cidr", "equals-ignore-case", "wildcard",
        "=", "<", "<=", ">", ">=",
    }
)  # fmt: skip
_Alternative = dict[str, frozenset[ValuePattern]]


def parse(text: str) -> EventPattern:
    """Read a pattern. Raises InvalidEventPattern with the reason that AWS gives.

    EventBridge puts `Event pattern is not valid. Reason: ` before it, Lambda has one message for all.
    """
    if len(text) > MAX_PATTERN_CHARACTERS:
        raise InvalidEventPattern(f"Event pattern is longer than {MAX_PATTERN_CHARACTERS} characters")
    tokens = Tokens(text)
    if tokens.next().kind is not Kind.OBJECT:
        raise tokens.invalid("Filter is not an object")
    alternatives = _Reader(tokens).object([], "", 1)
    distinct = {
        tuple(Field(path=path, values=values) for path, values in sorted(fields.items())) for fields in alternatives
    }
    return EventPattern(alternatives=tuple(sorted(distinct, key=lambda fields: [field.path for field in fields])))


class _Reader:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def object(self, alternatives: list[_Alternative], path: str, depth: int) -> list[_Alternative]:
        """The object whose `{` is the current token: what the alternatives become with its fields."""
        tokens = self._tokens
        if depth > MAX_DEPTH:
            raise tokens.invalid(f"Event pattern is nested deeper than {MAX_DEPTH} levels")
        if tokens.next().kind is Kind.OBJECT_END:
            raise tokens.invalid("Empty objects are not allowed")
        while tokens.current.kind is Kind.NAME:
            name = tokens.current.value
            if name == _OR and _is_or(tokens.ahead()):
                alternatives = self._or(alternatives, path, depth)
            else:
                alternatives = self._field(alternatives, f"{path}.{name}" if path else name, name, depth)
            tokens.next()
        return alternatives

    def _or(self, alternatives: list[_Alternative], path: str, depth: int) -> list[_Alternative]:
        tokens = self._tokens
        tokens.next()
        combined: list[_Alternative] = []
        while tokens.next().kind is Kind.OBJECT:
            combined += self.object([dict(fields) for fields in alternatives], path, depth + 1)
            if len(combined) > MAX_ALTERNATIVES:
                raise InvalidEventPattern(
                    f"Rule is too complex - its $or conditions make more than {MAX_ALTERNATIVES} combinations"
                )
        return combined

    def _field(self, alternatives: list[_Alternative], path: str, name: str, depth: int) -> list[_Alternative]:
        tokens = self._tokens
        match tokens.next().kind:
            case Kind.OBJECT:
                return self.object(alternatives, path, depth + 1)
            case Kind.ARRAY:
                values = self._values()
            case _:
                raise tokens.invalid(f'"{name}" must be an object or an array')
        alternatives = alternatives or [{}]
        for fields in alternatives:
            fields[path] = values
        return alternatives

    def _values(self) -> frozenset[ValuePattern]:
        tokens = self._tokens
        values: set[ValuePattern] = set()
        while (token := tokens.next()).kind is not Kind.ARRAY_END:
            exact = _EXACT.get(token.kind)
            if exact is not None:
                values.add(exact(token))
            elif token.kind is Kind.OBJECT:
                values.add(match_expression(tokens))
            else:
                raise tokens.invalid("Match value must be String, number, true, false, or null")
        if not values:
            raise tokens.invalid("Empty arrays are not allowed")
        return frozenset(values)


_EXACT: Final[dict[Kind, Callable[[Token], ValuePattern]]] = {
    Kind.STRING: lambda token: ExactString(token.value),
    Kind.NUMBER: lambda token: ExactNumber(number(token.value)),
    Kind.LITERAL: lambda token: ExactLiteral(token.value),
}


def _is_or(ahead: list[Token]) -> bool:
    """Whether `$or` is the operator: at least two objects, no field in them named as an operator. Else it is a name."""
    if not ahead or ahead[0].kind is not Kind.ARRAY:
        return False
    objects = depth = 0
    arrays: list[bool] = []  # for each open array whether it is that of an $or
    name = _OR
    for token in ahead:
        match token.kind:
            case Kind.ARRAY:
                arrays.append(name == _OR)
                depth += 1
            case Kind.OBJECT:
                objects += depth == 1
                depth += 1
            case Kind.ARRAY_END | Kind.OBJECT_END:
                depth -= 1
                if token.kind is Kind.ARRAY_END:
                    arrays.pop()
                if depth == 0:
                    break
            case Kind.NAME:
                name = token.value
                if all(arrays) and name in _RESERVED:
                    return False
                continue
            case _ if depth == 1:
                return False
        name = ""
    return objects >= 2
