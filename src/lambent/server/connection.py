"""One client connection: uvicorn's httptools protocol, and what an endpoint needs beyond it.

uvicorn tells an application of a lost client only when it asks; here the loss cancels the task that serves the
request, so that a long poll or a stream ends at once, without a watching task per request. A request's head and its
trailers are bounded in bytes, its head and every pause in its body in time, which httptools leaves open. An offer to
upgrade is passed over, where httptools would lose the body after it. And the head of a response that is there as a
whole leaves in one write with its body: two writes were 39 % of the time that a small request took here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

log = logging.getLogger("lambent.http")

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 30.0
# How long a client may leave us waiting for the next part of a body.
BODY_PAUSE_S = 60.0
_UPGRADE_HEADERS = frozenset({b"upgrade", b"http2-settings"})


class _JoiningTransport:
    """The connection's transport, which can hold one write back and let it go with the next."""

    __slots__ = ("_held", "_write", "_writing_transport", "hold_next", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._writing_transport = transport
        self._write = transport.write
        self._held: bytes | None = None
        self.hold_next = False
        # What uvicorn asks for with every request skips __getattr__.
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if self.hold_next:
            self.hold_next = False
            self._held = data
        elif self._held is not None:
            held, self._held = self._held, None
            self._write(held + data)
        else:
            self._write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writing_transport, name)


class Connection(HttpToolsProtocol):
    """Adds cancellation on disconnect, limits of the head and joined writes to uvicorn's protocol.

    The application finds the connection in its scope as `lambent.connection` and registers its task there.
    """

    transport: _JoiningTransport  # type: ignore[assignment]

    def __init__(self, config: Config, server_state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, server_state, {}, loop)
        self.serving: asyncio.Task[Any] | None = None
        self._head_open = False
        self._head_bytes = 0
        self._ended_one = False
        self._body_open = False
        self._body_came = False
        self._bodiless_bytes = 0  # since the last byte of body: what else there is are chunk sizes and trailers
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_JoiningTransport(transport))  # type: ignore[arg-type]
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._disarm()
        # Requests that wait in the pipeline have no task yet and never get one.
        self.pipeline.clear()
        if self.serving is not None:
            self.serving.cancel()

    def data_received(self, data: bytes) -> None:
        # All of uvicorn's own, but for what it makes of upgrades.
        self._unset_keepalive_if_required()
        self._ended_one = False
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            log.debug("invalid HTTP: %s", error)
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._head_open:
            self._head_goes_on(len(data))
        elif self._body_open:
            self._body_goes_on(len(data))
        elif self._timer is not None:
            self._disarm()

    def _parse(self, data: bytes) -> None:
        """Raises HttpParserError."""
        rest: bytes | memoryview = data
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
                self._pass_over_upgrade()
            else:
                return

    def _pass_over_upgrade(self) -> None:
        """Read the head once more as one that offers no upgrade: a server may ignore the offer (RFC 9110, 7.8)."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("this is no proxy")
        lines = [b"%b %b HTTP/1.1" % (method, self.url)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] not in _UPGRADE_HEADERS]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def _head_goes_on(self, size_bytes: int) -> None:
        if not self._ended_one:  # otherwise most of the data may be earlier requests
            self._head_bytes += size_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("Request header fields are too large.")
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._late)

    def _body_goes_on(self, size_bytes: int) -> None:
        self._bodiless_bytes = 0 if self._body_came else self._bodiless_bytes + size_bytes
        self._body_came = False
        if self._bodiless_bytes > MAX_HEAD_BYTES:
            self.send_400_response("Request trailer fields are too large.")
            return
        self._disarm()
        self._timer = self.loop.call_later(BODY_PAUSE_S, self._late)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open = True
        self._head_bytes = 0
        self.scope["lambent.connection"] = self  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        self._head_open = False
        self._disarm()
        if self.parser.should_upgrade():
            return  # the parser stops here, and `data_received` goes on
        self._body_open, self._bodiless_bytes = True, 0
        super().on_headers_complete()
        # What trailers come must not become headers of a request that is being answered.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        self._body_came = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._body_open, self._ended_one = False, True
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def join_head_with_body(self) -> None:
        """Hold the next write (a response's head) back until the one after it, which must follow at once."""
        self.transport.hold_next = True

    def abort(self) -> None:
        """Drop the connection at once: the client sees that the answer is not whole."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # so that uvicorn does not report a missing answer
        self.transport.abort()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self._body_open and self.flow.read_paused:
            # It is us who are slow.
            self._timer = self.loop.call_later(BODY_PAUSE_S, self._late)
        elif not self.transport.is_closing():
            self.transport.close()
