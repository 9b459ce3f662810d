"""How many stand-bys wait, and for how long.

Only a kind that was asked for has any; they are made up for a little after the last start, of prepared sandboxes, and
given up when none has been asked for in a long while. The heap limit of Node.js is a flag of its start, so functions of
different memory sizes are different kinds; to bound their memory, kinds that were asked for longest ago make room.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from lambent.sandbox.isolation.cell import SandboxCell
from lambent.sandbox.standby import Standby

log = logging.getLogger("lambent.sandbox")

# For each kind; each has some 12 MB of its own.
PER_KIND: Final = 2
KINDS: Final = 4
_REFILL_AFTER_S: Final = 0.05
_UNUSED_S: Final = 600.0

Made = tuple[SandboxCell, int]
Make = Callable[[Standby], Awaitable[Made]]


class Standbys:
    """Sandboxes of one root in which a runtime stands by. `make` prepares one."""

    def __init__(self, make: Make, *, per_kind: int = PER_KIND) -> None:
        self._make = make
        self._per_kind = per_kind
        self._loop = asyncio.get_running_loop()
        self._ready: dict[Standby, deque[Made]] = {}  # the kind that was asked for last comes last
        self._asked_s: dict[Standby, float] = {}
        self._refill_timer: asyncio.TimerHandle | None = None
        self._unused_timer: asyncio.TimerHandle | None = None
        self._filling: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def count(self) -> int:
        """How many wait."""
        return sum(cell.stands_by for ready in self._ready.values() for cell, _ in ready)

    def try_take(self, kind: Standby) -> Made | None:
        """One that waits, if any does; others are made afterwards."""
        if self._closed or not self._per_kind:
            return None
        ready = self._ready.pop(kind, deque())
        self._ready[kind] = ready
        self._asked_s[kind] = self._loop.time()
        while len(self._ready) > KINDS:
            self._give_up(next(iter(self._ready)))
        if self._refill_timer is not None:
            self._refill_timer.cancel()
        self._refill_timer = self._loop.call_later(_REFILL_AFTER_S, self._refill)
        if self._unused_timer is None:
            self._unused_timer = self._loop.call_later(_UNUSED_S, self._give_up_unused)
        while ready:
            cell, slot = ready.popleft()
            if cell.stands_by:
                return cell, slot
            cell.close()
        return None

    def _refill(self) -> None:
        if self._filling is None and not self._closed:
            self._filling = self._loop.create_task(self._fill())

    async def _fill(self) -> None:
        try:
            while (kind := self._short()) is not None:
                made = await self._make(kind)
                if kind in self._ready:
                    self._ready[kind].append(made)
                else:
                    made[0].close()
        except (OSError, TimeoutError) as error:
            log.warning("no runtime can be started ahead of need: %s", error)
        finally:
            self._filling = None

    def _short(self) -> Standby | None:
        """The kind asked for last of those that lack some."""
        return next((kind for kind in reversed(self._ready) if len(self._ready[kind]) < self._per_kind), None)

    def _give_up_unused(self) -> None:
        self._unused_timer = None
        now_s = self._loop.time()
        for kind in list(self._ready):
            if now_s - self._asked_s[kind] >= _UNUSED_S:
                self._give_up(kind)
        if self._ready:
            first_s = min(self._asked_s.values())
            self._unused_timer = self._loop.call_at(first_s + _UNUSED_S, self._give_up_unused)

    def _give_up(self, kind: Standby) -> None:
        for cell, _ in self._ready.pop(kind):
            cell.close()
        del self._asked_s[kind]

    async def close(self) -> None:
        """End all that wait; make no more."""
        self._closed = True
        for timer in (self._refill_timer, self._unused_timer):
            if timer is not None:
                timer.cancel()
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])
        for kind in list(self._ready):
            self._give_up(kind)
