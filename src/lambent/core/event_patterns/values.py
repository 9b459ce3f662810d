"""What a value in an event may be compared with: one class for each operator.

All are hashable and equal by content, since the automaton shares what is equal. `accepts` is the definition of each
operator; the indexes in `indexes` find the accepting ones among many without asking each.
EventBridge user guide, "Comparison operators for use in event patterns".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final, Protocol

_LARGEST_EXACT: Final = 2**53
_V4: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)\.(\d+)", re.ASCII)
_V6: Final = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")


class ValuePattern(Protocol):
    """One alternative of a field."""

    def accepts(self, value: Any) -> bool:
        """Whether a leaf of an event (string, number, true, false, null) satisfies the pattern."""


def is_number(value: Any) -> bool:
    """JSON's numbers; Python takes true and false for integers."""
    return type(value) is float or type(value) is int


def number(value: float) -> float:
    """300, 300.0 and 3.0e2 are one number: that of IEEE 754. An integer beyond its range stands for itself."""
    if type(value) is int and abs(value) > _LARGEST_EXACT:
        try:
            return float(value)
        except OverflowError:
            return value
    return value


def fold(text: str) -> str:
    """What equals-ignore-case compares: letter by letter in lower case, whatever stands beside the letter."""
    return text.lower() if text.isascii() else "".join([letter.lower() for letter in text])


@dataclass(frozen=True, slots=True)
class ExactString:
    text: str

    def accepts(self, value: Any) -> bool:
        return type(value) is str and value == self.text


@dataclass(frozen=True, slots=True)
class ExactNumber:
    number: float

    def accepts(self, value: Any) -> bool:
        return is_number(value) and number(value) == self.number


@dataclass(frozen=True, slots=True)
class ExactLiteral:
    """true, false or null."""

    literal: bool | None

    def accepts(self, value: Any) -> bool:
        return value is self.literal


@dataclass(frozen=True, slots=True)
class Prefix:
    text: str
    ignore_case: bool = False  # the text is folded

    def accepts(self, value: Any) -> bool:
        return type(value) is str and (fold(value) if self.ignore_case else value).startswith(self.text)


@dataclass(frozen=True, slots=True)
class Suffix:
    text: str
    ignore_case: bool = False  # the text is folded

    def accepts(self, value: Any) -> bool:
        return type(value) is str and (fold(value) if self.ignore_case else value).endswith(self.text)


@dataclass(frozen=True, slots=True)
class EqualsIgnoreCase:
    folded: str

    def accepts(self, value: Any) -> bool:
        return type(value) is str and fold(value) == self.folded


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`parts` are the literals between the asterisks: at least two, unless there is no asterisk."""

    parts: tuple[str, ...]

    def accepts(self, value: Any) -> bool:
        """Each inner part is taken at its first place: if any choice of places fits, this one does."""
        if type(value) is not str:
            return False
        parts = self.parts
        if len(parts) == 1:
            return value == parts[0]
        first, last = parts[0], parts[-1]
        at, end = len(first), len(value) - len(last)
        if end < at or not value.startswith(first) or not value.endswith(last):
            return False
        for part in parts[1:-1]:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers between two bounds; infinity where there is none."""

    low: float
    low_open: bool
    high: float
    high_open: bool

    def accepts(self, value: Any) -> bool:
        if not is_number(value):
            return False
        exact = number(value)
        above = exact > self.low if self.low_open else exact >= self.low
        return above and (exact < self.high if self.high_open else exact <= self.high)


@dataclass(frozen=True, slots=True)
class Cidr:
    """Addresses from the one that was written to the end of its block."""

    version: int
    low: int
    high: int
    mask_bits: int

    def accepts(self, value: Any) -> bool:
        address = ip_address(value) if type(value) is str else None
        return address is not None and address[0] == self.version and self.low <= address[1] <= self.high


@dataclass(frozen=True, slots=True)
class Exists:
    """`exists: true`: any leaf. `exists: false` is satisfied by no value, but by there being none."""

    wanted: bool

    def accepts(self, value: Any) -> bool:
        return self.wanted


@dataclass(frozen=True, slots=True)
class AnythingBut:
    """Every present value that is not refused, null and values of other types included.

    Refused are either values (all strings or all numbers) or what one of the patterns accepts.
    """

    values: frozenset[str] | frozenset[float]
    patterns: frozenset[ValuePattern] = frozenset()

    def accepts(self, value: Any) -> bool:
        if type(value) is str:
            return value not in self.values and not any(pattern.accepts(value) for pattern in self.patterns)
        return not (is_number(value) and number(value) in self.values)


ABSENT: Final = Exists(False)


def looks_like_ip(text: str) -> bool:
    """Whether AWS tries to read the text as an address."""
    return _V4.fullmatch(text) is not None or _V6.fullmatch(text) is not None


def ip_address(text: str) -> tuple[int, int] | None:
    """Version and number of an address, None for other texts. Octets may have leading zeros and are decimal."""
    if found := _V4.fullmatch(text):
        octets = [int(octet) if len(octet) < 10 else 256 for octet in found.groups()]
        return (4, int.from_bytes(bytes(octets))) if max(octets) < 256 else None
    if len(text) > 45 or _V6.fullmatch(text) is None:
        return None
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return None
    return (6, int(address)) if address.ipv4_mapped is None else (4, int(address.ipv4_mapped))
