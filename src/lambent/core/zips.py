"""Reading zip files that nobody vouches for.

Why not `zipfile`: it reads whole directories into memory before anything can be counted, decompresses with every
codec that it knows, and lets entries overlap. This reader knows the two methods that deployment packages use (stored,
deflate), streams, and checks every claim of a header against what is there.
"""

from __future__ import annotations

import bisect
import enum
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final


class ArchiveReason(enum.Enum):
    """Why an archive is refused."""

    NOT_A_ZIP = "not a zip file"
    DAMAGED = "damaged"  # truncated, wrong checksum, headers that contradict each other
    TOO_LARGE = "too large when unpacked"
    TOO_MANY_ENTRIES = "too many entries"
    UNSAFE = "unsafe"  # would write outside its folder, or something other than files, folders and links
    UNSUPPORTED = "unsupported"  # encrypted, split, or a compression other than deflate


class ArchiveError(Exception):
    """The archive is refused; nothing of it was kept."""

    def __init__(self, reason: ArchiveReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """One entry as the central directory tells it. `mode` is st_mode, 0 where the archive holds none (Windows)."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc32: int
    packed_bytes: int
    size_bytes: int
    mode: int
    offset: int

    @property
    def kind(self) -> int:
        """S_IFREG, S_IFDIR, S_IFLNK, or the odd type that the mode claims."""
        claimed = stat.S_IFMT(self.mode)
        if self.name.endswith("/"):
            return stat.S_IFDIR if claimed in (0, stat.S_IFDIR, stat.S_IFREG) else stat.S_IFSOCK
        return claimed or stat.S_IFREG


_END: Final = struct.Struct("<4s4H2LH")
_END64_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_MAX_COMMENT_BYTES: Final = 0xFFFF
_FULL_16: Final = 0xFFFF
_FULL_32: Final = 0xFFFFFFFF
_ENCRYPTED_FLAGS: Final = 1 << 0 | 1 << 6 | 1 << 13
_PATCH_FLAG: Final = 1 << 5
_UTF8_FLAG: Final = 1 << 11
_STORED: Final = 0
_DEFLATED: Final = 8
_CHUNK_BYTES: Final = 256 * 1024


class ZipReader:
    """The entries of `file` and their bytes. Blocking; for one thread at a time."""

    def __init__(self, file: BinaryIO, *, max_entries: int) -> None:
        """Reads the directory. Raises ArchiveError."""
        self._file = file
        self._size_bytes = file.seek(0, 2)
        start, end, shift = self._find_directory()
        self._directory = start
        self.entries = tuple(self._read_directory(start, end, shift, max_entries))
        self._offsets = sorted(entry.offset for entry in self.entries)
        for earlier, later in zip(self._offsets, self._offsets[1:], strict=False):
            if earlier == later:
                raise ArchiveError(ArchiveReason.UNSAFE, "entries overlap")

    def chunks(self, entry: ZipEntry) -> Iterator[bytes]:
        """The entry's bytes in pieces of bounded size. Raises ArchiveError, at the latest after the last piece."""
        produced, crc32 = 0, 0
        packed = self._packed(entry)
        for chunk in packed if entry.method == _STORED else _inflate(packed, entry.name):
            produced += len(chunk)
            if produced > entry.size_bytes:
                raise _damaged(f"{entry.name!r} is longer than it says")
            crc32 = zlib.crc32(chunk, crc32)
            yield chunk
        if produced != entry.size_bytes:
            raise _damaged(f"{entry.name!r} is shorter than it says")
        if crc32 != entry.crc32:
            raise _damaged(f"{entry.name!r} has a wrong checksum")

    def _read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise _damaged("truncated")
        return data

    def _find_directory(self) -> tuple[int, int, int]:
        """Where the central directory starts and ends, and by how much its offsets are off (a prepended stub)."""
        if self._size_bytes < _END.size:
            raise ArchiveError(ArchiveReason.NOT_A_ZIP, "no zip directory found")
        tail_offset = max(0, self._size_bytes - _END.size - _MAX_COMMENT_BYTES)
        tail = self._read(tail_offset, self._size_bytes - tail_offset)
        found = tail.rfind(b"PK\5\6", 0, len(tail) - _END.size + 4)
        if found < 0:
            head = self._read(0, 4)
            if head == b"PK\3\4":
                raise _damaged("truncated: it has no directory")
            raise ArchiveError(ArchiveReason.NOT_A_ZIP, "no zip directory found")
        end = tail_offset + found
        _, disk, first_disk, _, _, size, offset, _ = _END.unpack_from(tail, found)
        end, disk, first_disk, size, offset = self._find_directory64(end, (disk, first_disk, size, offset))
        if disk or first_disk:
            raise ArchiveError(ArchiveReason.UNSUPPORTED, "split over several files")
        start = end - size
        if start < 0 or offset > start:
            raise _damaged("its directory is not where it says")
        return start, end, start - offset

    def _find_directory64(self, end: int, plain: tuple[int, int, int, int]) -> tuple[int, int, int, int, int]:
        """The same from the zip64 record, which stands before the plain one where the archive has any."""
        at = end - _END64_LOCATOR.size
        if at < _END64.size or self._read(at, 4) != b"PK\6\7":
            return (end, *plain)
        at -= _END64.size
        signature, _, _, _, disk, first_disk, _, _, size, offset = _END64.unpack(self._read(at, _END64.size))
        if signature != b"PK\6\6":
            raise _damaged("its directory is not where it says")
        return at, disk, first_disk, size, offset

    def _read_directory(self, start: int, end: int, shift: int, max_entries: int) -> Iterator[ZipEntry]:
        at, count = start, 0
        while at < end:
            count += 1
            if count > max_entries:
                raise ArchiveError(ArchiveReason.TOO_MANY_ENTRIES, f"more than {max_entries} entries")
            if end - at < _CENTRAL.size:
                raise _damaged("its directory is cut off")
            fields = _CENTRAL.unpack(self._read(at, _CENTRAL.size))
            if fields[0] != b"PK\1\2":
                raise _damaged("its directory holds something else")
            name_bytes, extra_bytes, comment_bytes = fields[10:13]
            at += _CENTRAL.size
            variable = self._read(at, name_bytes + extra_bytes)
            at += name_bytes + extra_bytes + comment_bytes
            if at > end:
                raise _damaged("its directory is cut off")
            yield self._entry(fields, variable[:name_bytes], variable[name_bytes:], shift)

    def _entry(self, fields: tuple[int, ...], raw_name: bytes, extra: bytes, shift: int) -> ZipEntry:
        flags, method, crc32 = fields[3], fields[4], fields[7]
        packed, size, disk, attributes, offset = fields[8], fields[9], fields[13], fields[15], fields[16]
        size, packed, offset = _widen(extra, size, packed, offset)
        name = _decode(raw_name, flags)
        if flags & _ENCRYPTED_FLAGS:
            raise ArchiveError(ArchiveReason.UNSUPPORTED, f"{name!r} is encrypted")
        if flags & _PATCH_FLAG or disk not in (0, _FULL_16) or method not in (_STORED, _DEFLATED):
            raise ArchiveError(ArchiveReason.UNSUPPORTED, f"{name!r} is neither stored nor deflated (method {method})")
        if method == _STORED and packed != size:
            raise _damaged(f"{name!r} has two sizes")
        return ZipEntry(
            name=name,
            raw_name=raw_name,
            flags=flags,
            method=method,
            crc32=crc32,
            packed_bytes=packed,
            size_bytes=size,
            mode=attributes >> 16,
            offset=offset + shift,
        )

    def _packed(self, entry: ZipEntry) -> Iterator[bytes]:
        """The entry's bytes as stored, which must lie between its own header and the next entry's."""
        if entry.offset + _LOCAL.size > self._directory:
            raise _damaged(f"{entry.name!r} is not where the directory says")
        signature, *_, name_bytes, extra_bytes = _LOCAL.unpack(self._read(entry.offset, _LOCAL.size))
        at = entry.offset + _LOCAL.size
        if signature != b"PK\3\4" or self._read(at, name_bytes) != entry.raw_name:
            raise _damaged(f"{entry.name!r} is not where the directory says")
        at += name_bytes + extra_bytes
        following = bisect.bisect_right(self._offsets, entry.offset)
        limit = self._offsets[following] if following < len(self._offsets) else self._directory
        if at + entry.packed_bytes > limit:
            raise ArchiveError(ArchiveReason.UNSAFE, f"{entry.name!r} overlaps with what follows")
        end = at + entry.packed_bytes
        while at < end:
            chunk = self._read(at, min(_CHUNK_BYTES, end - at))
            at += len(chunk)
            yield chunk


def _inflate(packed: Iterator[bytes], name: str) -> Iterator[bytes]:
    inflator = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for chunk in packed:
            while chunk and not inflator.eof:
                # The bound is what makes a bomb harmless: one call never yields more than this.
                yield inflator.decompress(chunk, _CHUNK_BYTES)
                chunk = inflator.unconsumed_tail
            if inflator.eof and (chunk or inflator.unused_data):
                raise _damaged(f"{name!r} goes on after its end")
        while not inflator.eof:
            # All input is taken, but output that did not fit into the bound may be left.
            produced = inflator.decompress(b"", _CHUNK_BYTES)
            if not produced and not inflator.eof:
                raise _damaged(f"{name!r} is cut off")
            yield produced
    except zlib.error as error:
        raise _damaged(f"{name!r} cannot be decompressed") from error


def _widen(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The 64-bit values of the fields that are all ones, from the zip64 extra field."""
    values = [size, packed, offset]
    missing = [index for index, value in enumerate(values) if value == _FULL_32]
    while missing and len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            if length < 8 * len(missing) or len(extra) < 4 + length:
                raise _damaged("a zip64 field is cut off")
            for index, value in zip(missing, struct.unpack_from(f"<{len(missing)}Q", extra, 4), strict=True):
                values[index] = value
            break
        extra = extra[4 + length :]
    return values[0], values[1], values[2]


def _decode(raw_name: bytes, flags: int) -> str:
    try:
        # Without the flag it should be code page 437; in truth zips made on Linux and macOS hold UTF-8 all the same.
        return raw_name.decode("utf-8")
    except UnicodeDecodeError as error:
        if flags & _UTF8_FLAG:
            raise ArchiveError(ArchiveReason.UNSAFE, "a name is not UTF-8") from error
        return raw_name.decode("cp437")


def _damaged(detail: str) -> ArchiveError:
    return ArchiveError(ArchiveReason.DAMAGED, detail)
