"""A parsed event pattern."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.core.event_patterns.values import ValuePattern

# A path is a field's names joined with dots, as AWS joins them: {"a.b": ..} and {"a": {"b": ..}} are one field.
Path = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field and the values it may have, any of them."""

    path: Path
    values: frozenset[ValuePattern]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPattern:
    """An event matches when all fields of one alternative match; `$or` makes alternatives."""

    alternatives: tuple[tuple[Field, ...], ...]


class InvalidEventPattern(Exception):
    """The text is no event pattern; the message is AWS's reason, with the place where AWS gives one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
