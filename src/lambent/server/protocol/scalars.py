"""Timestamps, numbers, blobs and booleans between their wire texts and the values that operations see.

Operations see timestamps as epoch seconds (float), blobs as bytes. AWS's own timestamps have milliseconds, so that
is what is rendered.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

from lambent.server.protocol.faults import Unreadable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO8601 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?)?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)
_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,4})?", re.ASCII)
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# Beyond these no date can be written (years 1 to 9999).
_EARLIEST, _LATEST = -62135596800.0, 253402300799.999


def parse_integer(text: str) -> int:
    """A whole number of at most 64 bits from a header, label, query or XML text. Raises Unreadable."""
    text = text.strip()
    if not _INTEGER.fullmatch(text):
        raise Unreadable(f"{_quote(text)} can not be converted to an Integer")
    return check_integer(int(text))


def check_integer(value: int) -> int:
    """`value`, if 64 bits hold it. Raises Unreadable."""
    if not -(2**63) <= value < 2**63:
        raise Unreadable("the number is out of the range of a 64-bit integer")
    return value


def parse_float(text: str) -> float:
    """A float, with AWS's spelling of the special values. Raises Unreadable."""
    text = text.strip()
    special = _SPECIAL_FLOATS.get(text)
    if special is not None:
        return special
    if not _FLOAT.fullmatch(text):
        raise Unreadable(f"{_quote(text)} can not be converted to a Double")
    return float(text)


def parse_boolean(text: str) -> bool:
    """`true` or `false`. Raises Unreadable."""
    lowered = text.strip().lower()
    if lowered == "true":
        return True
    if lowered == "false":
        return False
    raise Unreadable(f"{_quote(text)} can not be converted to a Boolean")


def parse_base64(text: str) -> bytes:
    """The bytes of a base64 text. Raises Unreadable."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        pass
    try:  # line breaks are tolerated as AWS tolerates them; anything else is not
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except (binascii.Error, ValueError):
        raise Unreadable("the value is not valid base64") from None


def parse_timestamp(text: str) -> float:
    """Epoch seconds of an ISO 8601, HTTP-date or epoch text, whichever it is. Raises Unreadable."""
    text = text.strip()
    if _FLOAT.fullmatch(text):
        return check_timestamp(float(text))
    match = _ISO8601.fullmatch(text)
    try:
        if match is None:
            return check_timestamp((parsedate_to_datetime(text) - _EPOCH).total_seconds())
        year, month, day, hour, minute, second, fraction, offset = match.groups()
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
        seconds = float((moment - _EPOCH) // timedelta(seconds=1))
        if offset and offset not in "Zz":
            digits = offset[1:].replace(":", "")
            shift = int(digits[:2]) * 3600 + int(digits[2:]) * 60
            seconds += -shift if offset[0] == "+" else shift
        return check_timestamp(seconds + float(fraction or 0))
    except (ValueError, TypeError, OverflowError, IndexError):
        raise Unreadable(f"{_quote(text)} can not be converted to a Timestamp") from None


def check_timestamp(value: float) -> float:
    """`value`, if a date with a four-digit year exists for it. Raises Unreadable."""
    if not _EARLIEST <= value <= _LATEST:
        raise Unreadable("the timestamp is out of range")
    return float(value)


def _quote(text: str) -> str:
    return text if len(text) <= 64 else text[:64] + "..."


def epoch_number(value: float) -> int | float:
    """Epoch seconds as JSON carries them: whole where they are whole, else with milliseconds."""
    rounded = round(value, 3)
    whole = int(rounded)
    return whole if whole == rounded else rounded


def iso8601(value: float) -> str:
    """`2026-01-02T03:04:05Z`, with milliseconds where there are any."""
    milliseconds = round(value * 1000)
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds" if milliseconds % 1000 else "seconds")
    return f"{text}Z"


def http_date(value: float) -> str:
    """`Fri, 02 Jan 2026 03:04:05 GMT`."""
    return formatdate(math.floor(value), usegmt=True)


def epoch_text(value: float) -> str:
    """Epoch seconds as text."""
    return str(epoch_number(value))


def format_float(value: float) -> str:
    """A float with AWS's spelling of the special values."""
    special = special_float(value)
    return special if special is not None else str(value)


def special_float(value: float) -> str | None:
    """`NaN`, `Infinity`, `-Infinity`, or None for ordinary numbers."""
    if value != value:
        return "NaN"
    if value == math.inf:
        return "Infinity"
    if value == -math.inf:
        return "-Infinity"
    return None


def format_boolean(value: bool) -> str:
    """`true` or `false`."""
    return "true" if value else "false"


def to_bytes(value: bytes | bytearray | memoryview | str) -> bytes:
    """A blob as bytes; text is taken as UTF-8."""
    return value.encode() if isinstance(value, str) else bytes(value)


def format_base64(value: bytes | bytearray | memoryview | str) -> str:
    """A blob as base64 without line breaks."""
    return binascii.b2a_base64(to_bytes(value), newline=False).decode("ascii")


_TEXT_TIMESTAMPS: dict[str, Callable[[float], str]] = {
    "iso8601": iso8601,
    "rfc822": http_date,
    "unixtimestamp": epoch_text,
}


def timestamp_writer(timestamp_format: str | None, default: str) -> Callable[[float], str]:
    """How a timestamp becomes text where `timestampFormat` says so, else in the place's `default` format."""
    return _TEXT_TIMESTAMPS[(timestamp_format or default).lower()]


def text_parser(type_name: str) -> Callable[[str], Any] | None:
    """What turns a header, label, query or XML text into the value of a scalar; None where the text is the value."""
    return _TEXT_PARSERS[type_name]


def text_writer(type_name: str, timestamp_format: str | None, default_timestamp: str) -> Callable[[Any], str]:
    """What turns the value of a scalar into the text of a header or an XML element."""
    if type_name == "timestamp":
        return timestamp_writer(timestamp_format, default_timestamp)
    return _TEXT_WRITERS[type_name]


_TEXT_PARSERS: dict[str, Callable[[str], Any] | None] = {
    "string": None,
    "character": None,
    "integer": parse_integer,
    "long": parse_integer,
    "short": parse_integer,
    "bigint": parse_integer,
    "float": parse_float,
    "double": parse_float,
    "boolean": parse_boolean,
    "timestamp": parse_timestamp,
    "blob": parse_base64,
}

_TEXT_WRITERS: dict[str, Callable[[Any], str]] = {
    "string": str,
    "character": str,
    "integer": str,
    "long": str,
    "short": str,
    "bigint": str,
    "float": format_float,
    "double": format_float,
    "boolean": format_boolean,
    "blob": format_base64,
}
