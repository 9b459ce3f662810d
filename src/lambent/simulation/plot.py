"""Depth, concurrency and latency of simulated modes side by side, as SVG.

Written by hand: three panels of lines need no plotting library, and the same numbers give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from lambent.simulation.burst import Result, Sample

_WIDTH: Final = 760
_PANEL: Final = 190
_LEFT, _RIGHT, _TOP, _GAP = 70, 20, 44, 46
_COLOURS: Final = ("#1f6feb", "#d1481f", "#2b8a3e", "#8250df")
_POINTS: Final = 600

_PANELS: Final[tuple[tuple[str, Callable[[Sample], float | None]], ...]] = (
    ("Messages waiting", lambda sample: sample.waiting),
    ("Concurrent invokes", lambda sample: sample.in_flight),
    ("Latency to the start of the invoke, p99 (s)", lambda sample: sample.latency_p99_s),
)


def svg(results: Sequence[Result], title: str) -> str:
    """The picture. All modes share each panel's axes."""
    end_s = max((result.drained_s for result in results), default=1.0) or 1.0
    height = _TOP + len(_PANELS) * (_PANEL + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="14" font-weight="600">{escape(title)}</text>',
    ]
    for number, result in enumerate(results):
        x = _LEFT + number * 150
        parts.append(f'<rect x="{x}" y="26" width="12" height="3" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{x + 17}" y="31">{escape(result.mode)}</text>')
    for number, (name, value_of) in enumerate(_PANELS):
        parts += _panel(results, name, value_of, _TOP + number * (_PANEL + _GAP) + 16, end_s)
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    results: Sequence[Result], name: str, value_of: Callable[[Sample], float | None], top: int, end_s: float
) -> list[str]:
    bottom, right = top + _PANEL, _WIDTH - _RIGHT
    highest = max((value_of(sample) or 0 for result in results for sample in result.samples), default=0)
    ceiling = _round_up(highest)
    parts = [f'<text x="{_LEFT}" y="{top - 5}" font-weight="600">{escape(name)}</text>']
    for step in range(5):
        y = bottom - _PANEL * step / 4
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#e3e3e3"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{ceiling * step / 4:,.6g}</text>')
        x = _LEFT + (right - _LEFT) * step / 4
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{end_s * step / 4:,.4g} s</text>')
    for number, result in enumerate(results):
        points = [
            f"{_LEFT + (right - _LEFT) * min(1.0, sample.at_s / end_s):.1f},{bottom - _PANEL * value / ceiling:.1f}"
            for sample in _thinned(result.samples)
            for value in [value_of(sample)]
            if value is not None
        ]
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{" ".join(points)}"/>')
    return parts


def _thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    step = math.ceil(len(samples) / _POINTS)
    return samples if step <= 1 else [*samples[::step], samples[-1]]


def _round_up(value: float) -> float:
    """The next round number for an axis."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * factor for factor in (1, 2, 4, 5, 8, 10) if unit * factor >= value * 0.999999)
