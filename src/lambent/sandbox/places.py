"""Where a runtime that runs several events at once runs them: in places, one event at a time in each.

A place is a conversation with the runtime. A custom runtime begins one with each poll of the Runtime API and has as
many as it has polls open; it ends with its event. Our own runtimes open a framed channel for each, over the same
listener (`GET /lambent/channel`, upgraded), and keep it; what is written into a channel belongs to the event that runs
there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal, Protocol

from lambent.core import ids
from lambent.sandbox.concurrent_run import ConcurrentRun
from lambent.sandbox.framed import FramedTransport
from lambent.sandbox.http_connection import BodySink, Discard, HttpConnection, Request, WholeBody
from lambent.sandbox.lifecycle import RuntimeState
from lambent.sandbox.protocol import Invocation
from lambent.sandbox.runtime_api import BASE, INVOCATION, RuntimeApi, accept, error_type_of, refuse
from lambent.sandbox.session import Session, Transport

CHANNELS: Final = "/lambent"
_CHANNEL: Final = "/lambent/channel"
_PROTOCOL: Final = "lambent-channel"
# How many timed-out events are remembered, whose answers are to be told from answers to nothing.
_LATE: Final = 1000


class PlacesListener(Protocol):
    """Hears what happens in places."""

    def place_ready(self, place: Place) -> None:
        """It waits for an event."""

    def place_answered(self, place: Place) -> None:
        """The whole answer of its event is here; a channel says later that it is ready."""

    def place_lost(self, place: Place) -> None:
        """The runtime has given it up."""

    def place_printed(self, place: Place, data: bytes) -> None: ...

    def place_logged(self, place: Place, message: bytes) -> None: ...

    def runtime_init_failed(self, error_type: str, body: bytes) -> None: ...


class Place:
    """Implements `session.Listener`: fills in the answer of the event that runs here.

    What is said of an event that is over already (it has timed out) goes nowhere. `stays`: there is another event
    after this one.
    """

    __slots__ = ("_listener", "run", "session", "stays", "transport")

    def __init__(self, listener: PlacesListener, *, stays: bool) -> None:
        self._listener = listener
        self.stays = stays
        self.run: ConcurrentRun | None = None
        self.session = Session(self)
        self.transport: Transport | None = None

    def runtime_ready(self) -> None:
        self._listener.place_ready(self)

    def runtime_init_failed(self, error_type: str, body: bytes) -> None:
        self._listener.runtime_init_failed(error_type, body)

    def runtime_answered(self, content_type: str, body: bytes) -> None:
        if self.run is not None:
            self.run.whole(content_type, body)
            self._listener.place_answered(self)

    def runtime_failed(self, error_type: str, body: bytes) -> None:
        if self.run is not None:
            self.run.error(error_type, body)
            self._listener.place_answered(self)

    def runtime_streams(self, content_type: str) -> None:
        if self.run is not None:
            self.run.begin_stream(content_type)

    def runtime_chunk(self, data: bytes) -> bool:
        return self.run is None or self.run.chunk(data)

    def runtime_stream_ended(self) -> None:
        if self.run is not None:
            self.run.end_stream()
            self._listener.place_answered(self)

    def runtime_printed(self, data: bytes) -> None:
        self._listener.place_printed(self, data)

    def runtime_logged(self, message: bytes) -> None:
        self._listener.place_logged(self, message)


class Places(Protocol):
    """The places of one runtime, a service of its listener; also the runtime's transport where it has no other."""

    def connected(self, connection: HttpConnection) -> None: ...

    def disconnected(self, connection: HttpConnection) -> None: ...

    def request(self, connection: HttpConnection, request: Request) -> BodySink: ...

    def deliver_to(self, place: Place, invocation: Invocation) -> None:
        """Hand the event to a place that is ready."""

    def over(self, request_id: str, *, timed_out: bool) -> None:
        """An event has ended: what still comes for it is refused."""

    async def wait_closed(self) -> None:
        """Return when all that the runtime said has been taken in; it has ended by now."""

    def exited(self) -> None:
        """The process is gone; nothing that still arrives counts."""

    def close(self) -> None: ...


class _Closing:
    """Waits until nothing is left."""

    def __init__(self) -> None:
        self._nothing_left: asyncio.Future[None] | None = None

    async def wait(self, left: object) -> None:
        if left:
            self._nothing_left = asyncio.get_running_loop().create_future()
            await self._nothing_left

    def look(self, left: object) -> None:
        if not left and self._nothing_left is not None and not self._nothing_left.done():
            self._nothing_left.set_result(None)


