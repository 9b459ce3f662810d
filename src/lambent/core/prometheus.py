"""Prometheus's text format, version 0.0.4: `# HELP`, `# TYPE`, and one line for each series.

A family's lines must be together, and label values are escaped; that is all there is to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import inf, isnan
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]

_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Family:
    """All series of one name. Raises ValueError for names that the format does not have."""

    def __init__(self, name: str, kind: Kind, text: str) -> None:
        self._name = _checked(name)
        self._lines = [f"# HELP {name} {text.translate(_HELP_ESCAPES)}", f"# TYPE {name} {kind}"]

    def add(self, value: float, labels: Mapping[str, str] | None = None) -> None:
        """One series of a counter or gauge."""
        self._lines.append(f"{self._name}{_braced(_labels(labels))} {_number(value)}")

    def add_histogram(
        self, bounds: Sequence[float], counts: Sequence[int], total: float, labels: Mapping[str, str] | None = None
    ) -> None:
        """One histogram: `counts` up to and including each of the rising `bounds`, and one more beyond the last."""
        if len(counts) != len(bounds) + 1:
            raise ValueError("a histogram has one count more than it has bounds")
        common, seen = _labels(labels), 0
        for bound, count in zip((*bounds, inf), counts, strict=True):
            seen += count
            limit = f'le="{_number(bound)}"'
            self._lines.append(f"{self._name}_bucket{_braced([*common, limit])} {seen}")
        self._lines.append(f"{self._name}_sum{_braced(common)} {_number(total)}")
        self._lines.append(f"{self._name}_count{_braced(common)} {seen}")

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def page(families: Iterable[Family]) -> bytes:
    """The whole page. Lone surrogates, which are no text, come out as `?`."""
    return "".join(family.text() for family in families).encode("utf-8", "replace")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a metric or label")
    return name


def _labels(labels: Mapping[str, str] | None) -> list[str]:
    return [f'{_checked(name)}="{value.translate(_ESCAPES)}"' for name, value in (labels or {}).items()]


def _braced(labels: Sequence[str]) -> str:
    return "{" + ",".join(labels) + "}" if labels else ""


def _number(value: float) -> str:
    if isnan(value):
        return "NaN"
    if value in (inf, -inf):
        return "+Inf" if value > 0 else "-Inf"
    whole = int(value)
    return str(whole) if whole == value else repr(float(value))
