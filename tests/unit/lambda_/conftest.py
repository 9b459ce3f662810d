from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lambent.storage.opening import open_database
from tests.unit.lambda_.room import MIGRATIONS, Room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    database = await open_database(tmp_path / "control.db", MIGRATIONS, synchronous="OFF")
    yield Room(database)
    await database.close()
