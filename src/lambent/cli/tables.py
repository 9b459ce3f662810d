"""Plain data as text for people: tables for lists of records, indented lines for the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Columns as wide as they need to be, in the order of the first row's keys; empty ones are left out."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [{name: cell(row.get(name)) for name in names} for row in rows]
    shown = [name for name in names if any(row[name] for row in cells)]
    widths = {name: max(len(label(name)), *(len(row[name]) for row in cells)) for name in shown}
    lines = ["  ".join(label(name).ljust(widths[name]) for name in shown)]
    lines += ["  ".join(row[name].ljust(widths[name]) for name in shown) for row in cells]
    return "".join(f"{line.rstrip()}\n" for line in lines) if shown else "(none)\n"


def report(data: Mapping[str, Any]) -> str:
    """Scalars first, then each structure under its name."""
    return "".join(f"{line}\n" for line in _lines(data, ""))


def cell(value: object) -> str:
    """One value in few characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        return ", ".join(f"{label(name)} {cell(item)}" for name, item in value.items() if item not in (None, 0, ""))
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    return str(value)


def label(name: str) -> str:
    """`memory_mb` reads `memory mb`."""
    return name.replace("_", " ")


def _lines(data: Mapping[str, Any], indent: str) -> Iterator[str]:
    scalars = {name: value for name, value in data.items() if not isinstance(value, Mapping | list | tuple)}
    width = max((len(label(name)) for name in scalars), default=0)
    for name, value in scalars.items():
        yield f"{indent}{label(name).ljust(width)}  {cell(value) or '-'}"
    for name, value in data.items():
        if name in scalars:
            continue
        yield f"{indent}{label(name)}:"
        if isinstance(value, Mapping):
            yield from _lines(value, indent + "  ")
        elif value and all(isinstance(item, Mapping) for item in value):
            yield from (f"{indent}  {line}" for line in table(value).splitlines())
        else:
            yield f"{indent}  {cell(value) or '(none)'}"
