"""A small HTTP/1.1 server protocol: long polls, request bodies as they come, and request trailers.

Trailers are why it exists: a runtime that fails in the middle of a streamed answer says so in them, and ASGI has no
place for them. One request at a time on a connection; pipelined ones are refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol, cast

import httptools

# Above the 1 MiB that an error cause may have.
MAX_HEAD_BYTES = 2 * 1024 * 1024


class BodySink(Protocol):
    """Takes the body of one request."""

    def data(self, data: bytes) -> bool:
        """False pauses the connection until `HttpConnection.resume`."""

    def end(self, trailers: Mapping[str, bytes]) -> None: ...

    def aborted(self) -> None:
        """The connection broke before the end."""


class Discard:
    """The body of a request that is answered already."""

    def data(self, data: bytes) -> bool:
        return True

    def end(self, trailers: Mapping[str, bytes]) -> None:
        return

    def aborted(self) -> None:
        return


class WholeBody:
    """A body of no more than `limit_bytes`, taken as a whole; `complete` gets None for one that is larger."""

    def __init__(self, limit_bytes: int, complete: Callable[[bytes | None], None]) -> None:
        self._limit_bytes = limit_bytes
        self._complete = complete
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def data(self, data: bytes) -> bool:
        self._size_bytes += len(data)
        if self._size_bytes <= self._limit_bytes:
            self._parts.append(data)
        return True

    def end(self, trailers: Mapping[str, bytes]) -> None:
        self._complete(b"".join(self._parts) if self._size_bytes <= self._limit_bytes else None)

    def aborted(self) -> None:
        return


class Request:
    """The head of a request. Header names are in lower case."""

    __slots__ = ("headers", "method", "path")

    def __init__(self, method: str, path: str, headers: Mapping[str, bytes]) -> None:
        self.method = method
        self.path = path
        self.headers = headers

    def header(self, name: str, default: str = "") -> str:
        value = self.headers.get(name)
        return default if value is None else value.decode("utf-8", "replace")


class Service(Protocol):
    """What answers requests."""

    def request(self, connection: HttpConnection, request: Request) -> BodySink:
        """A request's head is here; answer through `connection.respond`, now or later."""

    def connected(self, connection: HttpConnection) -> None: ...

    def disconnected(self, connection: HttpConnection) -> None: ...


class HttpConnection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, bytes] = {}
        self._trailers: dict[str, bytes] | None = None
        self._head_bytes = 0
        self._sink: BodySink | None = None
        self._answered = True
        self._keep_alive = True
        self._successor: asyncio.Protocol | None = None

    def respond(
        self, status: int, body: bytes, content_type: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer the current request; does nothing when the client has gone."""
        self._answered = True
        if self._transport is None:
            return
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
        ]
        for name, value in (headers or {}).items():
            lines.append(f"{name}: {_one_line(value)}")
        if not self._keep_alive:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._transport.write(head + body)
        if not self._keep_alive and self._sink is None:
            self._transport.close()

    def upgrade(self, protocol: str, successor: asyncio.Protocol) -> None:
        """Answer a request to upgrade: from the end of its head on, the connection is `successor`'s."""
        self._answered = True
        self._successor = successor
        if self._transport is not None:
            lines = ("HTTP/1.1 101 Switching Protocols", f"Upgrade: {protocol}", "Connection: Upgrade", "", "")
            self._transport.write("\r\n".join(lines).encode())

    def _hand_over(self, data: bytes) -> None:
        transport, successor = self._transport, self._successor
        if transport is None or successor is None:
            self._refuse()
            return
        self._transport = self._sink = None
        self._service.disconnected(self)
        transport.set_protocol(successor)
        successor.connection_made(transport)
        if data:
            successor.data_received(data)

    def resume(self) -> None:
        """Read on after a sink said to pause."""
        if self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._service.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.aborted()
        self._service.disconnected(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._hand_over(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse()

    def _refuse(self) -> None:
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()

    # httptools

    def on_message_begin(self) -> None:
        if not self._answered or self._sink is not None:
            raise httptools.HttpParserError("pipelined request")
        self._answered = False
        self._url = b""
        self._headers = {}
        self._trailers = None
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name + value)
        target = self._headers if self._trailers is None else self._trailers
        target[name.decode("latin-1").lower()] = value

    def _count(self, data: bytes) -> None:
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise httptools.HttpParserError("request head too large")

    def on_headers_complete(self) -> None:
        self._trailers = {}
        self._keep_alive = self._parser.should_keep_alive()
        method = self._parser.get_method().decode()
        path = self._url.partition(b"?")[0].decode("latin-1")
        if self._headers.get("expect", b"").lower() == b"100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Set before, so that an answer given inside `request` does not end a connection whose body is still to come.
        self._sink = Discard()
        self._sink = self._service.request(self, Request(method, path, self._headers))

    def on_body(self, body: bytes) -> None:
        if self._sink is not None and not self._sink.data(body) and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.end(self._trailers or {})
        if self._answered and not self._keep_alive and self._transport is not None:
            self._transport.close()


def _one_line(value: str) -> str:
    """A header's value cannot have line ends; JSON, which these are, may have spaces in their place."""
    return value.replace("\r", " ").replace("\n", " ").replace("\0", " ")
