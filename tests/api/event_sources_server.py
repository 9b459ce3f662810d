"""Event source mappings on an endpoint, before fleets that only say that they poll; tags are Lambda's own."""

from __future__ import annotations

from lambent.core.clock import SystemClock
from lambent.event_sources import store
from lambent.event_sources.room import EventSourcesRoom
from lambent.event_sources_api import EventSourcesApi
from lambent.lambda_ import tags, tags_store
from lambent.lambda_.api import tags as tags_api
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.service import LAMBDA
from lambent.server.http import Endpoint, read_credentials
from lambent.server.registry import OperationRegistry
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock
from tests.api.endpoint_server import ServedEndpoint
from tests.unit.event_sources.fakes import Fleets, Functions, Queues


class ServedMappings(ServedEndpoint):
    """Time stands still for the mappings until `clock` is advanced, so transitions can be seen."""

    async def _start(self) -> None:
        self.clock = VirtualClock()
        self.functions, self.queues, self.fleets = Functions(), Queues(), Fleets()
        steps = (*store.MIGRATIONS, *tags_store.MIGRATIONS)
        self.database = await open_database(self.config.data / "control.db", steps, synchronous="OFF")
        self.room = EventSourcesRoom(
            service=LAMBDA,
            database=self.database,
            clock=self.clock,
            functions=self.functions,
            queues=self.queues,
            tags=tags,
            fleets=self.fleets,
            strict_aws=self.config.strict_aws,
        )
        basics = Basics(database=self.database, clock=self.clock, new_id=lambda: "revision")
        registry = OperationRegistry()
        registry.add_all(self.room.operations)
        registry.add_all(tags_api.operations(basics, {"event-source-mapping": store.exists}))
        registry.verify()
        clock = SystemClock()
        self.credentials = read_credentials(self.config, clock)
        self.endpoint = Endpoint(config=self.config, registry=registry, credentials=self.credentials, clock=clock)
        EventSourcesApi(self.room).mount(self.endpoint)
        await self.endpoint.start()

    def __exit__(self, *error: object) -> None:
        self.run(self._close)
        super().__exit__(*error)

    async def _close(self) -> None:
        await self.room.close()
        await self.database.close()

    def settle(self) -> None:
        """Let every transition come to its end."""
        self.run(lambda: self.clock.advance(1.0))
