"""The framed socket to our own runtimes: one write for an event, one frame back.

A stream socket, descriptor 3 in the runtime (named by `_LAMBENT_CHANNEL_FD`); a runtime that runs several events at
once has that one for its output, and opens another for each event that it could take (see `places`). A frame is its
type (one byte), the length of its body (four bytes, big-endian) and the body. `text` is a two-byte length and UTF-8;
`peak` is the process's largest resident memory so far in KiB (four bytes, 0 = unknown).

    to the runtime
      I  invoke        length of the fields (four bytes); the fields joined by NUL: request id, deadline (epoch ms),
                       invoked ARN, trace id, tenant id, content type, Cognito identity, client context; the event
    from the runtime
      R  ready         peak                      the handler is loaded
      X  init error    text type, error JSON     the runtime ends after it
      O  output        bytes                     what was printed, in any portions
      L  log           bytes                     one log record, whole
      A  answer        peak, text content type, the result      the runtime is ready for the next event
      E  error         peak, text type, error JSON              likewise
      H  head          text content type         the result comes as a stream
      C  chunk         bytes
      Z  end           peak                      of the stream; ready for the next event
      B  broken        peak, text type, error JSON              the stream ends with an error; ready
      K  keep          -                       the answer that comes next (A, E, Z, B) leaves the runtime busy: it is
                                               ready only with an R of its own, or it ends

A runtime that breaks these rules is not trusted any further: the socket is closed and its process killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import cast

from lambent.core import limits
from lambent.sandbox import failures
from lambent.sandbox.lifecycle import InvalidTransition
from lambent.sandbox.protocol import Invocation
from lambent.sandbox.session import Session

log = logging.getLogger("lambent.sandbox")

CHANNEL_VARIABLE = "_LAMBENT_CHANNEL_FD"
_HEAD_BYTES = 5
_KIND_ANSWER = ord("A")
_KIND_ERROR = ord("E")
_KIND_BROKEN = ord("B")
# Longest frames that are kept: a result with its type, and log records, which AWS cuts at 256 KiB.
_MAX_RESULT_FRAME_BYTES = limits.LAMBDA_RESPONSE_BYTES + 4 + 2 + 65535
_MAX_FRAME_BYTES = 16 * limits.MIB


class ProtocolViolation(Exception):
    """A frame that makes no sense."""


def encode_invocation(invocation: Invocation) -> bytes:
    """The `I` frame of an event."""
    # The client context goes last: it is the one field whose text others choose, and may hold what it likes.
    fields = "\0".join(
        (
            invocation.request_id,
            str(invocation.deadline_ms),
            invocation.invoked_function_arn,
            invocation.trace_id,
            invocation.tenant_id,
            "application/json",
            invocation.cognito_identity,
            invocation.client_context,
        )
    ).encode()
    size = 4 + len(fields) + len(invocation.payload)
    return b"".join((b"I", size.to_bytes(4, "big"), len(fields).to_bytes(4, "big"), fields, invocation.payload))


class FramedTransport(asyncio.Protocol):
    """The platform's end of the socket."""

    def __init__(self, session: Session, on_violation: Callable[[], None]) -> None:
        self._session = session
        self._on_violation = on_violation
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._skip_bytes = 0  # of an oversized result, which is read and thrown away
        self._paused = False
        self._keeps_event = False  # after K, until the answer
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, session: Session, sock: socket.socket, on_violation: Callable[[], None]) -> FramedTransport:
        """Speak over `sock`, which the transport owns from now on."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_unix_connection(lambda: cls(session, on_violation), sock=sock)
        return protocol

    def deliver(self, invocation: Invocation) -> None:
        self._session.dispatched(invocation)
        if self._transport is not None:
            self._transport.write(encode_invocation(invocation))

    def resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    async def wait_closed(self) -> None:
        await asyncio.shield(self._closed)

    @property
    def closed(self) -> bool:
        return self._closed.done()

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the socket is closed and all that came through it has been taken in."""
        self._closed.add_done_callback(lambda _: callback())

    def duplicate(self) -> socket.socket:
        """Another descriptor of the socket, for what is said besides frames; the caller's to close. Raises OSError."""
        if self._transport is None:
            raise ConnectionResetError("the runtime has closed its socket")
        return socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno()))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._closed.done():
            self._closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(data))
            self._skip_bytes -= skipped
            data = data[skipped:]
            if self._skip_bytes:
                return
            self._oversized_is_over()
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= _HEAD_BYTES:
                size = int.from_bytes(buffer[at + 1 : at + _HEAD_BYTES], "big")
                end = at + _HEAD_BYTES + size
                if end > len(buffer):
                    if size > _MAX_FRAME_BYTES or (buffer[at] == _KIND_ANSWER and size > _MAX_RESULT_FRAME_BYTES):
                        if buffer[at] != _KIND_ANSWER:
                            raise ProtocolViolation(f"frame {chr(buffer[at])} of {size} bytes")
                        self._session.begin_response()
                        self._skip_bytes = end - len(buffer)
                        at = len(buffer)
                    break
                self._frame(buffer[at], bytes(memoryview(buffer)[at + _HEAD_BYTES : end]))
                at = end
        except (ProtocolViolation, InvalidTransition, UnicodeDecodeError) as error:
            log.warning("a runtime broke the rules of its socket and is killed: %s", error)
            self.close()
            self._on_violation()
        del buffer[:at]

    def _oversized_is_over(self) -> None:
        self._session.failed(failures.TOO_LARGE, failures.too_large())
        self._answered()

    def _answered(self) -> None:
        """An answer is complete, and with it the event, unless the runtime has said otherwise."""
        if self._keeps_event:
            self._keeps_event = False
        else:
            self._session.ready()

    def _frame(self, kind: int, body: bytes) -> None:
        session = self._session
        if kind == _KIND_ANSWER:
            self._peak(body)
            content_type, at = _text(body, 4)
            session.begin_response()
            if len(body) - at > limits.LAMBDA_RESPONSE_BYTES:
                session.failed(failures.TOO_LARGE, failures.too_large())
            else:
                session.answered(content_type, body[at:])
            self._answered()
        elif kind == ord("L"):
            session.logged(body)
        elif kind == ord("O"):
            session.printed(body)
        elif kind in (_KIND_ERROR, _KIND_BROKEN):
            self._peak(body)
            error_type, at = _text(body, 4)
            if kind == _KIND_ERROR:
                session.begin_error()
            if len(body) - at > limits.LAMBDA_RESPONSE_BYTES:
                session.failed(failures.TOO_LARGE, failures.too_large())
            else:
                session.failed(error_type, body[at:])
            self._answered()
        elif kind == ord("R"):
            self._peak(body)
            session.ready()
        elif kind == ord("X"):
            error_type, at = _text(body, 0)
            session.init_failed(error_type, body[at:])
        elif kind == ord("H"):
            content_type, _ = _text(body, 0)
            session.begin_response()
            session.stream_begun(content_type)
        elif kind == ord("C"):
            if not session.stream_chunk(body) and self._transport is not None and not self._paused:
                self._paused = True
                self._transport.pause_reading()
        elif kind == ord("Z"):
            self._peak(body)
            session.stream_ended()
            self._answered()
        elif kind == ord("K"):
            self._keeps_event = True
        else:
            raise ProtocolViolation(f"unknown frame type {kind}")

    def _peak(self, body: bytes) -> None:
        self._session.memory_peak_bytes = int.from_bytes(body[:4], "big") * limits.KIB


def _text(body: bytes, at: int) -> tuple[str, int]:
    """A `text` at `at`, and where it ends."""
    start = at + 2
    end = start + int.from_bytes(body[at:start], "big")
    if len(body) < start or len(body) < end:
        raise ProtocolViolation("a text runs over the end of its frame")
    return body[start:end].decode(), end