class PolledPlaces:
    """Places of a runtime that polls the public Runtime API, on any number of connections.

    As AWS's own server does it for managed instances: answers are matched by their request id, whichever connection
    they come on. More than `maximum` idle polls are an error; one that comes too late learns that.
    """

    def __init__(self, listener: PlacesListener, maximum: int) -> None:
        self._listener = listener
        self._maximum = maximum
        self._connections: set[HttpConnection] = set()
        self._polling: dict[Place, tuple[HttpConnection, RuntimeApi]] = {}
        self._running: dict[str, RuntimeApi] = {}
        self._late: dict[str, None] = {}
        self._has_polled = False
        self._has_failed = False
        self._closing = _Closing()

    def deliver_to(self, place: Place, invocation: Invocation) -> None:
        _, api = self._polling.pop(place)
        self._running[invocation.request_id] = api
        self._late.pop(invocation.request_id, None)  # another attempt of an event that was late
        api.deliver(invocation)

    def over(self, request_id: str, *, timed_out: bool) -> None:
        self._running.pop(request_id, None)
        if timed_out:
            self._late[request_id] = None
            if len(self._late) > _LATE:
                del self._late[next(iter(self._late))]

    # session.Transport; events are delivered to places

    def deliver(self, invocation: Invocation) -> None:
        raise AssertionError("an event for a runtime of places, and for none of them")

    def resume(self) -> None:
        return

    async def wait_closed(self) -> None:
        await self._closing.wait(self._connections)

    def exited(self) -> None:
        for api in [*self._running.values(), *(api for _, api in self._polling.values())]:
            api.session.exited()

    def close(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    # http_connection.Service

    def connected(self, connection: HttpConnection) -> None:
        self._connections.add(connection)

    def disconnected(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        for place in [place for place, (polls_on, _) in self._polling.items() if polls_on is connection]:
            del self._polling[place]
            self._listener.place_lost(place)
        self._closing.look(self._connections)

    def request(self, connection: HttpConnection, request: Request) -> BodySink:
        method, path = request.method, request.path
        if method == "GET" and path == BASE + "/runtime/invocation/next":
            return self._next(connection, request)
        if method == "POST" and (match := INVOCATION.fullmatch(path)):
            return self._answer(connection, request, match[1], match[2])
        if method == "POST" and path == BASE + "/runtime/init/error":
            return self._init_error(connection, request)
        if method == "GET" and path in ("/ping", BASE + "/ping"):
            connection.respond(200, b"pong", "text/plain")
        else:
            connection.respond(404, b"404 page not found\n", "text/plain; charset=utf-8")
        return Discard()

    def _next(self, connection: HttpConnection, request: Request) -> BodySink:
        if len(self._polling) >= self._maximum:
            refuse(connection, 500, "InternalServerError", "Internal Server Error")
            return Discard()
        self._has_polled = True
        place = Place(self._listener, stays=False)
        api = RuntimeApi(place.session, ids.new_uuid())
        place.transport = api
        self._polling[place] = connection, api
        return api.request(connection, request)

    def _answer(self, connection: HttpConnection, request: Request, request_id: str, kind: str) -> BodySink:
        api = self._running.get(request_id)
        if api is None:
            if self._late.pop(request_id, self) is None:
                refuse(connection, 410, "InvokeTimeout", "Invoke timeout")
            else:
                refuse(connection, 400, "InvalidRequestID", "Invalid request ID")
            return Discard()
        # A handler may still run whose event has timed out and been sent again under the same request id.
        if request.header("lambda-runtime-invocation-id") not in ("", api.invocation_id):
            refuse(connection, 410, "InvokeTimeout", "Invoke timeout")
            return Discard()
        if kind == "error" and api.session.streaming:
            return api.break_stream(connection, request)
        if api.session.state is not RuntimeState.RUNNING:
            refuse(connection, 400, "InvalidRequestID", "Invalid request ID")
            return Discard()
        return api.request(connection, request)

    def _init_error(self, connection: HttpConnection, request: Request) -> BodySink:
        """The first of several workers that report one counts; with one at work the init has not failed."""
        state = "Ready" if self._has_polled else "InitError" if self._has_failed else ""
        if state:
            message = (
                f"State transition from {state} to InitError failed for runtime. Error: State transition is not allowed"
            )
            refuse(connection, 403, "InvalidStateTransition", message)
            return Discard()
        self._has_failed = True
        kind = error_type_of(request)

        def complete(body: bytes | None) -> None:
            accept(connection)
            self._listener.runtime_init_failed(kind, body or b"")

        return WholeBody(_MAX_ERROR_BYTES, complete)


_MAX_ERROR_BYTES: Final = 6 * 1024 * 1024


class ChannelPlaces:
    """Places of one of our own runtimes: channels that it opens itself, at most `maximum` at a time."""

    def __init__(self, listener: PlacesListener, maximum: int, on_violation: Callable[[], None]) -> None:
        self._listener = listener
        self._maximum = maximum
        self._on_violation = on_violation
        self._channels: dict[Place, FramedTransport] = {}
        self._closing = _Closing()

    def deliver_to(self, place: Place, invocation: Invocation) -> None:
        self._channels[place].deliver(invocation)

    def over(self, request_id: str, *, timed_out: bool) -> None:
        return  # answers are matched by their channel

    async def wait_closed(self) -> None:
        await self._closing.wait(self._channels)

    def exited(self) -> None:
        for place in self._channels:
            place.session.exited()

    def close(self) -> None:
        for channel in list(self._channels.values()):
            channel.close()

    # http_connection.Service

    def connected(self, connection: HttpConnection) -> None:
        return

    def disconnected(self, connection: HttpConnection) -> None:
        return

    def request(self, connection: HttpConnection, request: Request) -> BodySink:
        if request.method != "GET" or request.path != _CHANNEL or request.header("upgrade").lower() != _PROTOCOL:
            connection.respond(404, b"404 page not found\n", "text/plain; charset=utf-8")
        elif len(self._channels) >= self._maximum:
            connection.respond(503, b"no more channels\n", "text/plain; charset=utf-8")
        else:
            place = Place(self._listener, stays=True)
            channel = FramedTransport(place.session, self._on_violation)
            place.transport = channel
            self._channels[place] = channel
            channel.on_closed(lambda: self._closed(place))
            connection.upgrade(_PROTOCOL, channel)
        return Discard()

    def _closed(self, place: Place) -> None:
        del self._channels[place]
        self._listener.place_lost(place)
        self._closing.look(self._channels)


def open_places(
    transport: Literal["framed", "http"], listener: PlacesListener, maximum: int, on_violation: Callable[[], None]
) -> PolledPlaces | ChannelPlaces:
    """The places of a runtime that is reached like this. `on_violation` is to end it."""
    if transport == "http":
        return PolledPlaces(listener, maximum)
    return ChannelPlaces(listener, maximum, on_violation)
