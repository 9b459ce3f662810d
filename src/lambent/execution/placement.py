"""Which environment serves the next event, where each may serve several at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One environment: how many events it serves, and how many it can serve at a time as things are."""

    running: int
    places: int


def choose(loads: Sequence[Load]) -> int | None:
    """The index of the least loaded environment with a free place, None when all are full.

    Load is the share of its places that is taken; of equals the last one is chosen.
    """
    best = None
    for index, load in enumerate(loads):
        if load.running >= load.places:
            continue
        # a/b <= c/d without fractions
        if best is None or load.running * loads[best].places <= loads[best].running * load.places:
            best = index
    return best


def starts(waiting: int, starting: int, places: int) -> int:
    """How many more environments to start, so that each event that waits has a place where it will be served."""
    return max(0, -(-waiting // places) - starting)
