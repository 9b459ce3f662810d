"""The leaves of an event that any pattern asks about, and nothing else of it.

A tree of the asked names is walked beside the event, so what no pattern mentions costs one look-up of its name. An
array in an event stands for its elements. Leaves that lie in objects within arrays remember which element they come
from (`Origin`): fields of one pattern must be found in the same element.
"""

from __future__ import annotations

from typing import Any, Final

from lambent.core.event_patterns.model import Path

# The elements of arrays in which a leaf lies, outermost first: (number of the array in the event, index).
Origin = tuple[tuple[int, int], ...]
NOWHERE: Final[Origin] = ()


class Name:
    """A node of the tree of asked names. `uses` counts the patterns' fields at or below it."""

    __slots__ = ("below", "is_leaf", "path", "uses")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.below: dict[str, Name] = {}
        self.is_leaf = 0
        self.uses = 0


class Many:
    """Several leaves under one path."""

    __slots__ = ("_elements", "arrays", "leaves")

    def __init__(self) -> None:
        self.leaves: list[tuple[Any, Origin]] = []
        self.arrays: dict[int, int] = {}  # array -> how many of the leaves lie in it
        self._elements: dict[tuple[int, int], list[tuple[Any, Origin]]] | None = None

    def add(self, value: Any, origin: Origin) -> None:
        self.leaves.append((value, origin))
        for array, _ in origin:
            self.arrays[array] = self.arrays.get(array, 0) + 1

    def within(self, origin: Origin) -> list[tuple[Any, Origin]]:
        """The leaves that can be in one choice of elements with `origin`.

        Found by the innermost element, since asking each leaf would cost the square of an array's length.
        """
        for element in reversed(origin):
            in_array = self.arrays.get(element[0], 0)
            if in_array:
                found = self._by_element().get(element, [])
                if in_array < len(self.leaves):
                    found = found + [leaf for leaf in self.leaves if all(at[0] != element[0] for at in leaf[1])]
                break
        else:
            return self.leaves
        if len(origin) == 1:
            return found
        chosen = dict(origin)
        return [leaf for leaf in found if all(chosen.get(array, index) == index for array, index in leaf[1])]

    def _by_element(self) -> dict[tuple[int, int], list[tuple[Any, Origin]]]:
        if self._elements is None:
            self._elements = {}
            for leaf in self.leaves:
                for element in leaf[1]:
                    self._elements.setdefault(element, []).append(leaf)
        return self._elements


class Leaves:
    """What a walk found: a leaf, or `Many`, by path. `array_paths` says where each array with objects in it is."""

    __slots__ = ("array_paths", "by_path", "has_origins")

    def __init__(self) -> None:
        self.by_path: dict[Path, Any] = {}
        self.array_paths: list[Path] = []
        self.has_origins = False


class Names:
    """The tree of asked names; patterns come and go."""

    def __init__(self) -> None:
        self.root = Name("")

    def add(self, path: Path) -> None:
        node = self.root
        for name in path.split("."):
            child = node.below.get(name)
            if child is None:
                child = node.below[name] = Name(f"{node.path}.{name}" if node is not self.root else name)
            child.uses += 1
            node = child
        node.is_leaf += 1

    def remove(self, path: Path) -> None:
        """Undo one `add` of the path."""
        node = self.root
        for name in path.split("."):
            child = node.below[name]
            child.uses -= 1
            if not child.uses:
                del node.below[name]
            node = child
        node.is_leaf -= 1

    def leaves(self, event: dict[str, Any]) -> Leaves:
        """The asked leaves of an event."""
        found = Leaves()
        _walk_object(self.root.below, event, NOWHERE, found)
        return found


def _walk_object(below: dict[str, Name], value: dict[str, Any], origin: Origin, found: Leaves) -> None:
    for name, inner in value.items():
        node = below.get(name)
        if node is None:
            if "." not in name:
                continue
            node = _dotted(below, name)
            if node is None:
                continue
        kind = type(inner)
        if kind is dict:
            if node.below:
                _walk_object(node.below, inner, origin, found)
        elif kind is list:
            _walk_array(node, inner, origin, found)
        elif node.is_leaf:
            if origin or node.path in found.by_path:
                _add(node.path, inner, origin, found)
            else:
                found.by_path[node.path] = inner


def _dotted(below: dict[str, Name], dotted: str) -> Name | None:
    node = None
    for name in dotted.split("."):
        node = below.get(name)
        if node is None:
            return None
        below = node.below
    return node


def _walk_array(node: Name, array: list[Any], origin: Origin, found: Leaves) -> None:
    """Nested arrays are walked without recursion: an event may nest them deeper than our stack goes."""
    waiting = [(array, origin)]
    while waiting:
        elements, outer = waiting.pop()
        number = -1
        for index, element in enumerate(elements):
            kind = type(element)
            if kind is dict or kind is list:
                if kind is dict and not node.below:
                    continue
                if number < 0:
                    number = len(found.array_paths)
                    found.array_paths.append(node.path)
                inner = (*outer, (number, index))
                if kind is dict:
                    _walk_object(node.below, element, inner, found)
                else:
                    waiting.append((element, inner))
            elif node.is_leaf:
                _add(node.path, element, outer, found)


def _add(path: Path, value: Any, origin: Origin, found: Leaves) -> None:
    many = found.by_path.get(path)
    if type(many) is not Many:
        first = many
        many = Many()
        if path in found.by_path:
            many.add(first, NOWHERE)
        found.by_path[path] = many
    many.add(value, origin)
    if origin:
        found.has_origins = True
