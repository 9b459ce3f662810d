"""Versioned schema changes, each room's own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of one room's tables. Versions of a room count from 1 without gaps; a released step never changes."""

    room: str
    version: int
    statements: tuple[str, ...]
