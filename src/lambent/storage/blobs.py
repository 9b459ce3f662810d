"""Immutable bytes by their SHA-256: code packages, layers, later objects.

A blob is written to a file of its own, synced, renamed into place, and its directory synced: what `put` returned is
there after a power cut, and what is there is whole. All file work runs on threads.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lambent.core import ids
from lambent.storage import files

_CHUNK_BYTES: Final = 1024 * 1024
_INCOMING: Final = "incoming"
_SHA256_DIGITS: Final = 64


class QuotaExceeded(Exception):
    """The blob does not fit into what the store may hold."""

    def __init__(self, quota_bytes: int) -> None:
        super().__init__(f"the quota of {quota_bytes} bytes is used up")
        self.quota_bytes = quota_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A stored blob: hex SHA-256 and size."""

    sha256: str
    size_bytes: int


class BlobStore:
    """The blobs below `root`, at most `quota_bytes` together. For one process at a time."""

    def __init__(self, root: Path, quota_bytes: int, *, new_name: ids.IdSource = ids.new_hex) -> None:
        """Creates `root`, removes what an earlier process left half written, and takes stock. Blocking."""
        self._root = root
        self._quota_bytes = quota_bytes
        self._new_name = new_name
        self._arriving_bytes = 0
        self._placing = asyncio.Lock()  # keeps a deletion from hitting the same blob's next arrival
        self._deleting = asyncio.Lock()  # held by a backup too, so that what it copies stays
        files.make_directory(root / _INCOMING)
        for leftover in (root / _INCOMING).iterdir():
            leftover.unlink()
        self._sizes: dict[str, int] = dict(_stock(root))
        self._stored_bytes = sum(self._sizes.values())
        self._unneeded: set[str] = set(self._sizes)

    @property
    def usage_bytes(self) -> int:
        """What is stored and what is arriving."""
        return self._stored_bytes + self._arriving_bytes

    @property
    def quota_bytes(self) -> int:
        return self._quota_bytes

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._sizes

    def size_bytes(self, sha256: str) -> int:
        """Raises KeyError when there is no such blob."""
        return self._sizes[sha256]

    def path(self, sha256: str) -> Path:
        """The blob's file, to be read only. Raises KeyError when there is no such blob."""
        if sha256 not in self._sizes:
            raise KeyError(sha256)
        return self._place_of(sha256)

    def all(self) -> frozenset[str]:
        """The hex SHA-256 of every blob."""
        return frozenset(self._sizes)

    def paths(self) -> list[Path]:
        """The files of all blobs."""
        return [self._place_of(sha256) for sha256 in self._sizes]

    async def put(self, data: bytes | AsyncIterator[bytes]) -> Blob:
        """Store `data`; once this returns it is durable. Storing the same bytes again costs no space.

        Raises QuotaExceeded, StorageError, and what `data` raises; nothing is kept then.
        """
        arrival = _Arrival(self._root / _INCOMING / self._new_name())
        try:
            if isinstance(data, bytes):
                sha256 = (await files.on_thread(hashlib.sha256, data)).hexdigest()
                if sha256 in self._sizes:
                    self._unneeded.discard(sha256)
                    return Blob(sha256=sha256, size_bytes=len(data))
                await self._take(arrival, data)
            else:
                async for chunk in _gathered(data):
                    await self._take(arrival, chunk)
            await files.on_thread(arrival.finish)
            return await self._keep(arrival)
        finally:
            self._arriving_bytes -= arrival.size_bytes
            await files.on_thread(arrival.discard)

    async def _take(self, arrival: _Arrival, chunk: bytes) -> None:
        if self.usage_bytes + len(chunk) > self._quota_bytes:
            raise QuotaExceeded(self._quota_bytes)
        self._arriving_bytes += len(chunk)
        arrival.size_bytes += len(chunk)
        await files.on_thread(arrival.append, chunk)

    async def _keep(self, arrival: _Arrival) -> Blob:
        blob = Blob(sha256=arrival.digest.hexdigest(), size_bytes=arrival.size_bytes)
        async with self._placing:
            if blob.sha256 not in self._sizes:
                try:
                    await files.on_thread(arrival.place, self._place_of(blob.sha256))
                finally:
                    if arrival.placed:  # even when we were cancelled meanwhile
                        self._sizes[blob.sha256] = blob.size_bytes
                        self._stored_bytes += blob.size_bytes
            self._unneeded.discard(blob.sha256)
        return blob

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        """The blob's bytes in pieces. Raises KeyError when there is no such blob."""
        return _pieces(self.path(sha256))

    async def delete(self, sha256: str) -> None:
        """Remove the blob, if it is there. Only for what nobody else can have put; `collect` is for the rest."""
        async with self._deleting, self._placing:
            size_bytes = self._sizes.pop(sha256, None)
            if size_bytes is not None:
                await files.on_thread(self._place_of(sha256).unlink, missing_ok=True)
                self._stored_bytes -= size_bytes
                self._unneeded.discard(sha256)

    async def collect(self, keep: Set[str]) -> int:
        """Remove blobs that are not in `keep`, the references as they were stored a moment ago; the bytes freed.

        A blob goes only when two collections in a row find it unneeded and nobody put it in between: one that was put
        and whose reference is about to be stored is safe. What was there when the store was opened goes at once.
        """
        freed_bytes = 0
        for sha256 in self._unneeded - keep:
            if sha256 in self._unneeded and sha256 in self._sizes:  # not put again while others were removed
                freed_bytes += self._sizes[sha256]
                await self.delete(sha256)
        self._unneeded = set(self._sizes) - keep
        return freed_bytes

    @asynccontextmanager
    async def undisturbed(self) -> AsyncIterator[None]:
        """Every blob stays while the block runs; others may come."""
        async with self._deleting:
            yield

    def _place_of(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256


class _Arrival:
    """A blob being written. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.size_bytes = 0
        self.placed = False
        self.digest = hashlib.sha256()
        self._path = path
        self._descriptor: int | None = None

    def append(self, chunk: bytes) -> None:
        files.write_all(self._open(), chunk)
        self.digest.update(chunk)

    def finish(self) -> None:
        os.fsync(self._open())

    def place(self, target: Path) -> None:
        files.make_directory(target.parent)
        os.rename(self._path, target)
        self.placed = True
        files.sync_directory(target.parent)

    def discard(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._path.unlink(missing_ok=True)

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return self._descriptor


def _stock(root: Path) -> Iterator[tuple[str, int]]:
    with os.scandir(root) as prefixes:
        for prefix in prefixes:
            if len(prefix.name) == 2 and prefix.is_dir():
                with os.scandir(prefix) as entries:
                    for entry in entries:
                        if len(entry.name) == _SHA256_DIGITS:
                            yield entry.name, entry.stat().st_size


async def _gathered(data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Larger chunks from small ones: one hop to a thread for each."""
    buffer = bytearray()
    async for chunk in data:
        buffer += chunk
        if len(buffer) >= _CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    file = await files.on_thread(path.open, "rb", 0)
    try:
        while chunk := await files.on_thread(file.read, _CHUNK_BYTES):
            yield chunk
    finally:
        file.close()
