from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lambent.storage import group_commit, opening
from lambent.storage.migrations import Migration

COUNTERS = Migration(
    room="counters",
    version=1,
    statements=("CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0)) STRICT",),
)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[group_commit.SqliteDatabase]:
    database = await opening.open_database(tmp_path / "test.db", [COUNTERS])
    yield database
    await database.close()
