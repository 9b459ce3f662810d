"""Large bodies in files of their own, beside the database.

A file is written and synced, and its name with it, before the message that refers to it is stored; it is removed after
the message's removal is durable. What a crash leaves between the two is found at the next start.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from lambent.core import ids
from lambent.storage import files
from lambent.storage.database import Database, Transaction

_STEP: Final = 200


class Bodies:
    """The files in `folder`, which is created. Blocking."""

    def __init__(self, folder: Path, *, min_bytes: int, new_name: ids.IdSource = ids.new_hex) -> None:
        files.make_directory(folder)
        self.path = folder
        self._removing = asyncio.Lock()  # held by a backup too, so that what it copies stays
        self._new_name = new_name
        self.min_bytes = min_bytes
        # What an earlier process left: any of it may have lost its message.
        self._left = [entry.name for entry in os.scandir(folder)]

    async def write(self, bodies: Sequence[bytes]) -> list[str]:
        """Store bodies durably; their names. Raises StorageError."""
        names = [self._new_name() for _ in bodies]
        try:
            await files.on_thread(self._write, names, bodies)
        except BaseException:
            await self.remove(names)
            raise
        return names

    async def read(self, name: str) -> bytes | None:
        """The body, or None when its message was deleted meanwhile. Raises StorageError."""
        return await files.on_thread(self._read, name)

    async def remove(self, names: Sequence[str]) -> None:
        """Remove files. What cannot be removed now is found at the next start."""
        async with self._removing:
            await asyncio.to_thread(self._remove, names)

    @asynccontextmanager
    async def undisturbed(self) -> AsyncIterator[None]:
        """Every file stays while the block runs; others may come."""
        async with self._removing:
            yield

    async def collect(self, database: Database) -> int:
        """Remove files of an earlier process that no message refers to; how many."""
        removed = 0
        left, self._left = self._left, []
        for start in range(0, len(left), _STEP):
            names = left[start : start + _STEP]
            unneeded = await database.read(lambda tx, names=names: without_message(tx, names))  # type: ignore[misc]
            await self.remove(unneeded)
            removed += len(unneeded)
        return removed

    def _write(self, names: Sequence[str], bodies: Sequence[bytes]) -> None:
        for name, body in zip(names, bodies, strict=True):
            descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                files.write_all(descriptor, body)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        files.sync_directory(self.path)

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                os.unlink(self.path / name)
            except OSError:
                continue


def without_message(tx: Transaction, names: Sequence[str]) -> list[str]:
    """Those of the files that no message refers to."""
    return [name for name in names if tx.one("SELECT 1 FROM queueing_bodies WHERE file = ?", (name,)) is None]
