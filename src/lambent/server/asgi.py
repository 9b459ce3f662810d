"""Between uvicorn's ASGI messages and our requests and responses.

Bodies are async byte iterators in both directions. uvicorn stops reading from the socket while 64 KiB of a body wait
to be asked for, and makes the sender of a response wait while the socket is full: that is the whole of back-pressure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from email.utils import formatdate
from typing import Any

from lambent.core.clock import Clock
from lambent.server.connection import Connection
from lambent.server.wire import WireResponse

log = logging.getLogger("lambent.http")
access_log = logging.getLogger("lambent.access")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class BodyTooLarge(Exception):
    """The request's body is over the limit; what came of it has been dropped."""


class ClientGone(Exception):
    """The client went away before its request was complete."""


class Incoming:
    """One request as it arrives. `path` is still percent-encoded, header names are lower case.

    The body is read once, either whole or as a stream.
    """

    __slots__ = ("_receive", "headers", "method", "path", "query", "untouched")

    def __init__(self, scope: Mapping[str, Any], receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["raw_path"].decode("latin-1")
        self.query: str = scope["query_string"].decode("latin-1")
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: dict[str, str] = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        if len(self.headers) != len(headers):
            self.headers = _joined(headers)
        self._receive = receive
        self.untouched = True  # nobody has asked for the body yet

    @property
    def has_body(self) -> bool:
        """Whether the head announces a body."""
        return self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises BodyTooLarge as soon as it is known to be over the limit, and ClientGone."""
        length = self.headers.get("content-length")
        if length is None:
            if "transfer-encoding" not in self.headers:
                return b""
        elif length == "0":
            return b""
        elif int(length) > limit_bytes:  # the HTTP parser let nothing but digits pass
            raise BodyTooLarge
        self.untouched = False
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        body: bytes = message["body"]
        if not message["more_body"] and len(body) <= limit_bytes:
            return body
        pieces, size = [body], len(body)
        while message["more_body"]:
            if size > limit_bytes:
                raise BodyTooLarge
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone
            pieces.append(message["body"])
            size += len(message["body"])
        if size > limit_bytes:
            raise BodyTooLarge
        return b"".join(pieces)

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it comes; the client is held back while nobody asks. Raises ClientGone."""
        more = self.has_body
        self.untouched = False
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone
            if message["body"]:
                yield message["body"]
            more = message["more_body"]


Handle = Callable[[Incoming], Awaitable[WireResponse]]


class Application:
    """The ASGI application around `handle`, which must answer for everything that can go wrong in it."""

    def __init__(self, handle: Handle, clock: Clock) -> None:
        self._handle = handle
        self._clock = clock
        self._date = (0, "")

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        connection: Connection = scope["lambent.connection"]
        # Given its loop, current_task needs no system call to find it.
        connection.serving = asyncio.current_task(connection.loop)
        started_s = self._clock.monotonic() if access_log.isEnabledFor(logging.DEBUG) else 0.0
        response: WireResponse | None = None
        try:
            incoming = Incoming(scope, receive)
            response = await self._handle(incoming)
            await self._respond(incoming, response, send, connection)
            if started_s:
                spent_ms = (self._clock.monotonic() - started_s) * 1000
                access_log.debug("%s %s %d %.1f ms", incoming.method, incoming.path, response.status, spent_ms)
        except (asyncio.CancelledError, ClientGone):
            # The client went away, or the server's grace is over: nobody hears an answer. uvicorn takes a
            # cancelled application for a broken one, so the cancellation ends here, where the task ends too.
            connection.abort()
        except Exception:  # the outermost edge: the answer has begun and cannot be finished
            log.exception("%s %s: the response broke off", scope["method"], scope["path"])
            connection.abort()
        finally:
            connection.serving = None
            if response is not None and not isinstance(response.body, bytes):
                close = getattr(response.body, "aclose", None)
                if close is not None:
                    await close()

    async def _respond(self, incoming: Incoming, response: WireResponse, send: Send, connection: Connection) -> None:
        body, status = response.body, response.status
        headers, has_length = [("date", self._now())], False
        for header in response.headers:
            headers.append(header)
            name = header[0]
            if len(name) == 14 and name.lower() == "content-length":
                has_length = True
        if not has_length and isinstance(body, bytes) and status not in _BODILESS:
            headers.append(("content-length", str(len(body))))
        if incoming.untouched and "expect" in incoming.headers:
            # A client that was never told to continue may send its next request where we would look for the body.
            connection.close_after_response()
        # No body answers HEAD, and copying a big body costs more than a second write.
        if (
            isinstance(body, bytes)
            and len(body) < _JOINED_BYTES
            and incoming.method != "HEAD"
            and connection.send_whole(status, headers, body)
        ):
            return
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        if incoming.method != "HEAD":
            async for chunk in body:
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _now(self) -> str:
        second = int(self._clock.now())
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]


_JOINED_BYTES = 65536
_BODILESS = frozenset({204, 304})


def _joined(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Repeated headers joined by commas, as HTTP says they may be.

    Not so Host: two of them end up as one that no gate knows.
    """
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
