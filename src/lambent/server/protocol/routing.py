"""Which operation a REST request asks for.

A trie over path segments, one per method: the cost follows the length of the path, not the number of operations.
Operations that share a path are told apart by query literals (`?uploads`, `?list-type=2`), and where those do not
decide, by the query parameters and headers that they require (UploadPart needs `partNumber`, CopyObject
`x-amz-copy-source`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lambent.server.protocol import urls

Labels = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """An operation's place: method, uri template, and the parameters and headers (lower case) that it requires."""

    operation: str
    method: str
    uri: str
    required_query: frozenset[str] = frozenset()
    required_headers: frozenset[str] = frozenset()
    deprecated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    operation: str
    labels: tuple[str, ...]  # names, in the order of the path
    literals: tuple[tuple[str, str | None], ...]  # None: any value
    required_query: frozenset[str]
    required_headers: frozenset[str]
    current: bool  # S3's deprecated operations have the places of those that replace them

    @property
    def weight(self) -> tuple[int, int, bool]:
        return len(self.literals), len(self.required_query) + len(self.required_headers), self.current


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    label: _Node | None = None
    greedy: dict[tuple[str, ...], list[_Candidate]] = field(default_factory=dict)  # by what follows the label
    candidates: list[_Candidate] = field(default_factory=list)


class Router:
    """The routes of one service."""

    def __init__(self, routes: Iterable[RouteSpec]) -> None:
        self._roots: dict[str, _Node] = {}
        for route in routes:
            self._add(route)

    def _add(self, route: RouteSpec) -> None:
        path, _, query = route.uri.partition("?")
        node = self._roots.setdefault(route.method, _Node())
        names: list[str] = []
        literals = []
        for pair in filter(None, query.split("&")):
            name, equals, value = pair.partition("=")
            literals.append((name, value if equals and value else None))
        segments = _segments(path)
        leaf: list[_Candidate] | None = None
        for position, segment in enumerate(segments):
            if not segment.startswith("{"):
                node = node.literals.setdefault(segment, _Node())
                continue
            names.append(segment[1:-1].rstrip("+"))
            if segment.endswith("+}"):
                leaf = node.greedy.setdefault(tuple(segments[position + 1 :]), [])
                break
            if node.label is None:
                node.label = _Node()
            node = node.label
        if leaf is None:
            leaf = node.candidates
        leaf.append(
            _Candidate(
                operation=route.operation,
                labels=tuple(names),
                literals=tuple(literals),
                required_query=route.required_query - {name for name, _ in literals},
                required_headers=route.required_headers,
                current=not route.deprecated,
            )
        )
        leaf.sort(key=lambda candidate: candidate.weight, reverse=True)

    def match(
        self, method: str, path: str, query: str, headers: Mapping[str, str] | None = None
    ) -> tuple[str, Labels] | None:
        """The operation and its decoded labels. `path` is percent-encoded; a trailing slash is accepted.

        Raises Unreadable for a path or query that is not UTF-8.
        """
        root = self._roots.get(method)
        if root is None:
            return None
        segments = _segments(path)
        found = _walk(root, segments, 0, (), path.endswith("/"))
        if found is None:
            return None
        candidates, values = found
        chosen = candidates[0]
        if len(candidates) > 1 or chosen.literals:
            decided = _choose(candidates, urls.parse_query(query), headers)
            if decided is None:
                return None
            chosen = decided
        return chosen.operation, {
            name: urls.decode_label(value) for name, value in zip(chosen.labels, values, strict=True)
        }


def _segments(path: str) -> list[str]:
    parts = path.split("/")
    if parts[0] == "":
        del parts[0]
    if parts and parts[-1] == "":
        del parts[-1]
    return parts


def _walk(
    node: _Node, segments: list[str], position: int, values: tuple[str, ...], slash: bool
) -> tuple[list[_Candidate], tuple[str, ...]] | None:
    if position == len(segments):
        return (node.candidates, values) if node.candidates else None
    segment = segments[position]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _walk(literal, segments, position + 1, values, slash)
        if found is not None:
            return found
    if node.label is not None and segment:
        found = _walk(node.label, segments, position + 1, (*values, segment), slash)
        if found is not None:
            return found
    for suffix, candidates in node.greedy.items():
        end = len(segments) - len(suffix)
        if end > position and tuple(segments[end:]) == suffix:
            # A trailing slash belongs to the label ("folder/" is an S3 key) unless literals follow it.
            value = "/".join(segments[position:end]) + ("/" if slash and not suffix else "")
            return candidates, (*values, value)
    return None


def _choose(candidates: list[_Candidate], query: urls.Query, headers: Mapping[str, str] | None) -> _Candidate | None:
    """Of the candidates with most literals that match: the most demanding that is satisfied, else the least demanding.

    The latter keeps `Value null at 'tagKeys'` an answer of the operation instead of an unknown route.
    """
    fallback: _Candidate | None = None
    for candidate in candidates:
        if fallback is not None and len(candidate.literals) < len(fallback.literals):
            break
        if not all(_has(query, name, value) for name, value in candidate.literals):
            continue
        fallback = candidate
        if candidate.required_query <= query.keys() and (
            not candidate.required_headers or (headers is not None and candidate.required_headers <= headers.keys())
        ):
            return candidate
    return fallback


def _has(query: urls.Query, name: str, value: str | None) -> bool:
    values = query.get(name)
    return values is not None and (value is None or value in values)
