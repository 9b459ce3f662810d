from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lambent.core.errors import AwsError
from lambent.core.operations import RequestContext
from lambent.event_sources import store
from lambent.event_sources.lifecycle import TRANSITION_S
from lambent.event_sources.room import EventSourcesRoom
from lambent.lambda_ import tags, tags_store
from lambent.lambda_.service import LAMBDA
from lambent.storage.database import Database
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock
from lambent.testing.holding import Holding
from tests.unit.event_sources.fakes import QUEUE, SCOPE, Fleets, Functions, Queues


class Room:
    """Event source mappings with operations called as the endpoint calls them."""

    def __init__(self, database: Database) -> None:
        self.clock = VirtualClock()
        self.database = Holding(self.clock).database(database)
        self.functions = Functions()
        self.queues = Queues()
        self._ids = itertools.count(1)
        self.begin()

    def begin(self, *, strict_aws: bool = False) -> None:
        """A server process over what is on disk, in the place of the last one (which is not asked to end)."""
        self.fleets = Fleets()
        self.room = EventSourcesRoom(
            service=LAMBDA,
            database=self.database,
            clock=self.clock,
            functions=self.functions,
            queues=self.queues,
            tags=tags,
            fleets=self.fleets,
            strict_aws=strict_aws,
            new_id=lambda: f"00000000-0000-0000-0000-{next(self._ids):012}",
        )
        self._operations = {operation.name: operation for operation in self.room.operations}

    async def call(self, verb: str, /, **params: Any) -> Mapping[str, Any]:
        """`create` and its siblings: the output."""
        name = "ListEventSourceMappings" if verb == "list" else f"{verb.capitalize()}EventSourceMapping"
        context = RequestContext(
            service="lambda", operation=name, scope=SCOPE, request_id="r", endpoint="http://localhost:4566"
        )
        output = await self._operations[name].handler(context, params)
        assert isinstance(output, Mapping)
        return output

    async def create(self, **params: Any) -> Mapping[str, Any]:
        return await self.call("create", **({"FunctionName": "f", "EventSourceArn": QUEUE} | params))

    async def refused(self, verb: str, /, **params: Any) -> tuple[str, str]:
        if verb == "create":
            params = {"FunctionName": "f", "EventSourceArn": QUEUE} | params
        with pytest.raises(AwsError) as caught:
            await self.call(verb, **params)
        return caught.value.code, caught.value.message

    async def settle(self) -> None:
        """Let every transition come to its end."""
        await self.clock.advance(TRANSITION_S)

    async def state(self, uuid: str) -> object:
        return (await self.call("get", UUID=uuid))["State"]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    steps = (*store.MIGRATIONS, *tags_store.MIGRATIONS)
    database = await open_database(tmp_path / "control.db", steps, synchronous="OFF")
    there = Room(database)
    yield there
    await there.room.close()
    await database.close()
