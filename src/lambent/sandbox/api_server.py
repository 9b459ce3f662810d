"""The listener of one environment: the Runtime, Extensions and Telemetry APIs at one address.

Each init has a listener of its own: who connects to it is of this environment. (Without network namespaces any process
of the machine could; the sandbox closes that.) It is there also for runtimes that do not poll it, because internal
extensions and wrappers may.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from lambent.sandbox.http_connection import BodySink, Discard, HttpConnection, Request, Service


class ApiServer:
    """Hands requests to services by the first part of their path."""

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}
        self._default: Service | None = None
        self._server: asyncio.Server | None = None
        self._serving: dict[HttpConnection, Service | None] = {}
        self.address = ""

    @classmethod
    async def open(cls, listener: socket.socket | None = None) -> ApiServer:
        """Listen on `listener`, or on a free loopback port; `address` is what AWS_LAMBDA_RUNTIME_API holds."""
        api = cls()
        loop = asyncio.get_running_loop()
        if listener is None:
            # A socket of our own making is half the cost of a start: no name is looked up.
            listener = socket.create_server(("127.0.0.1", 0))
        api._server = await loop.create_server(lambda: HttpConnection(api), sock=listener)
        host, port = api._server.sockets[0].getsockname()
        api.address = f"{host}:{port}"
        return api

    def serve(self, services: Mapping[str, Service], default: Service | None = None) -> None:
        """Let each service answer the paths that begin with its `/version`, and `default` all others."""
        self._services |= services
        self._default = default or self._default

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._serving):
            connection.abort()

    # http_connection.Service

    def connected(self, connection: HttpConnection) -> None:
        # Until it has said something, a connection may be the runtime's.
        self._serving[connection] = self._default
        if self._default is not None:
            self._default.connected(connection)

    def disconnected(self, connection: HttpConnection) -> None:
        service = self._serving.pop(connection, None)
        if service is not None:
            service.disconnected(connection)

    def request(self, connection: HttpConnection, request: Request) -> BodySink:
        version = request.path[: request.path.find("/", 1)]
        service = self._services.get(version, self._default)
        before = self._serving.get(connection)
        if service is not before:
            if before is not None:
                before.disconnected(connection)
            if service is not None:
                service.connected(connection)
            self._serving[connection] = service
        if service is not None:
            return service.request(connection, request)
        if request.method == "GET" and request.path in ("/ping", "/2018-06-01/ping"):
            connection.respond(200, b"pong", "text/plain")
        else:
            connection.respond(404, b"404 page not found\n", "text/plain; charset=utf-8")
        return Discard()
