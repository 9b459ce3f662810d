"""What becomes of each parameter of an operation: enforced, simulated or rejected, compiled into one check.

A parameter that the operation names nowhere is rejected. Paths go into structures by dots, and through lists and
maps without saying so (`Filters.Pattern` is the Pattern of each of the Filters).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from lambent.core.errors import AwsError
from lambent.core.operations import Operation, Params, Rejection
from lambent.server.protocol.shapes import Shape

Verdict = Literal["enforced", "simulated", "rejected"]

UNLISTED = Rejection(reason="it is not implemented")


class UnknownParameter(ValueError):
    """An operation names a parameter that the service model does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberTreatment:
    """One line of the compatibility table; `text` is the note of a simulation or the reason of a rejection."""

    path: str
    verdict: Verdict
    text: str


@dataclass(slots=True)
class _Node:
    verdict: Verdict | None = None  # None: only what is listed below decides
    text: str = ""
    rejection: Rejection = UNLISTED
    path: str = ""
    containers: tuple[str, ...] = ()  # the lists and maps around the structure that the children are members of
    children: dict[str, _Node] = field(default_factory=dict)


class Treatment:
    """The compiled treatment of one operation's parameters.

    Raises UnknownParameter when the operation names one that `shape` (the operation's input, None without one) does
    not have.
    """

    def __init__(self, operation: Operation, shape: Shape | None) -> None:
        self._operation = operation
        self._shape = shape
        self._root = _Node()
        for path in operation.enforced:
            self._list(path, "enforced")
        for path, note in operation.simulated.items():
            self._list(path, "simulated", text=note)
        for path, rejection in operation.rejected.items():
            self._list(path, "rejected", text=rejection.reason, rejection=rejection)
        # What needs no look at its value; most requests hold nothing else.
        self._plain = frozenset(
            name for name, node in self._root.children.items() if node.verdict == "enforced" and not node.children
        )
        self._error = type("UnsupportedParameter", (AwsError,), {"code": operation.service.unsupported_code})

    def check(self, params: Params) -> tuple[str, ...]:
        """The simulated parameters that the request gives, in the order of the request.

        Raises an AwsError with the service's `unsupported_code` for the first parameter that is rejected.
        """
        if params.keys() <= self._plain:
            return ()
        simulated: dict[str, None] = {}
        self._check(self._root, "", params, simulated)
        return tuple(simulated)

    def _check(self, node: _Node, prefix: str, members: dict[str, Any], simulated: dict[str, None]) -> None:
        for name, value in members.items():
            if value is None:
                continue
            child = node.children.get(name)
            path = prefix + name
            if child is None:
                if node.verdict is None:
                    self._reject(path, value, UNLISTED)
            elif child.children:
                for element in _elements(value, child.containers):
                    self._check(child, path + ".", element, simulated)
                if child.verdict == "simulated":
                    simulated[path] = None
            elif child.verdict == "simulated":
                simulated[path] = None
            elif child.verdict == "rejected":
                self._reject(path, value, child.rejection)

    def _reject(self, path: str, value: Any, rejection: Rejection) -> None:
        if not rejection.harmless(value):
            raise self._error(f"Lambent does not support {path} yet: {rejection.reason}")

    def _list(self, path: str, verdict: Verdict, text: str = "", rejection: Rejection = UNLISTED) -> None:
        node, shape = self._root, self._shape
        for name in path.split("."):
            shape = None if shape is None else _structure(shape)[0]
            if shape is None or name not in shape.definition.members:
                service, operation = self._operation.service.name, self._operation.name
                raise UnknownParameter(f"{service} {operation} has no parameter {path}")
            shape = shape.members[name]
            node = node.children.setdefault(name, _Node(containers=_structure(shape)[1]))
        if node.verdict is not None:
            raise UnknownParameter(f"{self._operation.name} lists {path} twice")
        node.verdict, node.text, node.rejection, node.path = verdict, text, rejection, path

    def members(self) -> Iterator[MemberTreatment]:
        """The treatment of every parameter, in the model's order; structures are gone into where paths do."""
        if self._shape is not None:
            yield from self._members(self._root, self._shape, "", None)

    def _members(
        self, node: _Node, shape: Shape, prefix: str, inherited: MemberTreatment | None
    ) -> Iterator[MemberTreatment]:
        structure, _ = _structure(shape)
        if structure is None:
            return
        for name, member in structure.members.items():
            path = prefix + name
            child = node.children.get(name)
            if child is None:
                if inherited is None:
                    yield MemberTreatment(path=path, verdict="rejected", text=UNLISTED.reason)
                continue
            own = None
            if child.verdict is not None:
                own = MemberTreatment(path=path, verdict=child.verdict, text=child.text)
                yield own
            if child.children:
                yield from self._members(child, member, path + ".", own)


def _structure(shape: Shape) -> tuple[Shape | None, tuple[str, ...]]:
    """The structure that a path goes on in (the shape itself, or what its lists and maps hold), and those around it."""
    containers = []
    while shape.type in ("list", "map"):
        containers.append(shape.type)
        shape = shape.member if shape.type == "list" else shape.value
    return (shape if shape.type == "structure" else None), tuple(containers)


def _elements(value: Any, containers: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The structures in a value that is inside `containers`."""
    if not containers:
        yield value
    else:
        for element in value if containers[0] == "list" else value.values():
            if element is not None:
                yield from _elements(element, containers[1:])
