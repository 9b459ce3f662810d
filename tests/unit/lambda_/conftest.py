from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lambent.lambda_.migrations import MIGRATIONS
from lambent.storage.opening import open_database
from tests.unit.lambda_.functions_room import FunctionsRoom, functions_room
from tests.unit.lambda_.room import Room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    database = await open_database(tmp_path / "control.db", MIGRATIONS, synchronous="OFF")
    yield Room(database)
    await database.close()


@pytest.fixture
async def functions(tmp_path: Path) -> AsyncIterator[FunctionsRoom]:
    async with functions_room(tmp_path) as room:
        yield room
