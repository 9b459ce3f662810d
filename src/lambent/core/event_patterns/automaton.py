"""Many event patterns as one automaton: what one event matches, at a cost that does not grow with their number.

A pattern is a chain of steps, a step being a field and values that it may have. Patterns that begin with equal steps
share them, so together they are a tree of states. To match, the event's asked leaves are found once; then, from the
start, each state's fields look their leaf up among all values that any pattern wants there and lead on to next states.

Three things keep the number of states that one event visits small:
- Steps with exact values come first, so that 10,000 patterns about one field each differ before anything else is asked.
- A step with a few values is cut into as many branches, so that ["a", "x1"] and ["a", "x2"] share what follows "a".
- Steps keep the order of a tree of names. All that a pattern asks about one array stands together, and the choice of an
  element is forgotten behind it: an array costs its length, never its square.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import product
from typing import Any, Final, Generic, TypeVar

from lambent.core.event_patterns.indexes import INDEX_OF, Index
from lambent.core.event_patterns.leaves import NOWHERE, Leaves, Many, Names, Origin
from lambent.core.event_patterns.model import EventPattern, Field, Path
from lambent.core.event_patterns.values import ABSENT, ExactLiteral, ExactNumber, ExactString, ValuePattern

K = TypeVar("K", bound=Hashable)
_Edge = frozenset[ValuePattern]
_Step = tuple[Path, _Edge]

# Branches that one alternative of a pattern is cut into, at most.
_MAX_BRANCHES: Final = 32
_EXACT: Final = (ExactString, ExactNumber, ExactLiteral)


class _State(Generic[K]):
    __slots__ = ("absences", "accepts", "fields")

    def __init__(self) -> None:
        self.accepts: dict[K, int] = {}  # how many branches of the pattern end here
        self.fields: dict[Path, _Values[K]] = {}
        self.absences: dict[Path, dict[_State[K], None]] = {}


class _Values(Generic[K]):
    """All values that patterns want of one field in one state, and the states they lead to."""

    __slots__ = ("edges", "indexes", "literals", "numbers", "strings")

    def __init__(self) -> None:
        self.edges: dict[_Edge, _State[K]] = {}
        self.strings: dict[str, list[_State[K]]] = {}
        self.numbers: dict[float, list[_State[K]]] = {}
        self.literals: dict[bool | None, list[_State[K]]] = {}
        self.indexes: dict[type, Index[_State[K]]] = {}

    def collect(self, value: Any, into: list[_State[K]]) -> None:
        kind = type(value)
        if kind is str:
            found = self.strings.get(value)
        elif kind is float or kind is int:
            found = self.numbers.get(value) or self.numbers.get(_double(value))
        else:
            found = self.literals.get(value)
        if found is not None:
            into += found
        for index in self.indexes.values():
            index.collect(value, into)

    def link(self, pattern: ValuePattern, state: _State[K]) -> None:
        exact = self._exact(pattern)
        if exact is not None:
            exact[0].setdefault(exact[1], []).append(state)
        else:
            kind = INDEX_OF[type(pattern)]
            if kind not in self.indexes:
                self.indexes[kind] = kind()
            self.indexes[kind].add(pattern, state)

    def unlink(self, pattern: ValuePattern, state: _State[K]) -> None:
        exact = self._exact(pattern)
        if exact is not None:
            table, key = exact
            table[key].remove(state)
            if not table[key]:
                del table[key]
        else:
            kind = INDEX_OF[type(pattern)]
            self.indexes[kind].remove(pattern, state)
            if not len(self.indexes[kind]):
                del self.indexes[kind]

    def _exact(self, pattern: ValuePattern) -> tuple[dict[Any, list[_State[K]]], Any] | None:
        match pattern:
            case ExactString(text):
                return self.strings, text
            case ExactNumber(number):
                return self.numbers, number
            case ExactLiteral(literal):
                return self.literals, literal
        return None


class PatternAutomaton(Generic[K]):
    """Event patterns under keys of the caller's. Not for several threads at once."""

    def __init__(self) -> None:
        self._start: _State[K] = _State()
        self._names = Names()
        self._patterns: dict[K, EventPattern] = {}

    def __len__(self) -> int:
        return len(self._patterns)

    def __contains__(self, key: K) -> bool:
        return key in self._patterns

    def add(self, key: K, pattern: EventPattern) -> None:
        """Match the pattern from now on. A pattern that stood under the key before is replaced."""
        if key in self._patterns:
            self.remove(key)
        self._patterns[key] = pattern
        for alternative in pattern.alternatives:
            for field in alternative:
                self._names.add(field.path)
            for branch in _branches(alternative):
                state = self._start
                for path, edge in branch:
                    state = _follow_or_make(state, path, edge)
                state.accepts[key] = state.accepts.get(key, 0) + 1

    def remove(self, key: K) -> None:
        """Forget the pattern. Raises KeyError."""
        for alternative in self._patterns.pop(key).alternatives:
            for field in alternative:
                self._names.remove(field.path)
            for branch in _branches(alternative):
                self._remove_branch(key, branch)

    def match(self, event: dict[str, Any]) -> set[K]:
        """The keys of the patterns that the event matches. `event` is decoded JSON."""
        leaves = self._names.leaves(event)
        return self._match_within(leaves) if leaves.has_origins else self._match(leaves.by_path)

    def _remove_branch(self, key: K, branch: tuple[_Step, ...]) -> None:
        route: list[tuple[_State[K], Path, _Edge]] = []
        state = self._start
        for path, edge in branch:
            route.append((state, path, edge))
            state = state.fields[path].edges[edge]
        state.accepts[key] -= 1
        if not state.accepts[key]:
            del state.accepts[key]
        for parent, path, edge in reversed(route):
            if state.accepts or state.fields:
                break
            _unlink(parent, path, edge)
            state = parent

    def _match(self, leaves: dict[Path, Any]) -> set[K]:
        matched: set[K] = set()
        waiting = [self._start]
        while waiting:
            state = waiting.pop()
            if state.accepts:
                matched.update(state.accepts)
            fields = state.fields
            for path in fields if len(fields) < len(leaves) else leaves:
                if path not in fields or path not in leaves:
                    continue
                value = leaves[path]
                reached: list[_State[K]] = []
                if type(value) is Many:
                    for leaf, _ in value.leaves:
                        fields[path].collect(leaf, reached)
                else:
                    fields[path].collect(value, reached)
                # Several values of one edge lead to one state; visiting it twice would double all that follows.
                waiting += reached if len(reached) < 2 else dict.fromkeys(reached)
            for path, states in state.absences.items():
                if path not in leaves:
                    waiting += states
        return matched

    def _match_within(self, leaves: Leaves) -> set[K]:
        """Match where leaves lie in elements of arrays: all of a pattern's fields must agree on the elements."""
        matched: set[K] = set()
        seen: set[tuple[_Values[K], Origin]] = set()
        waiting: dict[tuple[_State[K], Origin], None] = {(self._start, NOWHERE): None}
        by_path = leaves.by_path
        while waiting:
            state, chosen = waiting.popitem()[0]
            matched.update(state.accepts)
            fields = state.fields
            for path in fields if len(fields) < len(by_path) else by_path:
                if path not in fields or path not in by_path:
                    continue
                value, values = by_path[path], fields[path]
                # Behind an array nothing asks which of its elements was chosen.
                kept = tuple([at for at in chosen if _is_within(path, leaves.array_paths[at[0]])])
                if (values, kept) in seen:
                    continue
                seen.add((values, kept))
                for leaf, origin in value.within(kept) if type(value) is Many else ((value, NOWHERE),):
                    reached: list[_State[K]] = []
                    values.collect(leaf, reached)
                    merged = tuple(sorted({*kept, *origin})) if origin else kept
                    waiting.update(dict.fromkeys([(after, merged) for after in reached]))
            for path, states in state.absences.items():
                if path not in by_path:
                    waiting.update(dict.fromkeys([(after, chosen) for after in states]))
        return matched


