"""One client connection: uvicorn's httptools protocol, and what an endpoint needs beyond it.

uvicorn tells an application of a lost client only when it asks; here the loss cancels the task that serves the
request, so that a long poll or a stream ends at once, without a watching task per request. A request's head and its
trailers are bounded in bytes, its head and every pause in its body in time, which httptools leaves open. An offer to
upgrade is passed over, where httptools would lose the body after it. And a response that is there as a whole leaves in
one write, past ASGI's messages: two writes were 39 % of the time that a small request took here, and the messages 4 %.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

log = logging.getLogger("lambent.http")

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 30.0
# How long a client may leave us waiting for the next part of a body.
BODY_PAUSE_S = 60.0
_HEADERS = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
_UPGRADE_HEADERS = frozenset({b"upgrade", b"http2-settings"})


class Connection(HttpToolsProtocol):
    """Adds cancellation on disconnect, limits of the head and whole responses to uvicorn's protocol.

    The application finds the connection in its scope as `lambent.connection` and registers its task there.
    """

    def __init__(self, config: Config, server_state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, server_state, {}, loop)
        self.serving: asyncio.Task[Any] | None = None
        self._answering: RequestResponseCycle | None = None  # `cycle` is the last one read, which may have to wait
        self._head_open = False
        self._head_bytes = 0
        self._ended_one = False
        self._body_open = False
        self._body_came = False
        self._bodiless_bytes = 0  # since the last byte of body: what else there is are chunk sizes and trailers
        self._timer: asyncio.TimerHandle | None = None
        self._idle_since_s: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._disarm()
        # Requests that wait in the pipeline have no task yet and never get one.
        self.pipeline.clear()
        if self.serving is not None:
            self.serving.cancel()

    def data_received(self, data: bytes) -> None:
        # All of uvicorn's own, but for what it makes of upgrades.
        self._idle_since_s = None
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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        # uvicorn sets and cancels a timer for each pause; this one looks, when it fires, how long the pause has been.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since_s = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since_s is None:
            return
        left_s = self._idle_since_s + self.timeout_keep_alive - self.loop.time()
        if left_s <= 0:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)

    def send_whole(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> bool:
        """Answer the request with all that there is to say; False when the client cannot take it right now.

        `headers` say how long the body is, unless the status is of those that have none. Whether the connection stays
        open is not theirs to say (`close_after_response`). Raises ValueError for characters that do not belong there.
        """
        cycle = self._answering
        if cycle is None or self.flow.write_paused or cycle.response_started:
            return False
        if cycle.disconnected:
            return True
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        head = "".join(lines)
        if head.count("\n") != len(lines) or _HEADERS.fullmatch(head) is None:
            raise ValueError("invalid characters in a response header")
        if not cycle.keep_alive:
            head += "connection: close\r\n"
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], head.encode(), body))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def close_after_response(self) -> None:
        """The connection ends with the answer that is being given."""
        if self._answering is not None:
            self._answering.keep_alive = False

    def abort(self) -> None:
        """Drop the connection at once: the client sees that the answer is not whole."""
        if self._answering is not None:
            self._answering.disconnected = True  # so that uvicorn does not report a missing answer
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
