"""The log of one environment: cuts output into events, keeps the tail of the running event, feeds the sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lambent.core import limits
from lambent.core.clock import Clock
from lambent.core.log_events import LogEvent, LogSink
from lambent.core.operations import Scope

# CloudWatch Logs quotas page: the largest event.
MAX_EVENT_BYTES = 256 * limits.KIB
_TAIL_TRIM_CHARS = 64 * limits.KIB


class LineSplitter:
    """Cuts a byte stream into lines; a line without end is held back until it ends, grows too long or is flushed."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, each with its line end."""
        lines = _split(self._rest + data)
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        while len(self._rest) >= MAX_EVENT_BYTES:
            lines.append(self._rest[:MAX_EVENT_BYTES])
            self._rest = self._rest[MAX_EVENT_BYTES:]
        return lines

    def flush(self) -> list[bytes]:
        """What is held back."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def _split(data: bytes) -> list[bytes]:
    """Lines with their `\\n`; other control characters (`\\r`) stay inside their line."""
    *whole, rest = data.split(b"\n")
    lines = [line + b"\n" for line in whole]
    if rest:
        lines.append(rest)
    return lines


class FunctionLog:
    """Where all lines of an environment go. Nothing waits: events are queued and passed on by `flush`."""

    def __init__(self, sink: LogSink, clock: Clock, *, scope: Scope, group: str, stream: str) -> None:
        self._sink = sink
        self._clock = clock
        self._scope = scope
        self._group = group
        self._stream = stream
        self._pending: list[LogEvent] = []
        self._tail: list[str] | None = None
        self._tail_chars = 0
        self._printed = LineSplitter()
        self._piped = LineSplitter()
        self._extensions: dict[str, LineSplitter] = {}
        # Hears the lines of the function and its extensions: the source ("function", "extension") and the lines.
        self.observer: Callable[[str, Sequence[str]], None] | None = None

    def branch(self) -> FunctionLog:
        """Another log into the same stream, for one of several events at once: its lines and its tail are its own."""
        branch = FunctionLog(self._sink, self._clock, scope=self._scope, group=self._group, stream=self._stream)
        branch.observer = self.observer
        return branch

    def begin_tail(self) -> None:
        """From now on lines belong to an event's tail."""
        self._tail = []
        self._tail_chars = 0

    def end_tail(self) -> bytes:
        """The last 4,096 bytes since `begin_tail`."""
        lines, self._tail = self._tail or [], None
        return "".join(lines).encode("utf-8", "replace")[-limits.LAMBDA_LOG_TAIL_BYTES :]

    def write(self, lines: Sequence[str]) -> None:
        """Write whole events."""
        timestamp_ms = int(self._clock.now() * 1000)
        for line in lines:
            self._pending.append(LogEvent(timestamp_ms=timestamp_ms, message=line))
            if self._tail is not None:
                self._tail.append(line)
                self._tail_chars += len(line)
        if self._tail is not None and self._tail_chars > _TAIL_TRIM_CHARS:
            self._tail = ["".join(self._tail)[-limits.LAMBDA_LOG_TAIL_BYTES :]]
            self._tail_chars = len(self._tail[0])

    def printed(self, data: bytes) -> None:
        """Output of the runtime's own streams."""
        self._write_bytes(self._printed.feed(data))

    def piped(self, data: bytes) -> None:
        """Output on descriptors 1 and 2."""
        self._write_bytes(self._piped.feed(data))

    def extension_printed(self, name: str, data: bytes) -> None:
        """Output of an external extension."""
        splitter = self._extensions.get(name)
        if splitter is None:
            splitter = self._extensions[name] = LineSplitter()
        self._write_bytes(splitter.feed(data), "extension")

    def extension_ended(self, name: str) -> None:
        """It prints no more: write what is held back for want of a line end."""
        splitter = self._extensions.pop(name, None)
        if splitter is not None:
            self._write_bytes([line + b"\n" for line in splitter.flush()], "extension")

    def record(self, message: bytes) -> None:
        """A log record, which stays one event."""
        if not message.endswith(b"\n"):
            message += b"\n"
        self._write_bytes([message[at : at + MAX_EVENT_BYTES] for at in range(0, len(message), MAX_EVENT_BYTES)])

    def end_lines(self) -> None:
        """Write what is held back for want of a line end."""
        for splitter in (self._printed, self._piped):
            self._write_bytes([line + b"\n" for line in splitter.flush()])

    def _write_bytes(self, lines: list[bytes], source: str = "function") -> None:
        if lines:
            texts = [line.decode("utf-8", "replace") for line in lines]
            if self.observer is not None:
                self.observer(source, texts)
            self.write(texts)

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def flush(self) -> None:
        """Pass on what is queued."""
        if self._pending:
            events, self._pending = self._pending, []
            self._sink.write(self._scope, self._group, self._stream, events)
