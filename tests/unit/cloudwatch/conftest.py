from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lambent.cloudwatch import api, store
from lambent.cloudwatch.recorder import Recorder
from lambent.core.errors import AwsError
from lambent.core.metric_data import MetricSample
from lambent.core.operations import RequestContext, Scope
from lambent.storage.database import Database
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock
from lambent.testing.holding import Holding

NOW_S = 1_800_000_000  # the begin of an hour
SCOPE = Scope(account="000000000000", region="us-east-1")


class CloudWatch:
    """CloudWatch's operations, called as the endpoint calls them. `happened` is what the recorder finds next."""

    def __init__(self, database: Database) -> None:
        self.clock = VirtualClock(start_s=float(NOW_S))
        self.database = Holding(self.clock).database(database)
        self.happened: list[MetricSample] = []
        self.recorder = Recorder(self.database, self.clock, self._take)
        found = api.operations(self.database, self.clock, recorder=self.recorder)
        self.operations = {operation.name: operation for operation in found}

    def _take(self) -> list[MetricSample]:
        taken, self.happened = self.happened, []
        return taken

    async def __call__(self, name: str, *, region: str = "us-east-1", **params: Any) -> dict[str, Any]:
        context = RequestContext(
            service="cloudwatch",
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

    async def put(self, *data: dict[str, Any], namespace: str = "app") -> None:
        """Data of the metric `m`, where they do not say otherwise."""
        await self("PutMetricData", Namespace=namespace, MetricData=[{"MetricName": "m"} | datum for datum in data])

    async def statistics(self, *names: str, **params: Any) -> list[dict[str, Any]]:
        """Of `m`, from an hour ago to an hour from now, times as seconds from NOW_S."""
        asked = {
            "Namespace": "app",
            "MetricName": "m",
            "StartTime": NOW_S - 3600.0,
            "EndTime": NOW_S + 3600.0,
            "Period": 60,
        } | params
        if names:
            asked["Statistics"] = list(names)
        points: list[dict[str, Any]] = (await self("GetMetricStatistics", **asked))["Datapoints"]
        return [point | {"Timestamp": point["Timestamp"] - NOW_S} for point in points]

    async def data(self, *queries: dict[str, Any], **params: Any) -> dict[str, Any]:
        asked = {"StartTime": NOW_S - 3600.0, "EndTime": NOW_S + 3600.0, "ScanBy": "TimestampAscending"} | params
        return await self("GetMetricData", MetricDataQueries=list(queries), **asked)

    async def count(self, table: str) -> int:
        row = await self.database.read(lambda tx: tx.one(f"SELECT COUNT(*) FROM {table}"))
        assert row is not None
        return int(row[0])


@pytest.fixture
async def cloudwatch(tmp_path: Path) -> AsyncIterator[CloudWatch]:
    database = await open_database(tmp_path / "logs.db", store.MIGRATIONS, synchronous="OFF")
    yield CloudWatch(database)
    await database.close()
