"""Positions in the order of events as clients see them: event ids and tokens, 56 digits each as on AWS."""

from __future__ import annotations

import re
from typing import Final

from lambent.logs.merge import Position

_DIGITS: Final = re.compile(r"(\d{20})(\d{18})(\d{18})", re.ASCII)


def encode(position: Position) -> str:
    """Every position from BEFORE_ALL to AFTER_ALL; later ones are larger texts."""
    return f"{position.timestamp_ms + 1:020d}{position.stream_id + 1:018d}{position.sequence + 1:018d}"


def decode(text: str) -> Position | None:
    """None for a text that no position has."""
    found = _DIGITS.fullmatch(text)
    if found is None:
        return None
    timestamp_ms, stream_id, sequence = (int(digits) - 1 for digits in found.groups())
    return Position(min(timestamp_ms, 10**17), stream_id, sequence)
