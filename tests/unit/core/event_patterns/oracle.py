"""A plain evaluator to hold the automaton against: every leaf, every choice of elements, nothing shared."""

from __future__ import annotations

from typing import Any

from lambent.core.event_patterns.model import EventPattern, Field
from lambent.core.event_patterns.values import ABSENT

Leaf = tuple[str, Any, dict[int, int]]


def leaves_of(event: dict[str, Any]) -> list[Leaf]:
    found: list[Leaf] = []
    arrays = 0

    def walk(path: tuple[str, ...], value: Any, origin: dict[int, int]) -> None:
        nonlocal arrays
        if isinstance(value, dict):
            for name, inner in value.items():
                walk((*path, name), inner, origin)
        elif isinstance(value, list):
            array, arrays = arrays, arrays + 1
            for index, element in enumerate(value):
                nested = isinstance(element, dict | list)
                walk(path, element, origin | {array: index} if nested else origin)
        else:
            found.append((".".join(path), value, origin))

    walk((), event, {})
    return found


def matches(pattern: EventPattern, event: dict[str, Any]) -> bool:
    leaves = leaves_of(event)
    return any(_holds(list(fields), leaves, {}) for fields in pattern.alternatives)


def _holds(fields: list[Field], leaves: list[Leaf], chosen: dict[int, int]) -> bool:
    if not fields:
        return True
    field, *rest = fields
    at_path = [leaf for leaf in leaves if leaf[0] == field.path]
    if not at_path:
        return ABSENT in field.values and _holds(rest, leaves, chosen)
    return any(
        all(chosen.get(array, index) == index for array, index in origin.items())
        and any(value.accepts(leaf) for value in field.values)
        and _holds(rest, leaves, chosen | origin)
        for _, leaf, origin in at_path
    )
