from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambent.queueing.engine import QueueEngine
from lambent.queueing.model import NewMessage, QueueConfig, Received
from lambent.queueing.schema import MIGRATIONS
from lambent.storage.group_commit import SqliteDatabase
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock


class Bench:
    """An engine on virtual time, with its database."""

    def __init__(self, folder: Path, clock: VirtualClock | None = None) -> None:
        self.folder = folder
        self.clock = clock or VirtualClock()
        self.database: SqliteDatabase
        self.engine: QueueEngine
        self._ids = itertools.count(1)

    async def open(self, *, file_bytes: int = 1000, synchronous: Any = "OFF") -> Bench:
        self.database = await open_database(self.folder / "queues.db", MIGRATIONS, synchronous=synchronous)
        self.engine = await QueueEngine.open(
            self.database, self.folder / "bodies", self.clock, new_id=lambda: f"m{next(self._ids)}",
            file_bytes=file_bytes,
        )  # fmt: skip
        self.clock.watch("database", lambda: self.database.pending)
        self.clock.watch("engine", lambda: self.engine.pending)
        return self

    async def close(self) -> None:
        await self.engine.close()
        await self.database.close()

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    async def create(self, name: str = "q", **settings: Any) -> QueueConfig:
        config = QueueConfig(id=f"id-{name}", name=f"arn:{name}", **settings)
        await self.database.run(lambda tx: self.engine.create(tx, config))
        return config

    async def configure(self, config: QueueConfig, **settings: Any) -> QueueConfig:
        changed = replace(config, **settings)
        await self.database.run(lambda tx: self.engine.configure(tx, changed))
        return changed

    async def send(self, config: QueueConfig, *bodies: str, **settings: Any) -> list[str]:
        messages = [NewMessage(body=body.encode(), **settings) for body in bodies]
        return [sent.message_id for sent in await self.engine.send(config, messages)]

    async def bodies(self, config: QueueConfig, limit: int = 10, **settings: Any) -> list[str]:
        return texts(await self.engine.receive(config, limit=limit, **settings))

    async def counts(self, config: QueueConfig) -> tuple[int, int, int]:
        return (await self.engine.counts(config))[:3]


def texts(received: list[Received]) -> list[str]:
    return [each.body.decode() for each in received]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = await Bench(tmp_path).open()
    yield made
    await made.close()
