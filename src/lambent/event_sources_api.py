"""Lambent's own route for event source mappings: what each does right now, what limits it, and what may bite."""

from __future__ import annotations

from lambent.event_sources.room import EventSourcesRoom
from lambent.server.answers import json_response
from lambent.server.http import Endpoint
from lambent.server.internal_routes import InternalRequest
from lambent.server.wire import WireResponse

PATH = "/_lambent/event-sources"


class EventSourcesApi:
    """The handler; `mount` puts it on the endpoint."""

    def __init__(self, room: EventSourcesRoom) -> None:
        self._room = room

    def mount(self, endpoint: Endpoint) -> None:
        endpoint.add_route("GET", PATH, self.event_sources)

    async def event_sources(self, request: InternalRequest) -> WireResponse:
        """A JSON list with an entry for each mapping, as `EventSourcesRoom.report` makes it."""
        return json_response(await self._room.report(), request_id=request.request_id)
