"""A process that sends, receives and deletes as fast as it can, and says what was acknowledged: for being killed.

    python -m tests.crash.engine_load DATA_DIR SYNCHRONOUS [no-directory-sync]

Prints a line per event: `sent BODY`, `deleting BODY` (asked), `deleted BODY` (answered). A body starts with its group
(or `-`) and a number that grows by group; some are large enough to be files.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import cast

from lambent.core.clock import SystemClock
from lambent.queueing.engine import QueueEngine
from lambent.queueing.model import DeadLetters, NewMessage, QueueConfig, QueueExists
from lambent.queueing.schema import MIGRATIONS
from lambent.storage import files, leases, opening, sqlite

FILE_BYTES = 3000
DEAD = QueueConfig(id="dead", name="dead", visibility_timeout_s=0)
STANDARD = QueueConfig(
    id="standard", name="standard", visibility_timeout_s=0, dead_letters=DeadLetters(target="dead", max_receives=3)
)
FIFO = QueueConfig(id="fifo", name="fifo", fifo=True, visibility_timeout_s=1)


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def load(engine: QueueEngine, first: int) -> None:
    counter = first

    async def send(config: QueueConfig, group: str) -> None:
        nonlocal counter
        while True:
            counter += 1
            names = [f"{group} {counter * 10 + index}" for index in range(1 + counter % 3)]
            messages = [
                NewMessage(
                    body=name.encode().ljust(FILE_BYTES if (counter + index) % 7 == 0 else 30),
                    group=group if config.fifo else None,
                    deduplication_id=name if config.fifo else None,
                )
                for index, name in enumerate(names)
            ]
            await engine.send(config, messages)
            for name in names:
                tell(f"sent {name}")

    async def consume(config: QueueConfig) -> None:
        while True:
            # Half of what comes is left, to be received again, or to become dead letters.
            found = await engine.receive(config, limit=6, wait_s=1)
            done = found[: (len(found) + 1) // 2]
            for each in done:
                tell(f"deleting {each.body.decode().strip()}")
            await engine.delete_messages(config.id, [each.handle for each in done])
            for each in done:
                tell(f"deleted {each.body.decode().strip()}")

    await asyncio.gather(
        send(STANDARD, "-"), send(STANDARD, "-"), send(FIFO, "a"), send(FIFO, "b"), consume(STANDARD), consume(FIFO)
    )


async def open_engine(data: Path, held: leases.DataDirectory, synchronous: sqlite.Synchronous) -> QueueEngine:
    """The engine on `data`, with its three queues."""
    database = await opening.open_database(data / "queues.db", MIGRATIONS, synchronous=synchronous, lease=held.lease)
    engine = await QueueEngine.open(database, data / "bodies", SystemClock(), file_bytes=FILE_BYTES)
    for config in (DEAD, STANDARD, FIFO):
        try:
            await database.run(lambda tx, config=config: engine.create(tx, config))  # type: ignore[misc]
        except QueueExists:
            continue
    return engine


async def main(data: Path, synchronous: sqlite.Synchronous) -> None:
    with leases.hold(data) as held:
        engine = await open_engine(data, held, synchronous)
        tell("ready")
        await load(engine, held.lease.epoch * 1_000_000)


if __name__ == "__main__":
    if "no-directory-sync" in sys.argv:
        files.sync_directory = lambda path: None
    asyncio.run(main(Path(sys.argv[1]), cast(sqlite.Synchronous, sys.argv[2])))
