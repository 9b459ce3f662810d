"""The one HTTP endpoint: it listens, and everything that comes in goes through its dispatcher.

uvicorn's httptools protocol is embedded in our loop without uvicorn's server around it: that one polls ten times a
second, takes the process's signals and exits on a taken port (docs/decisions/0001-http-server.md).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from uvicorn.config import Config
from uvicorn.server import ServerState

from lambent.core.clock import Clock
from lambent.core.config import ServerConfig
from lambent.core.errors import UserFacingError
from lambent.core.ids import IdSource, new_uuid
from lambent.server import hosts
from lambent.server.asgi import Application
from lambent.server.authenticator import Authenticator
from lambent.server.connection import Connection
from lambent.server.credentials import Credentials, read_auth_file
from lambent.server.dispatch import Dispatcher
from lambent.server.gate import Gate
from lambent.server.internal_routes import InternalHandler, InternalRoutes
from lambent.server.registry import OperationRegistry

log = logging.getLogger("lambent.http")

BACKLOG = 2048
KEEP_ALIVE_S = 75
# How long connections may take to end once their tasks are cancelled.
LAST_WORDS_S = 1.0


def read_credentials(config: ServerConfig, clock: Clock) -> Credentials:
    """The keys of `config.auth_file` (none without one) with room for minted ones. Raises UserFacingError."""
    return Credentials(read_auth_file(config.auth_file) if config.auth_file else None, clock=clock)


class Endpoint:
    """Serves the registered operations and Lambent's own routes on `config.host` and `config.port`.

    With `config.auth_file` every signature is verified against `credentials`. Raises UserFacingError for a host
    beyond loopback without it. `check_host`, `check_origin` and `require_signature` exist for the tests that show what
    each defence is for.
    """

    def __init__(
        self,
        *,
        config: ServerConfig,
        registry: OperationRegistry,
        credentials: Credentials,
        clock: Clock,
        new_request_id: IdSource = new_uuid,
        check_host: bool = True,
        check_origin: bool = True,
        require_signature: bool = True,
    ) -> None:
        on_loopback = _is_loopback(config.host)
        if not on_loopback and config.auth_file is None:
            raise UserFacingError(
                f"Listening on {config.host} without --auth would let anybody in: give --auth FILE, or --host 127.0.0.1"
            )
        self._config = config
        names = [*config.allowed_hosts, *([config.external_host] if config.external_host else ())]
        if on_loopback or hosts.literal(config.host) is None:
            names.append(config.host)
        authenticator = Authenticator(credentials, clock, verify=config.auth_file is not None)
        self._routes = InternalRoutes(authenticator)
        dispatcher = Dispatcher(
            registry=registry,
            gate=Gate(
                allowed_hosts=names,
                address_literals=not on_loopback,
                check_host=check_host,
                check_origin=check_origin,
            ),
            authenticator=authenticator,
            routes=self._routes,
            clock=clock,
            new_request_id=new_request_id,
            base_url=_base_url(config.external_host) if config.external_host else None,
            require_signature=require_signature,
        )
        self._uvicorn = Config(
            Application(dispatcher.handle, clock),
            interface="asgi3",
            loop="none",
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._port: int | None = None

    @property
    def port(self) -> int:
        """The port in use. Raises RuntimeError while the endpoint does not listen."""
        if self._port is None:
            raise RuntimeError("the endpoint does not listen")
        return self._port

    @property
    def url(self) -> str:
        """The base URL for people and clients: the external host where there is one.

        Raises RuntimeError while the endpoint does not listen.
        """
        if self._config.external_host:
            return _base_url(self._config.external_host)
        return self.local_url

    @property
    def local_url(self) -> str:
        """The base URL on this machine, where the external host may mean nothing.

        Raises RuntimeError while the endpoint does not listen.
        """
        host = self._config.host
        if host in {"0.0.0.0", ""}:
            host = "127.0.0.1"  # every interface: that one answers on this machine too
        elif host in {"::", "[::]"}:
            host = "[::1]"  # every IPv6 interface, and no other
        elif ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"http://{host}:{self.port}"

    @property
    def in_flight(self) -> int:
        """Requests that are being answered right now."""
        return len(self._state.tasks)

    def add_route(self, method: str, path: str, handler: InternalHandler, *, anonymous: bool = False) -> None:
        """Serve one of our own routes, below `/_lambent/`; `internal_routes` says who may ask for it.

        Raises ValueError.
        """
        self._routes.add(method, path, handler, anonymous=anonymous)

    async def start(self) -> None:
        """Listen. Raises UserFacingError when host or port cannot be had."""
        if self._server is not None:
            raise RuntimeError("the endpoint listens already")
        if not self._uvicorn.loaded:
            self._uvicorn.load()
        loop = asyncio.get_running_loop()
        # `localhost` would be two sockets, and with port 0 two ports.
        host = "127.0.0.1" if self._config.host == "localhost" else self._config.host.strip("[]")
        try:
            server = await loop.create_server(self._connection(loop), host, self._config.port, backlog=BACKLOG)
        except (OSError, OverflowError) as error:
            raise UserFacingError(_cannot_listen(self._config, error)) from error
        self._server, self._port = server, server.sockets[0].getsockname()[1]

    async def serve(self, listener: socket.socket) -> asyncio.Server:
        """Answer on one more socket, which listens already; the server that comes back owns it.

        Sandboxes reach the endpoint so: their listener lies in a network that this process has no other part in.
        """
        if not self._uvicorn.loaded:
            self._uvicorn.load()
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._connection(loop), sock=listener)

    def _connection(self, loop: asyncio.AbstractEventLoop) -> Callable[[], Connection]:
        return lambda: Connection(self._uvicorn, self._state, loop)

    async def stop(self, grace_s: float) -> None:
        """Stop accepting, let requests that are under way finish for `grace_s` real seconds, then cut them off."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            log.info("finishing %d requests", len(self._state.tasks))
            _, late = await asyncio.wait(set(self._state.tasks), timeout=grace_s)
            if late:
                log.warning("%d requests did not finish in %g s and are cut off", len(late), grace_s)
                for task in late:
                    task.cancel()
                await asyncio.wait(late, timeout=LAST_WORDS_S)
        await self._close_connections()
        self._port = None

    async def _close_connections(self) -> None:
        """Give answers that are still in socket buffers a moment to leave, then drop what is left."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LAST_WORDS_S
        while self._state.connections and loop.time() < deadline:
            gone = loop.create_future()
            loop.call_later(0.01, gone.set_result, None)
            await gone
        for connection in list(self._state.connections):
            connection.transport.abort()


def _is_loopback(host: str) -> bool:
    name = hosts.split_host(f"[{host}]" if ":" in host and not host.startswith("[") else host)
    return name is not None and hosts.is_loopback(name)


def _base_url(host: str) -> str:
    """The base URL of an external host that may carry a scheme."""
    return (host if "://" in host else f"http://{host}").rstrip("/")


def _cannot_listen(config: ServerConfig, error: Exception) -> str:
    where = f"{config.host}:{config.port}"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return f"Port {config.port} on {config.host} is taken: stop what listens there, or choose another with --port"
    if number == errno.EACCES:
        return f"No permission to listen on {where}: ports below 1024 need root; choose another with --port"
    return f"Cannot listen on {where}: {error}"
