"""Which of many value patterns accept a value, found without asking each.

Every index is a dictionary of what accepting values have in common: a whole text, its first or last characters, the
first bits of a number or of an address. A look-up costs as many probes as there are distinct *lengths* of such keys, so
it does not grow with the number of patterns. Where a key says only "perhaps" (a piece of a wildcard, the bits of a
range), the pattern itself decides. Patterns come and go one by one, at the same cost however many there are.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

from lambent.core.event_patterns.values import (
    AnythingBut,
    Cidr,
    EqualsIgnoreCase,
    Exists,
    Prefix,
    Range,
    Suffix,
    ValuePattern,
    Wildcard,
    fold,
    ip_address,
)

T = TypeVar("T", bound=Hashable)


class Index(Protocol[T]):
    """Patterns of some operators, each with the targets it leads to."""

    def add(self, pattern: ValuePattern, target: T) -> None: ...

    def remove(self, pattern: ValuePattern, target: T) -> None: ...

    def collect(self, value: Any, into: list[T]) -> None:
        """Append the targets of the patterns that accept the value."""

    def __len__(self) -> int: ...


class Keyed(Generic[T]):
    """Targets by key, with the keys grouped by a size (a text's length, a number of bits)."""

    __slots__ = ("_count", "sizes")

    def __init__(self) -> None:
        self.sizes: dict[int, dict[Any, dict[T, None]]] = {}
        self._count = 0

    def add(self, size: int, key: Any, target: T) -> None:
        self.sizes.setdefault(size, {}).setdefault(key, {})[target] = None
        self._count += 1

    def remove(self, size: int, key: Any, target: T) -> None:
        keys = self.sizes[size]
        del keys[key][target]
        self._count -= 1
        if not keys[key]:
            del keys[key]
            if not keys:
                del self.sizes[size]

    def __len__(self) -> int:
        return self._count


class Affixes(Generic[T]):
    """Prefixes, suffixes and whole texts, with case or without."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        self._tables: dict[tuple[str, bool], Keyed[T]] = {}  # (which end, ignoring case)

    @staticmethod
    def _place(pattern: ValuePattern) -> tuple[tuple[str, bool], str]:
        if isinstance(pattern, Prefix):
            return ("prefix", pattern.ignore_case), pattern.text
        if isinstance(pattern, Suffix):
            return ("suffix", pattern.ignore_case), pattern.text
        assert isinstance(pattern, EqualsIgnoreCase)
        return ("whole", True), pattern.folded

    def add(self, pattern: ValuePattern, target: T) -> None:
        kind, text = self._place(pattern)
        self._tables.setdefault(kind, Keyed()).add(len(text), text, target)

    def remove(self, pattern: ValuePattern, target: T) -> None:
        kind, text = self._place(pattern)
        self._tables[kind].remove(len(text), text, target)
        if not len(self._tables[kind]):
            del self._tables[kind]

    def collect(self, value: Any, into: list[T]) -> None:
        if type(value) is not str:
            return
        for (end, ignore_case), table in self._tables.items():
            text = fold(value) if ignore_case else value
            length = len(text)
            if end == "whole":
                into.extend(table.sizes.get(length, {}).get(text, ()))
                continue
            for size, keys in table.sizes.items():
                if size <= length:
                    key = text[:size] if end == "prefix" else text[length - size :]
                    found = keys.get(key)
                    if found:
                        into.extend(found)

    def __len__(self) -> int:
        return len(self._tables)


class Wildcards(Generic[T]):
    """Wildcards by their longest literal: at the text's start, at its end, or as a run of characters anywhere in it."""

    __slots__ = ("_first", "_inner", "_last")

    _RUNS: Final = (32, 16, 8, 4, 2, 1)  # lengths of a run; few, since each costs a probe at every character

    def __init__(self) -> None:
        self._first: Keyed[tuple[ValuePattern, T]] = Keyed()
        self._last: Keyed[tuple[ValuePattern, T]] = Keyed()
        self._inner: Keyed[tuple[ValuePattern, T]] = Keyed()

    def _place(self, pattern: ValuePattern) -> tuple[Keyed[tuple[ValuePattern, T]], str]:
        assert isinstance(pattern, Wildcard)
        first, last = pattern.parts[0], pattern.parts[-1]
        inner = max(pattern.parts[1:-1], key=len, default="")
        if len(inner) > max(len(first), len(last)):
            # What tells wildcards apart more often stands at the end of a part, as in "/orders/1234".
            return self._inner, inner[-next(size for size in self._RUNS if size <= len(inner)) :]
        return (self._first, first) if len(first) >= len(last) else (self._last, last)

    def add(self, pattern: ValuePattern, target: T) -> None:
        table, key = self._place(pattern)
        table.add(len(key), key, (pattern, target))

    def remove(self, pattern: ValuePattern, target: T) -> None:
        table, key = self._place(pattern)
        table.remove(len(key), key, (pattern, target))

    def collect(self, value: Any, into: list[T]) -> None:
        if type(value) is str:
            into.extend([target for pattern, target in self._candidates(value) if pattern.accepts(value)])

    def _candidates(self, value: str) -> Iterator[tuple[ValuePattern, T]]:
        length = len(value)
        for size, keys in self._first.sizes.items():
            yield from keys.get(value[:size], ())
        for size, keys in self._last.sizes.items():
            if size <= length:
                yield from keys.get(value[length - size :], ())
        for size, keys in self._inner.sizes.items():
            # Cutting costs about 0.1 us a character, searching for a key 0.05 us and little more on a long text.
            if len(keys) < min(2 * length, 300):
                for run in keys:
                    if run in value:
                        yield from keys[run]
            else:
                for run in {value[at : at + size] for at in range(length - size + 1)}:
                    yield from keys.get(run, ())

    def __len__(self) -> int:
        return len(self._first) + len(self._last) + len(self._inner)


class Ranges(Generic[T]):
    """Ranges of numbers, each cut into blocks that share the first bits of an order-preserving code of 64 bits.

    The blocks are at least 2**16 codes wide, so that a range has few of them (a number of up to 36 significant bits
    still has its own); which numbers of an outermost block are in the range, the range decides. Fewer ranges than
    there are widths of blocks are asked one by one.
    """

    __slots__ = ("_all", "_blocks")

    _FINEST: Final = 16

    def __init__(self) -> None:
        self._all: dict[tuple[ValuePattern, T], None] = {}
        self._blocks: Keyed[tuple[ValuePattern, T]] = Keyed()

    def _cover(self, pattern: ValuePattern) -> Iterator[tuple[int, int]]:
        """(bits dropped, the bits kept) of the largest blocks that together cover the range."""
        assert isinstance(pattern, Range)
        low, high = _ordered(pattern.low) >> self._FINEST, _ordered(pattern.high) >> self._FINEST
        shift = self._FINEST
        while low <= high:
            if low & 1 or low == high:
                yield shift, low
                low += 1
            if not high & 1 and low <= high:
                yield shift, high
                high -= 1
            low, high, shift = low >> 1, high >> 1, shift + 1

    def add(self, pattern: ValuePattern, target: T) -> None:
        self._all[pattern, target] = None
        for shift, block in self._cover(pattern):
            self._blocks.add(shift, block, (pattern, target))

    def remove(self, pattern: ValuePattern, target: T) -> None:
        del self._all[pattern, target]
        for shift, block in self._cover(pattern):
            self._blocks.remove(shift, block, (pattern, target))

    def collect(self, value: Any, into: list[T]) -> None:
        if type(value) is not int and type(value) is not float:
            return
        if len(self._all) < len(self._blocks.sizes):
            into.extend([target for pattern, target in self._all if pattern.accepts(value)])
            return
        code = _ordered(value)
        for shift, blocks in self._blocks.sizes.items():
            found = blocks.get(code >> shift)
            if found:
                into.extend([target for pattern, target in found if pattern.accepts(value)])

    def __len__(self) -> int:
        return len(self._all)


def _ordered(value: float) -> int:
    """64 bits that are ordered as the numbers are."""
    try:
        double = float(value)
    except OverflowError:
        double = float("inf") if value > 0 else float("-inf")
    (bits,) = struct.unpack("<Q", struct.pack("<d", double + 0.0))  # -0.0 + 0.0 is 0.0
    return int(bits ^ (0xFFFF_FFFF_FFFF_FFFF if bits >> 63 else 1 << 63))


class Cidrs(Generic[T]):
    """Blocks of addresses by the bits that their addresses share."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: Keyed[tuple[ValuePattern, T]] = Keyed()

    @staticmethod
    def _place(pattern: ValuePattern) -> tuple[int, tuple[int, int]]:
        assert isinstance(pattern, Cidr)
        drop = (32 if pattern.version == 4 else 128) - pattern.mask_bits
        return drop, (pattern.version, pattern.low >> drop)

    def add(self, pattern: ValuePattern, target: T) -> None:
        self._blocks.add(*self._place(pattern), (pattern, target))

    def remove(self, pattern: ValuePattern, target: T) -> None:
        self._blocks.remove(*self._place(pattern), (pattern, target))

    def collect(self, value: Any, into: list[T]) -> None:
        address = ip_address(value) if type(value) is str else None
        if address is None:
            return
        version, bits = address
        for drop, blocks in self._blocks.sizes.items():
            for pattern, target in blocks.get((version, bits >> drop), ()):
                if pattern.accepts(value):
                    into.append(target)

    def __len__(self) -> int:
        return len(self._blocks)


class Others(Generic[T]):
    """Patterns that accept nearly every value (anything-but, exists): asking costs little beside what they lead to."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[tuple[ValuePattern, T], None] = {}

    def add(self, pattern: ValuePattern, target: T) -> None:
        self._entries[pattern, target] = None

    def remove(self, pattern: ValuePattern, target: T) -> None:
        del self._entries[pattern, target]

    def collect(self, value: Any, into: list[T]) -> None:
        for pattern, target in self._entries:
            if pattern.accepts(value):
                into.append(target)

    def __len__(self) -> int:
        return len(self._entries)


INDEX_OF: Final[dict[type, type[Index[Any]]]] = {
    Prefix: Affixes,
    Suffix: Affixes,
    EqualsIgnoreCase: Affixes,
    Wildcard: Wildcards,
    Range: Ranges,
    Cidr: Cidrs,
    AnythingBut: Others,
    Exists: Others,
}
