"""Who may write to a data directory: a lock for this moment, an epoch for ever.

The lock (flock) keeps a second server away and dies with its holder. The epoch goes up at every acquisition and is
stored in each database file; every group of writes compares it in its own transaction, so even a process that
believes it still holds the lease (paused, or on a file system whose locks lie) writes nothing after its successor.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from lambent.core import errors, ids, owners
from lambent.storage import files, sqlite

LOCK_NAME = "lock"
CONTROL_NAME = "control.db"

_TABLE = """
CREATE TABLE IF NOT EXISTS lambent_lease (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    holder TEXT NOT NULL
)
"""
_WRITE = """
INSERT INTO lambent_lease (one, epoch, holder) VALUES (1, ?, ?)
ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, holder = excluded.holder
"""


class DataDirectory:
    """A data directory that this process holds, until `close`."""

    def __init__(self, path: Path, lock: int, lease: owners.Lease) -> None:
        self.path = path
        self.lease = lease
        self._lock: int | None = lock

    def close(self) -> None:
        """Let go of it. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> DataDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def hold(path: Path, *, new_holder: ids.IdSource = ids.new_uuid) -> DataDirectory:
    """Take the data directory `path`, creating it (mode 0700) when it is missing, under the next epoch.

    Raises UserFacingError when another process holds it (naming its pid), when it cannot be created, or when its
    control database is damaged.
    """
    try:
        files.make_directory(path)
        lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise errors.UserFacingError(f"cannot use the data directory {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            raise errors.UserFacingError(
                f"the data directory {path} is in use by another Lambent server (pid {pid or 'unknown'}): "
                "stop that one, or choose another directory with --data"
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        lease = _next_epoch(path / CONTROL_NAME, new_holder)
    except BaseException:
        os.close(lock)
        raise
    return DataDirectory(path, lock, lease)


def _next_epoch(control: Path, new_holder: Callable[[], str]) -> owners.Lease:
    connection = sqlite.connect(control)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_TABLE)
        row = connection.execute("SELECT epoch FROM lambent_lease").fetchone()
        lease = owners.Lease(holder=new_holder(), epoch=1 + (row[0] if row is not None else 0))
        connection.execute(_WRITE, (lease.epoch, lease.holder))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise sqlite.unusable(control, error) from error
    finally:
        connection.close()
    return lease


def claim(connection: sqlite3.Connection, lease: owners.Lease) -> None:
    """Write `lease` into this database file. Raises LeaseLost when a later epoch is there already."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_TABLE)
        row = connection.execute("SELECT epoch, holder FROM lambent_lease").fetchone()
        if row is not None and row["epoch"] > lease.epoch:
            raise _lost(row, lease)
        connection.execute(_WRITE, (lease.epoch, lease.holder))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def check(connection: sqlite3.Connection, lease: owners.Lease) -> None:
    """Inside a write transaction: raises LeaseLost unless the file still carries `lease`."""
    row = connection.execute("SELECT epoch, holder FROM lambent_lease").fetchone()
    if row is None or row["epoch"] != lease.epoch or row["holder"] != lease.holder:
        raise _lost(row, lease)


def _lost(row: sqlite3.Row | None, lease: owners.Lease) -> owners.LeaseLost:
    now = "nobody" if row is None else f"{row['holder']} in epoch {row['epoch']}"
    return owners.LeaseLost(f"the data belongs to {now}, no longer to {lease.holder} of epoch {lease.epoch}")
