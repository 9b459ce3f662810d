"""AWS's protocol cases (tests/data/protocols), and the values that they name in the form that operations see."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lambent.server.protocol import shapes
from lambent.server.protocol.service import CompiledService, compile_service
from lambent.server.protocol.shapes import Shape

_DATA = Path(__file__).parents[3] / "data" / "protocols"


class Case(NamedTuple):
    """One case: `suite` is the file it is from, `description` the service it needs."""

    direction: str
    suite: str
    description: dict[str, Any]
    case: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.direction}/{self.suite}:{self.case['id']}"

    @property
    def service(self) -> CompiledService:
        return compile_service("case", shapes.from_description(self.description))

    def shape(self, direction: str) -> Shape | None:
        ref = self.case["given"].get(direction)
        if ref is None:
            return None
        return Shape(shapes.from_description(self.description), shapes.ShapeRef(shape=ref["shape"]))


def load(direction: str) -> list[Case]:
    """All cases of `input` or `output`."""
    return list(_load(direction))


def _load(direction: str) -> Iterator[Case]:
    for path in sorted((_DATA / direction).glob("*.json")):
        for suite in json.loads(path.read_text()):
            for case in suite["cases"]:
                operation = case["given"]
                if path.stem == "query" and "output" in operation:  # the cases leave it to their reader
                    operation["output"]["resultWrapper"] = f"{operation['name']}Result"
                metadata = {"endpointPrefix": "case", "targetPrefix": "Case", **suite["metadata"]}
                description = {
                    "metadata": metadata,
                    "shapes": suite["shapes"],
                    "operations": {operation["name"]: operation},
                }
                yield Case(direction, path.stem, description, case)


def seen(value: Any, shape: Shape) -> Any:
    """A value of a case as operations see it: bytes, epoch seconds as float, special floats, no absent members."""
    if value is None or shape.is_document:
        return value
    if shape.type == "structure":
        return {name: seen(item, shape.members[name]) for name, item in value.items() if item is not None}
    if shape.type == "list":
        return [seen(item, shape.member) for item in value]
    if shape.type == "map":
        lower = shape.location == "headers"
        return {key.lower() if lower else key: seen(item, shape.value) for key, item in value.items()}
    if shape.type == "blob":
        return value.encode()
    if shape.type in ("timestamp", "float", "double"):
        return float(value)
    return value


def same(left: Any, right: Any) -> bool:
    """Equality, for which NaN equals NaN."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


async def collected(value: Any) -> Any:
    """Streaming payloads as bytes."""
    if isinstance(value, AsyncIterator):
        return b"".join([chunk async for chunk in value])
    return value
