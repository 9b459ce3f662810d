"""One of several events that an environment runs at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.sandbox.event_run import EventRun
from lambent.sandbox.function_log import FunctionLog
from lambent.sandbox.platform_lines import Span
from lambent.sandbox.protocol import Invocation

if TYPE_CHECKING:
    from lambent.sandbox.places import Place


class ConcurrentRun(EventRun):
    """`log` is the part of the environment's log that is this event's; `place` is None while it waits for one."""

    __slots__ = ("log", "place")

    def __init__(self, invocation: Invocation, *, init_duration_ms: float | None, log: FunctionLog) -> None:
        super().__init__(invocation, init_duration_ms=init_duration_ms, on_drained=self._drained)
        self.log = log
        self.place: Place | None = None

    def spans(self, now_s: float) -> list[Span]:
        """The runtime is not seen to ask for the next event of the same worker: nothing of its overhead."""
        return [span for span in super().spans(now_s) if span.name != "runtimeOverhead"]

    def _drained(self) -> None:
        if self.place is not None and self.place.transport is not None:
            self.place.transport.resume()
