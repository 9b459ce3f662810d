"""Unpacked code packages: one folder for each content hash, however many environments use it.

Folders are a cache of the blobs. They are not synced, so after a power cut one may be there and yet lack content: a
marker tells the boot in which they were made, and a later boot discards them all. Within one boot, the rename that
comes last says that a folder is whole.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Set
from pathlib import Path
from typing import Final

import msgspec

from lambent.core import archives, ids, limits
from lambent.storage import blobs, files

BOOT_MARKER: Final = "boot-id"
_UNFINISHED: Final = "unfinished-"
_DISCARDED: Final = "discarded-"
_CODE: Final = "code"
_SUMMARY: Final = "summary.json"
_AT_ONCE: Final = 2  # packages being unpacked; the threads are everybody's


class CodeStore:
    """A `sandbox.protocol.CodeSource` over a blob store. `root` holds nothing else."""

    def __init__(
        self,
        packages: blobs.BlobStore,
        root: Path,
        *,
        max_bytes: int = limits.LAMBDA_UNZIPPED_BYTES,
        boot_id: str | None = None,
        new_name: ids.IdSource = ids.new_hex,
    ) -> None:
        """Creates `root`. Folders of an earlier boot are put aside; `collect` removes them. Blocking.

        `max_bytes` bounds one package when unpacked; `boot_id` is for tests.
        """
        self._packages = packages
        self._root = root
        self._max_bytes = max_bytes
        self._new_name = new_name
        self._ready: dict[str, archives.ExtractedArchive] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._under_way: dict[str, asyncio.Task[archives.ExtractedArchive]] = {}
        root.mkdir(parents=True, exist_ok=True)
        boot_id = boot_id or _boot_id() or new_name()  # an unknown boot is never the same again
        marker = root / BOOT_MARKER
        same_boot = marker.exists() and marker.read_text("ascii", "replace") == boot_id
        for path in list(root.iterdir()):
            if path.is_dir() and not path.name.startswith(_DISCARDED):
                if same_boot and not path.name.startswith(_UNFINISHED):
                    continue
                path.rename(root / (_DISCARDED + new_name()))
        marker.write_text(boot_id, "ascii")

    async def folder(self, sha256: str) -> Path:
        """The read-only folder with the unpacked package.

        Raises as `check_and_unpack` does.
        """
        place = self._root / sha256 / _CODE
        # A function that runs as our user can remove its own code: it must not be gone for all who come after.
        if sha256 not in self._ready or not place.is_dir():
            self._ready.pop(sha256, None)
            await self.check_and_unpack(sha256)
        return place

    async def check_and_unpack(self, sha256: str) -> archives.ExtractedArchive:
        """Unpack the package unless it is already; its unpacked size.

        Raises KeyError when there is no such blob, ArchiveError when it is not a zip that can be unpacked safely within
        the limits, and StorageError when the disk fails.
        """
        known = self._ready.get(sha256)
        if known is not None:
            return known
        task = self._under_way.get(sha256)
        if task is None:
            package = self._packages.path(sha256)
            task = asyncio.create_task(self._in_turn(sha256, package), name=f"unpack {sha256[:12]}")
            self._under_way[sha256] = task
            task.add_done_callback(lambda done: self._unpacked(sha256, done))
        # Shielded: others may wait for it too, and a thread cannot be cancelled anyway.
        return await asyncio.shield(task)

    async def collect(self, keep: Set[str]) -> None:
        """Remove the folders of packages that are not in `keep` (which must name all that environments use)."""
        for sha256 in [sha256 for sha256 in await files.on_thread(self._present) if sha256 not in keep]:
            if sha256 not in self._under_way:
                self._ready.pop(sha256, None)
                (self._root / sha256).rename(self._root / (_DISCARDED + self._new_name()))
        await files.on_thread(self._sweep)

    async def close(self) -> None:
        """Wait for what is being unpacked."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _in_turn(self, sha256: str, package: Path) -> archives.ExtractedArchive:
        async with self._turns:
            return await files.on_thread(self._unpack, sha256, package)

    def _unpacked(self, sha256: str, task: asyncio.Task[archives.ExtractedArchive]) -> None:
        del self._under_way[sha256]
        if not task.cancelled() and task.exception() is None:
            self._ready[sha256] = task.result()

    # On threads

    def _unpack(self, sha256: str, package: Path) -> archives.ExtractedArchive:
        place = self._root / sha256
        try:
            if (place / _CODE).is_dir():
                return msgspec.json.decode((place / _SUMMARY).read_bytes(), type=archives.ExtractedArchive)
            place.rename(self._root / (_DISCARDED + self._new_name()))
        except FileNotFoundError:
            pass
        unfinished = self._root / (_UNFINISHED + self._new_name())
        code = unfinished / _CODE
        try:
            code.mkdir(parents=True)
            os.chmod(unfinished, 0o755)  # whatever the umask: environments run as another user
            os.chmod(code, 0o755)
            summary = archives.extract(package, code, max_bytes=self._max_bytes)
            (unfinished / _SUMMARY).write_bytes(msgspec.json.encode(summary))
            unfinished.rename(place)
        except FileNotFoundError as error:
            if package.exists():
                raise
            raise KeyError(sha256) from error  # deleted just now
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return summary

    def _present(self) -> list[str]:
        names = (path.name for path in self._root.iterdir() if path.is_dir())
        return [name for name in names if not name.startswith((_UNFINISHED, _DISCARDED))]

    def _sweep(self) -> None:
        for path in self._root.glob(_DISCARDED + "*"):
            shutil.rmtree(path, ignore_errors=True)


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None
