"""Unpacking deployment packages that nobody vouches for.

First the whole tree is planned in memory, where every name and every link can be judged against all the others. Only
then is anything written, beneath one directory descriptor, never through a link, never over anything that exists.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from lambent.core import limits
from lambent.core.zips import ArchiveError, ArchiveReason, ZipEntry, ZipReader

__all__ = ["ArchiveError", "ArchiveReason", "ExtractedArchive", "extract"]

_MAX_DEPTH: Final = 100  # one descriptor per level is open while writing
_MAX_NAME_BYTES: Final = 255
_MAX_PATH_BYTES: Final = 4095
_MAX_LINK_HOPS: Final = 40  # as the kernel
_MAX_LINK_STEPS: Final = 1_000_000  # for all links of an archive together
_DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractedArchive:
    """What came out: the bytes of all files (and link targets), and how many files, links and folders."""

    size_bytes: int
    entries: int


def extract(
    archive: Path | BinaryIO,
    into: int | Path,
    *,
    max_bytes: int = limits.LAMBDA_UNZIPPED_BYTES,
    max_entries: int = limits.ARCHIVE_MAX_ENTRIES,
) -> ExtractedArchive:
    """Unpack a zip into the empty directory `into` (a path or an open descriptor). Blocking.

    Folders become 0755, files 0644, or 0755 where anybody may execute them (a zip without Unix modes holds nothing
    executable, as on AWS). Links are kept if they stay inside. Folders that names only imply count as entries.
    Raises ArchiveError, ValueError when `into` is not empty, and OSError when the disk fails; nothing remains then.
    """
    with _directory(into) as root:
        if os.listdir(root):
            raise ValueError("the directory to unpack into is not empty")
        try:
            if isinstance(archive, Path):
                with archive.open("rb") as file:
                    return _extract(file, root, max_bytes, max_entries)
            return _extract(archive, root, max_bytes, max_entries)
        except BaseException:
            _empty(root)
            raise


def _extract(file: BinaryIO, root: int, max_bytes: int, max_entries: int) -> ExtractedArchive:
    reader = ZipReader(file, max_entries=max_entries)
    if sum(entry.size_bytes for entry in reader.entries) > max_bytes:
        raise ArchiveError(ArchiveReason.TOO_LARGE, f"more than {max_bytes} bytes")
    plan = _Plan(reader, max_entries)
    writer = _Writer(reader, max_bytes)
    writer.write_folder(plan.root, root)
    return ExtractedArchive(size_bytes=writer.size_bytes, entries=plan.entries)


@dataclass(frozen=True, slots=True)
class _Link:
    target: str


class _Folder(dict[str, "_Folder | _Link | ZipEntry"]):
    """What is in one folder, by name."""


class _Plan:
    """The tree that the archive wants, found to be safe."""

    def __init__(self, reader: ZipReader, max_entries: int) -> None:
        self.root = _Folder()
        self.entries = 0
        self._max_entries = max_entries
        self._link_steps = 0
        links: list[tuple[list[str], _Link]] = []
        for entry in reader.entries:
            parts = _parts(entry.name)
            if entry.kind == stat.S_IFDIR:
                if entry.size_bytes:
                    raise _unsafe(entry.name, "is a folder with content")
                self._folder(parts, entry.name)
            elif entry.kind == stat.S_IFLNK:
                link = _Link(_target(reader, entry))
                self._add(parts, link, entry.name)
                links.append((parts[:-1], link))
            elif entry.kind == stat.S_IFREG:
                self._add(parts, entry, entry.name)
            else:
                raise _unsafe(entry.name, "is neither a file, a folder nor a link")
        for parent, link in links:
            self._follow(parent, link)

    def _count(self) -> None:
        self.entries += 1
        if self.entries > self._max_entries:
            raise ArchiveError(ArchiveReason.TOO_MANY_ENTRIES, f"more than {self._max_entries} entries")

    def _folder(self, parts: list[str], name: str) -> _Folder:
        folder = self.root
        for part in parts:
            below = folder.get(part)
            if below is None:
                self._count()
                below = folder[part] = _Folder()
            elif not isinstance(below, _Folder):
                raise _unsafe(name, "goes through something that is not a folder")
            folder = below
        return folder

    def _add(self, parts: list[str], node: _Link | ZipEntry, name: str) -> None:
        if not parts:
            raise _unsafe(name, "has no name")
        folder = self._folder(parts[:-1], name)
        if parts[-1] in folder:
            raise _unsafe(name, "is there twice")
        self._count()
        folder[parts[-1]] = node

    def _follow(self, parent: list[str], link: _Link) -> None:
        """Walk `link` as the kernel would. Where something is missing the walk goes on as if it were a folder."""
        trail = [self.root]
        for part in parent:
            below = trail[-1][part]
            assert isinstance(below, _Folder)
            trail.append(below)
        ahead = link.target.split("/")[::-1]
        hops = 0
        while ahead:
            self._link_steps += 1
            if self._link_steps > _MAX_LINK_STEPS:
                raise ArchiveError(ArchiveReason.UNSAFE, "its links lead through too many others")
            part = ahead.pop()
            if part in ("", "."):
                continue
            if part == "..":
                trail.pop()
                if not trail:
                    raise ArchiveError(ArchiveReason.UNSAFE, f"a link to {link.target!r} leads outside")
                continue
            node = trail[-1].get(part)
            if isinstance(node, _Link):
                hops += 1
                if hops > _MAX_LINK_HOPS:
                    raise ArchiveError(ArchiveReason.UNSAFE, f"a link to {link.target!r} leads in circles")
                ahead.extend(node.target.split("/")[::-1])
            else:
                trail.append(node if isinstance(node, _Folder) else _Folder())


def _parts(name: str) -> list[str]:
    """The path's components. Raises ArchiveError for anything that could lead elsewhere."""
    if "\0" in name or "\\" in name:
        raise _unsafe(name, "has a backslash or NUL in its name")
    if name.startswith("/"):
        raise _unsafe(name, "has an absolute path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _unsafe(name, "leads outside")
    if len(parts) > _MAX_DEPTH:
        raise _unsafe(name, "is too deep")
    sizes = [len(part.encode()) for part in parts]
    if sum(sizes) + len(sizes) > _MAX_PATH_BYTES or max(sizes, default=0) > _MAX_NAME_BYTES:
        raise _unsafe(name, "has too long a name")
    return parts


def _target(reader: ZipReader, entry: ZipEntry) -> str:
    if not 0 < entry.size_bytes <= _MAX_PATH_BYTES:
        raise _unsafe(entry.name, "is a link with no or too long a target")
    try:
        target = b"".join(reader.chunks(entry)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unsafe(entry.name, "is a link whose target is not UTF-8") from error
    if target.startswith("/") or "\0" in target:
        raise _unsafe(entry.name, "is a link that leads outside")
    return target


class _Writer:
    """Writes a plan. `size_bytes` counts what was really produced, whatever the headers said."""

    def __init__(self, reader: ZipReader, max_bytes: int) -> None:
        self._reader = reader
        self._max_bytes = max_bytes
        self.size_bytes = 0

    def write_folder(self, folder: _Folder, descriptor: int) -> None:
        """Write what is in `folder` into the open directory `descriptor`, links last."""
        for name, node in folder.items():
            if isinstance(node, ZipEntry):
                self._write_file(name, node, descriptor)
            elif isinstance(node, _Folder):
                os.mkdir(name, 0o755, dir_fd=descriptor)
                below = os.open(name, _DIRECTORY_FLAGS, dir_fd=descriptor)
                try:
                    os.fchmod(below, 0o755)  # whatever the umask
                    self.write_folder(node, below)
                finally:
                    os.close(below)
        for name, node in folder.items():
            if isinstance(node, _Link):
                self._count(len(node.target.encode()))
                os.symlink(node.target, name, dir_fd=descriptor)

    def _write_file(self, name: str, entry: ZipEntry, folder: int) -> None:
        with open(os.open(name, _CREATE_FLAGS, 0o600, dir_fd=folder), "wb", buffering=0) as file:
            for chunk in self._reader.chunks(entry):
                self._count(len(chunk))
                _write_all(file.fileno(), chunk)
            os.fchmod(file.fileno(), 0o755 if entry.mode & 0o111 else 0o644)

    def _count(self, produced_bytes: int) -> None:
        self.size_bytes += produced_bytes
        if self.size_bytes > self._max_bytes:
            raise ArchiveError(ArchiveReason.TOO_LARGE, f"more than {self._max_bytes} bytes")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def _directory(into: int | Path) -> Iterator[int]:
    if isinstance(into, int):
        yield into
        return
    descriptor = os.open(into, _DIRECTORY_FLAGS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _empty(root: int) -> None:
    """Remove what was written. Names come from the directory itself, and no link is followed."""
    for name in os.listdir(root):
        try:
            os.unlink(name, dir_fd=root)
        except (IsADirectoryError, PermissionError):
            with suppress(FileNotFoundError):
                shutil.rmtree(name, dir_fd=root)


def _unsafe(name: str, what: str) -> ArchiveError:
    return ArchiveError(ArchiveReason.UNSAFE, f"{name[:200]!r} {what}")
