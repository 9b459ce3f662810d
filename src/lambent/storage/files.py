"""File operations whose effects survive a power cut (blocking: for threads), and waiting for such threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from lambent.storage import database

P = ParamSpec("P")
T = TypeVar("T")


async def on_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking file work on a thread. Raises StorageError where it raises OSError.

    A thread cannot be cancelled: a cancelled caller goes on only once it has ended, so that nobody closes or
    removes files under its hands.
    """
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen
        raise
    except OSError as error:
        raise database.StorageError(str(error)) from error


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte of `data`. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make creations, renames and removals in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Create `path` and what it lies in, durably; nothing happens where it exists. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent, mode)
    path.mkdir(mode=mode, exist_ok=True)
    sync_directory(path.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a durable copy where that is another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, 0o600)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
