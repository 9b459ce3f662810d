"""Opening a database file: schema brought up to date, lease claimed, ready for units of work."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from lambent.core import owners
from lambent.storage import group_commit, leases, migrations, schema, sqlite


async def open_database(
    path: Path,
    steps: Iterable[migrations.Migration],
    *,
    synchronous: sqlite.Synchronous = "FULL",
    lease: owners.Lease | None = None,
) -> group_commit.SqliteDatabase:
    """Open the database file `path`, creating or upgrading it.

    `synchronous` below FULL gives up durability and is for tests. With a `lease` every group of writes checks that the
    file still belongs to it. Raises UserFacingError (newer version, unreadable or damaged file) and LeaseLost.
    """
    ordered = tuple(steps)
    writer, reader = await asyncio.to_thread(_open, path, ordered, synchronous, lease)
    return group_commit.SqliteDatabase(path, writer, reader, lease=lease)


def _open(
    path: Path, steps: tuple[migrations.Migration, ...], synchronous: sqlite.Synchronous, lease: owners.Lease | None
) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    writer = sqlite.connect(path, synchronous=synchronous)
    try:
        if lease is not None:
            leases.claim(writer, lease)
        schema.upgrade(writer, path, steps)
        # The loop must never wait for a lock: a busy database is waited for on the commit thread.
        writer.execute("PRAGMA busy_timeout=0").fetchone()
        return writer, sqlite.connect(path, read_only=True)
    except BaseException as error:
        writer.close()
        if isinstance(error, sqlite3.Error) and sqlite.is_disk_failure(error):
            raise sqlite.unusable(path, error) from error
        raise
