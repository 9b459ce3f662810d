"""FilterCriteria of event source mappings and pipes: which queue messages reach the function.

Lambda developer guide, "Using event filtering with an Amazon SQS event source". A message passes when one of the
filters matches it; what a body must look like depends on what the filter says of it:

| body of the message | filter has `"body": {..}` | filter has `"body": [..]` | filter without `body` |
| ------------------- | ------------------------- | ------------------------- | --------------------- |
| a JSON object       | by its fields             | dropped                   | by the other keys     |
| other JSON          | dropped                   | dropped                   | by the other keys     |
| anything else       | dropped                   | as a string               | by the other keys     |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from lambent.core.event_patterns.automaton import PatternAutomaton
from lambent.core.event_patterns.model import EventPattern, Field, InvalidEventPattern
from lambent.core.event_patterns.parser import parse

# Lambda quotas: 5 filters to a mapping, raised to 10 on request.
MAX_FILTERS: Final = 5
MAX_FILTERS_ON_REQUEST: Final = 10

_BODY: Final = "body"
_decode: Final = msgspec.json.Decoder().decode


class InvalidFilterPattern(Exception):
    """A filter is no event pattern; the message is Lambda's, `reason` says what is wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__("Invalid filter pattern definition.")
        self.reason = reason


class TooManyFilters(Exception):
    """More filters than a mapping may have."""


class MessageFilter:
    """Filters, ORed. Made by `parse_filters`."""

    def __init__(self, patterns: Sequence[EventPattern]) -> None:
        self._by_fields: PatternAutomaton[int] = PatternAutomaton()
        self._as_string: PatternAutomaton[int] = PatternAutomaton()
        self._without_body: PatternAutomaton[int] = PatternAutomaton()
        self.other_keys: frozenset[str] = frozenset()
        for key, alternative in enumerate(fields for pattern in patterns for fields in pattern.alternatives):
            paths = [field.path for field in alternative]
            self.other_keys |= {path.split(".")[0] for path in paths} - {_BODY}
            automaton = self._of(alternative)
            automaton.add(key, EventPattern(alternatives=(alternative,)))

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Whether a record, as the function would get it (`body` a string), is for the function."""
        event = dict(record)
        body = event.pop(_BODY, None)
        if len(self._without_body) and self._without_body.match(event):
            return True
        if not len(self._by_fields) and not len(self._as_string):
            return False
        try:
            decoded = _decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
            return bool(self._as_string.match({**event, _BODY: body}))
        return isinstance(decoded, dict) and bool(self._by_fields.match({**event, _BODY: decoded}))

    def _of(self, alternative: tuple[Field, ...]) -> PatternAutomaton[int]:
        if any(field.path.startswith(f"{_BODY}.") for field in alternative):
            return self._by_fields
        return self._as_string if any(field.path == _BODY for field in alternative) else self._without_body


def parse_filters(patterns: Sequence[object], *, max_filters: int = MAX_FILTERS_ON_REQUEST) -> MessageFilter | None:
    """The filter of `FilterCriteria.Filters`, given the `Pattern` of each; None where there is no filter.

    Raises InvalidFilterPattern and TooManyFilters. `other_keys` of the answer names the keys besides `body` that the
    filters look at: AWS documents none for queues, which is worth a warning.
    """
    if len(patterns) > max_filters:
        raise TooManyFilters(f"A mapping may have at most {max_filters} filters; these are {len(patterns)}.")
    parsed = []
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise InvalidFilterPattern("a pattern is JSON in a string")
        try:
            parsed.append(parse(pattern))
        except InvalidEventPattern as error:
            raise InvalidFilterPattern(error.reason) from error
    return MessageFilter(parsed) if parsed else None
