"""The server's own log: one line an event, for a person on a terminal and as JSON for everything else.

Loggers are called `lambent.<part>`. Fields beyond the message go into `extra={"fields": {...}}`.
"""

from __future__ import annotations

import datetime
import logging
import sys
from typing import Any, TextIO

import msgspec

_LEVELS = {"WARNING": "warn", "CRITICAL": "error"}


class JsonFormatter(logging.Formatter):
    """`{"time": ISO 8601 in UTC, "level", "logger", "message", fields..., "traceback"?}`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        entry: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _level(record),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in getattr(record, "fields", {}).items():
            entry.setdefault(name, value)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry, enc_hook=str).decode()


class HumanFormatter(logging.Formatter):
    """`12:34:56 warn  http: message key=value`, the traceback on lines of its own."""

    def __init__(self, *, color: bool) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created).astimezone()
        level = _level(record)
        shown = f"{level:<5}"
        if self._color and level in _COLORS:
            shown = f"{_COLORS[level]}{shown}\033[0m"
        fields = "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())
        # A line break in what a request brought along must not look like a line of ours.
        message = record.getMessage().replace("\n", "\\n")
        line = f"{moment:%H:%M:%S} {shown} {record.name.removeprefix('lambent.')}: {message}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(level: str = "info", *, stream: TextIO | None = None) -> None:
    """Send the log to `stream` (standard error), in the form that suits it. Calling it again starts over.

    Raises ValueError for an unknown level name.
    """
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(HumanFormatter(color=True) if out.isatty() else JsonFormatter())
    ours = logging.getLogger("lambent")
    ours.setLevel(level.upper())
    ours.propagate = False
    # Libraries speak up only when something is wrong.
    everything = logging.getLogger()
    everything.setLevel(logging.WARNING)
    for logger in (ours, everything):
        for old in [old for old in logger.handlers if isinstance(old.formatter, HumanFormatter | JsonFormatter)]:
            logger.removeHandler(old)
        logger.addHandler(handler)


def _level(record: logging.LogRecord) -> str:
    return _LEVELS.get(record.levelname, record.levelname.lower())


_COLORS = {"warn": "\033[33m", "error": "\033[31m", "debug": "\033[2m"}
