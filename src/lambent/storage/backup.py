"""A consistent copy of a running server's data directory, from which another server can simply be started."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Protocol

from lambent.core import errors, ids
from lambent.storage import blobs, database, files, group_commit, sqlite

BLOBS_NAME = "blobs"


class Folder(Protocol):
    """A flat folder of immutable files that a database refers to."""

    @property
    def path(self) -> Path: ...

    def undisturbed(self) -> AbstractAsyncContextManager[None]:
        """Every file stays while the block runs; others may come."""


async def backup(
    target: Path,
    databases: Sequence[group_commit.SqliteDatabase],
    packages: blobs.BlobStore,
    *,
    folders: Sequence[Folder] = (),
    new_name: ids.IdSource = ids.new_hex,
) -> None:
    """Copy `databases`, blobs and `folders` into the new or empty directory `target` while they go on working.

    The copy is one moment of all the databases: nothing in it knows of anything that is missing. It is written beside
    `target`, synced, and renamed last, so `target` never holds half a backup. Blobs are hard links where the file
    system allows. Raises UserFacingError when `target` is not empty or cannot be written.
    """
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise errors.UserFacingError(f"cannot back up to {target}: it exists and is not an empty directory")
    partial = target.with_name(f"{target.name}.partial-{new_name()}")
    snapshots = await files.on_thread(_connect, databases)
    try:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(packages.undisturbed())
            for folder in folders:
                await stack.enter_async_context(folder.undisturbed())
            # All pinned in one stretch of the loop. What is answered by now is in; whatever is done because of an
            # answer still to come is not, in any of the files.
            for snapshot in snapshots:
                snapshot.execute("BEGIN")
                snapshot.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            await files.on_thread(
                _copy, partial, target, databases, snapshots, packages.paths(), [each.path for each in folders]
            )
    except (database.StorageError, sqlite3.Error) as error:
        raise errors.UserFacingError(f"cannot back up to {target}: {error}") from error
    finally:
        await files.on_thread(_tidy, partial, snapshots)


def _connect(databases: Sequence[group_commit.SqliteDatabase]) -> list[sqlite3.Connection]:
    return [sqlite.connect(each.path, read_only=True) for each in databases]


def _copy(
    partial: Path,
    target: Path,
    databases: Sequence[group_commit.SqliteDatabase],
    snapshots: Sequence[sqlite3.Connection],
    sources: Sequence[Path],
    flat: Sequence[Path],
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.mkdir(mode=0o700)
    for each, snapshot in zip(databases, snapshots, strict=True):
        path = partial / each.path.name
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        copy = sqlite3.connect(path)
        try:
            snapshot.backup(copy)
        finally:
            copy.close()
    folders = {partial / BLOBS_NAME, *(partial / each.name for each in flat)}
    for folder in folders:
        folder.mkdir(mode=0o700)
    for folder in flat:
        for entry in os.scandir(folder):
            # One that is still being written goes along by halves: no message of this moment refers to it.
            files.link_or_copy(folder / entry.name, partial / folder.name / entry.name)
    for source in sources:
        folder = partial / BLOBS_NAME / source.parent.name
        if folder not in folders:
            folder.mkdir(mode=0o700)
            folders.add(folder)
        files.link_or_copy(source, folder / source.name)
    for folder in (*folders, partial):
        files.sync_directory(folder)
    os.rename(partial, target)
    files.sync_directory(target.parent)


def _tidy(partial: Path, snapshots: Sequence[sqlite3.Connection]) -> None:
    for snapshot in snapshots:
        snapshot.close()
    shutil.rmtree(partial, ignore_errors=True)
