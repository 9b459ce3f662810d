"""The constraints of service models, checked and worded as AWS's Java services do.

A check returns None for what is right, without building anything; violations carry paths relative to the value
and get their prefixes while they travel up. Scalars in lists and maps are not reported by themselves: AWS prints the
whole collection and all the rules of its elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lambent.core.errors import ValidationError
from lambent.server.protocol.java_patterns import JavaPattern
from lambent.server.protocol.java_text import bean_name, java_double, java_text
from lambent.server.protocol.shapes import Shape

_NOT_NULL = "Member must not be null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """`subject` is `Value 'x'`, `Value null`, or `Value` where the value is secret."""

    path: str
    subject: str
    rule: str

    def under(self, prefix: str) -> Violation:
        """The same, seen from the structure that holds it."""
        return replace(self, path=f"{prefix}.{self.path}" if self.path else prefix)


@dataclass(frozen=True, slots=True)
class Rule:
    """`broken` says whether a value breaks it."""

    broken: Callable[[Any], bool]
    text: str


Check = Callable[[Any], list[Violation] | None]


def violations_error(violations: Sequence[Violation]) -> ValidationError:
    """The error with all violations in AWS's words."""
    count = len(violations)
    details = "; ".join(f"{v.subject} at '{v.path}' failed to satisfy constraint: {v.rule}" for v in violations)
    return ValidationError(f"{count} validation error{'' if count == 1 else 's'} detected: {details}")


class Constraints:
    """Compiles and keeps the checks of one service."""

    def __init__(self) -> None:
        self._structures: dict[str, Check | None] = {}
        self._open: set[str] = set()

    def check(self, shape: Shape) -> Check | None:
        """A check of one value, None where nothing can be wrong."""
        if shape.is_document or shape.streaming:
            return None
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        rules = scalar_rules(shape)
        return _scalar(shape, rules) if rules else None

    def _structure(self, shape: Shape) -> Check | None:
        name = shape.name
        if name in self._structures:
            return self._structures[name]
        if name in self._open:  # holds itself: by the time a value is checked, the check is there
            return lambda value: (self._structures[name] or _nothing)(value)
        self._open.add(name)
        required = set(shape.definition.required)
        entries = []
        for member_name, member in shape.members.items():
            check = self.check(member)
            if check is not None or member_name in required:
                entries.append((member_name, bean_name(member_name), member_name in required, check))
        self._open.discard(name)
        result = self._structures[name] = _structure(tuple(entries)) if entries else None
        return result

    def _list(self, shape: Shape) -> Check | None:
        own = size_rules(shape)
        element = shape.member
        if _is_scalar(element):
            return _collection(shape, own, [_wrapped("Member", element, _elements, sparse=shape.definition.sparse)])
        return _nested(shape, own, self.check(element), _indexed)

    def _map(self, shape: Shape) -> Check | None:
        own = size_rules(shape)
        keys = _wrapped("Map keys", shape.key, _keys, sparse=False)
        if _is_scalar(shape.value):
            values = _wrapped("Map value", shape.value, _values, sparse=shape.definition.sparse)
            return _collection(shape, own, [keys, values])
        return _nested(shape, own, self.check(shape.value), _items, [keys])


def _nothing(value: Any) -> None:
    return None


def _is_scalar(shape: Shape) -> bool:
    return not shape.is_document and shape.type not in ("structure", "list", "map")


def _elements(value: Any) -> Any:
    return value


def _keys(value: Any) -> Any:
    return value.keys()


def _values(value: Any) -> Any:
    return value.values()


def _indexed(value: Any) -> Any:
    return enumerate(value, 1)


def _items(value: Any) -> Any:
    return value.items()


def utf16_length(value: str | bytes) -> int:
    """The length as Java counts it: UTF-16 units of text, bytes of a blob."""
    if isinstance(value, str) and not value.isascii():
        return len(value) + sum(character > "\uffff" for character in value)
    return len(value)


def size_rules(shape: Shape, length: Callable[[Any], int] = len) -> list[Rule]:
    """Rules on length, the upper bound first as AWS lists them."""
    rules = []
    low, high = shape.definition.min, shape.definition.max
    if high is not None:
        text = f"Member must have length less than or equal to {int(high)}"
        rules.append(Rule(lambda value: length(value) > high, text))
    if low is not None and low > 0:
        text = f"Member must have length greater than or equal to {int(low)}"
        rules.append(Rule(lambda value: length(value) < low, text))
    return rules


