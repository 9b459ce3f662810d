from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lambent.core.errors import AwsError
from lambent.core.log_events import LogEvent
from lambent.core.operations import RequestContext, Scope
from lambent.logs import api, store
from lambent.logs.errors import ResourceAlreadyExists
from lambent.logs.news import News
from lambent.logs.sink import DatabaseLogSink
from lambent.logs.sweeper import Sweeper
from lambent.storage.database import Database
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock
from lambent.testing.holding import Holding

NOW_MS = 1_800_000_000_000
SCOPE = Scope(account="000000000000", region="us-east-1")


class LogsApi:
    """CloudWatch Logs' operations, called as the endpoint calls them."""

    def __init__(self, database: Database, *, quota_bytes: int = 10**9) -> None:
        self.clock = VirtualClock(start_s=NOW_MS / 1000)
        database = self.database = Holding(self.clock).database(database)
        self.news = News()
        self.sink = DatabaseLogSink(database, clock=self.clock, news=self.news, quota_bytes=quota_bytes)
        self.sweeper = Sweeper(database, self.clock)
        ids = itertools.count(1)
        found = api.operations(
            database,
            self.clock,
            sink=self.sink,
            news=self.news,
            sweeper=self.sweeper,
            new_id=lambda: f"id-{next(ids)}",
        )
        self.operations = {operation.name: operation for operation in found}

    async def __call__(self, name: str, *, region: str = "us-east-1", **params: Any) -> dict[str, Any]:
        context = RequestContext(
            service="logs",
            operation=name,
            scope=Scope(account="000000000000", region=region),
            request_id="r",
            endpoint="http://localhost:4566",
        )
        output = await self.operations[name].handler(context, params)
        assert output is None or isinstance(output, dict)
        return output or {}

    async def refused(self, name: str, **params: Any) -> tuple[str, str]:
        with pytest.raises(AwsError) as caught:
            await self(name, **params)
        return caught.value.code, caught.value.message

    async def stream(self, group: str = "g", stream: str = "s") -> None:
        """Make both, where they are missing."""
        for name, params in (("CreateLogGroup", {}), ("CreateLogStream", {"logStreamName": stream})):
            with contextlib.suppress(ResourceAlreadyExists):
                await self(name, logGroupName=group, **params)

    async def put(self, *events: tuple[int, str], group: str = "g", stream: str = "s") -> dict[str, Any]:
        """Events at milliseconds from NOW_MS."""
        return await self(
            "PutLogEvents",
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": NOW_MS + at, "message": message} for at, message in events],
        )

    def write(self, *events: tuple[int, str], group: str = "g", stream: str = "s") -> None:
        """As functions do."""
        self.sink.write(SCOPE, group, stream, [LogEvent(timestamp_ms=NOW_MS + at, message=text) for at, text in events])

    async def count(self, table: str) -> int:
        row = await self.database.read(lambda tx: tx.one(f"SELECT COUNT(*) FROM {table}"))
        assert row is not None
        return int(row[0])


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogsApi]:
    database = await open_database(tmp_path / "logs.db", store.MIGRATIONS, synchronous="OFF")
    yield LogsApi(database)
    await database.close()


def messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]
