"""Plain data as text for people: tables for lists of records, indented lines for the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Columns as wide as they need to be, in the order of the first row's keys; empty ones are left out."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [{name: cell(name, row.get(name)) for name in names} for row in rows]
    shown = [name for name in names if any(row[name] for row in cells)]
    widths = {name: max(len(label(name)), *(len(row[name]) for row in cells)) for name in shown}
    lines = ["  ".join(label(name).ljust(widths[name]) for name in shown)]
    lines += ["  ".join(row[name].ljust(widths[name]) for name in shown) for row in cells]
    return "".join(f"{line.rstrip()}\n" for line in lines) if shown else "(none)\n"


def report(data: Mapping[str, Any]) -> str:
    """Scalars first, then each structure under its name."""
    return "".join(f"{line}\n" for line in _lines(data, ""))


def cell(name: str, value: object) -> str:
    """One value in few characters. A number whose `name` ends in a unit is shown with it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(name, value)
    if isinstance(value, Mapping):
        return ", ".join(f"{label(key)} {cell(key, item)}" for key, item in value.items() if item not in (None, 0, ""))
    if isinstance(value, list | tuple):
        return ", ".join(cell(name, item) for item in value)
    return str(value)


def label(name: str) -> str:
    """`memory_total_bytes` reads `memory total`: the unit goes with the value."""
    return name.removesuffix(_unit(name)).replace("_", " ")


def _unit(name: str) -> str:
    return next((unit for unit in ("_bytes", "_mb", "_ms", "_s") if name.endswith(unit)), "")


def _number(name: str, value: float) -> str:
    unit = _unit(name)
    scaled, shown_unit = value, {"_mb": " MB", "_ms": " ms", "_s": " s"}.get(unit, "")
    if unit == "_bytes":
        scaled, shown_unit = next(
            (value / size, f" {word}") for size, word in _SIZES if value >= size or size == 1
        )  # fmt: skip
    text = f"{scaled:,.2f}".rstrip("0").rstrip(".")
    # Numbers without a unit may be ids (a process, a port): those have no thousands.
    return f"{text}{shown_unit}" if unit else text.replace(",", "")


_SIZES = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"), (1, "B"))


def _lines(data: Mapping[str, Any], indent: str) -> Iterator[str]:
    scalars = {name: value for name, value in data.items() if not isinstance(value, Mapping | list | tuple)}
    width = max((len(label(name)) for name in scalars), default=0)
    for name, value in scalars.items():
        yield f"{indent}{label(name).ljust(width)}  {cell(name, value) or '-'}"
    for name, value in data.items():
        if name in scalars:
            continue
        yield f"{indent}{label(name)}:"
        if isinstance(value, Mapping):
            yield from _lines(value, indent + "  ")
        elif value and all(isinstance(item, Mapping) for item in value):
            yield from (f"{indent}  {line}" for line in table(value).splitlines())
        else:
            yield f"{indent}  {cell(name, value) or '(none)'}"