def scalar_rules(shape: Shape) -> list[Rule]:
    """All rules of a scalar: bounds, pattern, enum."""
    definition = shape.definition
    if shape.type in ("string", "blob"):
        rules = size_rules(shape, utf16_length)
    else:
        rules = _value_rules(shape)
    if definition.pattern is not None and shape.type == "string":
        matches = JavaPattern(definition.pattern).matches
        text = f"Member must satisfy regular expression pattern: {definition.pattern}"
        rules.append(Rule(lambda value: not matches(value), text))
    if definition.enum:
        allowed = frozenset(definition.enum)
        text = f"Member must satisfy enum value set: [{', '.join(definition.enum)}]"
        rules.append(Rule(lambda value: value not in allowed, text))
    return rules


def _value_rules(shape: Shape) -> list[Rule]:
    low, high = shape.definition.min, shape.definition.max
    if shape.type in ("boolean", "timestamp"):
        return []
    rules = []
    if high is not None:
        text = f"Member must have value less than or equal to {_number(shape, high)}"
        rules.append(Rule(lambda value: value > high, text))
    if low is not None:
        text = f"Member must have value greater than or equal to {_number(shape, low)}"
        rules.append(Rule(lambda value: value < low, text))
    return rules


def _number(shape: Shape, bound: int | float) -> str:
    return java_double(float(bound)) if shape.type in ("float", "double") else str(int(bound))


def _subject(value: Any, shape: Shape) -> str:
    return "Value" if shape.definition.sensitive else f"Value '{java_text(value, shape)}'"


def _broken(value: Any, shape: Shape, rules: Sequence[Rule]) -> list[Violation] | None:
    found = [rule.text for rule in rules if rule.broken(value)]
    if not found:
        return None
    subject = _subject(value, shape)
    return [Violation(path="", subject=subject, rule=text) for text in found]


def _scalar(shape: Shape, rules: Sequence[Rule]) -> Check:
    tests = tuple(rule.broken for rule in rules)
    if len(tests) == 1:
        only = tests[0]
        return lambda value: _broken(value, shape, rules) if only(value) else None

    def check(value: Any) -> list[Violation] | None:
        for broken in tests:
            if broken(value):
                return _broken(value, shape, rules)
        return None

    return check


def _structure(entries: tuple[tuple[str, str, bool, Check | None], ...]) -> Check:
    def check(value: Any) -> list[Violation] | None:
        found: list[Violation] | None = None
        get = value.get
        for name, path, required, inner in entries:
            item = get(name)
            if item is None:
                if required:
                    found = found or []
                    found.append(Violation(path=path, subject="Value null", rule=_NOT_NULL))
            elif inner is not None:
                violations = inner(item)
                if violations is not None:
                    found = (found or []) + [violation.under(path) for violation in violations]
        return found

    return check


def _wrapped(label: str, shape: Shape, select: Callable[[Any], Any], *, sparse: bool) -> Rule | None:
    """The rule on all elements (keys, values) of a collection."""
    rules = scalar_rules(shape)
    tests = tuple(rule.broken for rule in rules)
    texts = [rule.text for rule in rules] + ([] if sparse else [_NOT_NULL])
    if not texts:
        return None

    def broken(value: Any) -> bool:
        for item in select(value):
            if item is None:
                if not sparse:
                    return True
            else:
                for test in tests:
                    if test(item):
                        return True
        return False

    return Rule(broken, f"{label} must satisfy constraint: [{', '.join(texts)}]")


def _collection(shape: Shape, own: list[Rule], wrapped: list[Rule | None]) -> Check | None:
    rules = own + [rule for rule in wrapped if rule is not None]
    return _scalar(shape, rules) if rules else None


def _nested(
    shape: Shape,
    own: list[Rule],
    inner: Check | None,
    pairs: Callable[[Any], Any],
    wrapped: Sequence[Rule | None] = (),
) -> Check | None:
    """A collection of structures or collections: each element has a path of its own (`targets.1.member.id`)."""
    rules = [*own, *(rule for rule in wrapped if rule is not None)]
    sparse = shape.definition.sparse

    def check(value: Any) -> list[Violation] | None:
        found = _broken(value, shape, rules) if rules else None
        for key, item in pairs(value):
            if item is None:
                violations = None if sparse else [Violation(path="", subject="Value null", rule=_NOT_NULL)]
            else:
                violations = None if inner is None else inner(item)
            if violations is not None:
                found = (found or []) + [violation.under(f"{key}.member") for violation in violations]
        return found

    return check
