"""Event source mappings, put together: what the composition root builds, starts and closes."""

from __future__ import annotations

from typing import Any

from lambent.core.clock import Clock
from lambent.core.ids import IdSource, new_uuid
from lambent.core.operations import Operation, Service
from lambent.event_sources import api
from lambent.event_sources.inspection import Inspection
from lambent.event_sources.lifecycle import Lifecycle
from lambent.event_sources.mappings import Mappings
from lambent.event_sources.surroundings import Fleets, Functions, Queues, Tags
from lambent.storage.database import Database


class EventSourcesRoom:
    """The mappings of one server process, on the database that holds Lambda's tags too.

    `service` is Lambda as its room declares it: these operations arrive on its wire.
    """

    def __init__(
        self,
        *,
        service: Service,
        database: Database,
        clock: Clock,
        functions: Functions,
        queues: Queues,
        tags: Tags,
        fleets: Fleets,
        strict_aws: bool,
        new_id: IdSource = new_uuid,
    ) -> None:
        self._lifecycle = Lifecycle(database=database, clock=clock, fleets=fleets, tags=tags)
        self._inspection = Inspection(database=database, functions=functions, queues=queues, tags=tags, fleets=fleets)
        mappings = Mappings(
            database=database,
            clock=clock,
            new_id=new_id,
            functions=functions,
            queues=queues,
            tags=tags,
            lifecycle=self._lifecycle,
            inspection=self._inspection,
            strict_aws=strict_aws,
        )
        self.operations: list[Operation] = api.operations(service, mappings, strict_aws=strict_aws)

    async def start(self) -> None:
        """Poll for every enabled mapping; call once the endpoint answers, which functions may use."""
        await self._lifecycle.resume()

    async def report(self) -> list[dict[str, Any]]:
        """Each mapping with its problems, its warnings and what its pollers do, as JSON values."""
        return await self._inspection.report()

    async def close(self) -> None:
        """Stop changing mappings. Call after the last request, before the fleets and the database close."""
        await self._lifecycle.close()
