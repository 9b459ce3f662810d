"""One client connection: uvicorn's httptools protocol, and what an endpoint needs beyond it.

uvicorn tells an application of a lost client only when it asks; here the loss cancels the task that serves the
request, so that a long poll or a stream ends at once, without a watching task per request. A request's head is
bounded in bytes and in time, which httptools leaves open. And the head of a response that is there as a whole leaves
in one write with its body: two writes were 39 % of the time that a small request took here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 30.0


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
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_JoiningTransport(transport))  # type: ignore[arg-type]
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_late)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._disarm()
        # Requests that wait in the pipeline have no task yet and never get one.
        self.pipeline.clear()
        if self.serving is not None:
            self.serving.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("Request header fields are too large.")
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_late)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open = True
        self._head_bytes = 0
        self.scope["lambent.connection"] = self  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        self._head_open = False
        self._disarm()
        super().on_headers_complete()

    def join_head_with_body(self) -> None:
        """Hold the next write (a response's head) back until the one after it, which must follow at once."""
        self.transport.hold_next = True

    def abort(self) -> None:
        """Drop the connection at once: the client sees that the answer is not whole."""
        self.transport.abort()

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()
