"""Lines that functions and the platform write to a function's log, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from lambent.core.operations import Scope


class LogEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event of a log stream: `timestamp_ms` epoch milliseconds, `message` with its line end."""

    timestamp_ms: int
    message: str


class LogSink(Protocol):
    """Takes log events without ever making the writer wait: `write` only queues."""

    def write(self, scope: Scope, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        """Queue `events` for the stream, which is created when it is missing."""
