"""The X-Ray trace header: handed on as the caller sent it, made where the caller sent none."""

from __future__ import annotations

from lambent.core.ids import IdSource

HEADER = "X-Amzn-Trace-Id"


def trace_id(given: str | None, now: float, new_hex: IdSource) -> str:
    """The trace header of this invoke. A made one is not sampled: nothing records traces."""
    if given:
        return given
    digits = new_hex()
    return f"Root=1-{int(now):08x}-{digits[:24]};Parent={digits[:8]}{digits[24:]};Sampled=0"
