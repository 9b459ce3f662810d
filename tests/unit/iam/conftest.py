from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lambent.core.operations import RequestContext, Scope
from lambent.iam import api, store
from lambent.storage.database import Database
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock


class Iam:
    """IAM's operations, called as the endpoint calls them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = VirtualClock()
        ids = itertools.count(1)
        found = api.operations(database, self.clock, new_id=lambda: f"{next(ids):032x}")
        self.operations = {operation.name: operation for operation in found}

    async def __call__(self, name: str, *, account: str = "000000000000", **params: Any) -> dict[str, Any]:
        context = RequestContext(
            service="iam",
            operation=name,
            scope=Scope(account=account, region="us-east-1"),
            request_id="r",
            endpoint="http://localhost:4566",
        )
        output = await self.operations[name].handler(context, params)
        assert output is None or isinstance(output, dict)
        return output or {}


@pytest.fixture
async def iam(tmp_path: Path) -> AsyncIterator[Iam]:
    database = await open_database(tmp_path / "control.db", store.MIGRATIONS, synchronous="OFF")
    yield Iam(database)
    await database.close()
