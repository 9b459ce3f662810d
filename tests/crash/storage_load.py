"""A process that writes to the storage room as fast as it can, and says what was acknowledged: for being killed.

    python -m tests.crash.storage_load DATA_DIR SYNCHRONOUS [no-directory-sync]

Prints a line per acknowledgement: `row N` (in both tables of the pair), `blob SHA256`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import cast

from lambent.storage import blobs, files, leases, opening, sqlite
from lambent.storage.database import Transaction
from lambent.storage.migrations import Migration

STEPS = (
    Migration(
        room="load",
        version=1,
        statements=(
            "CREATE TABLE debit (n INTEGER PRIMARY KEY, filler BLOB)",
            "CREATE TABLE credit (n INTEGER PRIMARY KEY)",
        ),
    ),
)
WRITERS = 8


def pair(n: int) -> object:
    def unit(tx: Transaction) -> None:
        tx.execute("INSERT INTO debit VALUES (?, ?)", (n, bytes(1 + n % 600)))
        tx.execute("INSERT INTO credit VALUES (?)", (n,))

    return unit


def acknowledge(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def main(data: Path, synchronous: sqlite.Synchronous) -> None:
    with leases.hold(data) as held:
        db = await opening.open_database(data / leases.CONTROL_NAME, STEPS, synchronous=synchronous, lease=held.lease)
        packages = blobs.BlobStore(data / "blobs", 1 << 30)
        last = await db.read(lambda tx: tx.one("SELECT coalesce(max(n), 0) FROM debit"))
        assert last is not None
        counter = last[0]
        acknowledge("ready")

        async def write() -> None:
            nonlocal counter
            while True:
                counter += 1
                n = counter
                await db.run(pair(n))  # type: ignore[arg-type]
                acknowledge(f"row {n}")

        async def store() -> None:
            n = 0
            while True:
                n += 1
                blob = await packages.put(b"%d %d" % (os.getpid(), n) * (1 + n % 50))
                acknowledge(f"blob {blob.sha256}")

        await asyncio.gather(store(), *(write() for _ in range(WRITERS)))


if __name__ == "__main__":
    if "no-directory-sync" in sys.argv:
        files.sync_directory = lambda path: None
    asyncio.run(main(Path(sys.argv[1]), cast(sqlite.Synchronous, sys.argv[2])))