def _double(value: float) -> float:
    """The IEEE 754 number of an integer too long for it."""
    try:
        return float(value)
    except OverflowError:
        return value


def _is_within(path: Path, array_path: Path) -> bool:
    return path.startswith(array_path) and path[len(array_path) : len(array_path) + 1] in ("", ".")


def _follow_or_make(state: _State[K], path: Path, edge: _Edge) -> _State[K]:
    values = state.fields.get(path)
    if values is None:
        values = state.fields[path] = _Values()
    after = values.edges.get(edge)
    if after is None:
        after = values.edges[edge] = _State()
        for pattern in edge:
            if pattern == ABSENT:
                state.absences.setdefault(path, {})[after] = None
            else:
                values.link(pattern, after)
    return after


def _unlink(state: _State[K], path: Path, edge: _Edge) -> None:
    values = state.fields[path]
    after = values.edges.pop(edge)
    for pattern in edge:
        if pattern == ABSENT:
            del state.absences[path][after]
            if not state.absences[path]:
                del state.absences[path]
        else:
            values.unlink(pattern, after)
    if not values.edges:
        del state.fields[path]


def _branches(alternative: tuple[Field, ...]) -> Iterator[tuple[_Step, ...]]:
    """The chains of steps of one alternative, in the order described above."""
    steps: list[list[_Step]] = []
    branches = 1
    for field in _in_order(alternative):
        if branches * len(field.values) <= _MAX_BRANCHES:
            branches *= len(field.values)
            steps.append([(field.path, frozenset((value,))) for value in field.values])
        else:
            steps.append([(field.path, field.values)])
    return product(*steps)


def _in_order(alternative: tuple[Field, ...]) -> list[Field]:
    """Fields by the tree of their names: among siblings first what has exact values below it, then by name.

    What must be absent comes last: it is true of most events, and chooses no element of an array.
    """
    best: dict[tuple[str, ...], int] = {}
    for field in alternative:
        names = tuple(field.path.split("."))
        for length in range(1, len(names) + 1):
            best[names[:length]] = min(best.get(names[:length], 1), _rank(field))

    def order(field: Field) -> tuple[object, ...]:
        names = tuple(field.path.split("."))
        return (field.values == {ABSENT}, [(best[names[: at + 1]], name) for at, name in enumerate(names)])

    return sorted(alternative, key=order)


def _rank(field: Field) -> int:
    return 0 if all(isinstance(value, _EXACT) for value in field.values) else 1
