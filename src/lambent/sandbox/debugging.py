"""Debugger ports: a loopback port of this machine that leads to the debugger inside one environment after the other.

The debugger listens inside the environment, where in a sandbox nobody else gets to; connections are made from inside
and passed out (`launcher.Cell.connect`). A connection that comes too early waits: for an environment, then for its
debugger to listen. So whoever attaches needs no luck, and an editor may be told to attach before the event is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from lambent.core import ids
from lambent.core.clock import Clock
from lambent.sandbox.launcher import Cell
from lambent.sandbox.protocol import StartRefused

HOST: Final = "127.0.0.1"
# Where the editors of each language look first.
USUAL_PORTS: Final = {"debugpy": 5678, "inspector": 9229}
_ASK_AGAIN_S: Final = 0.05
_CHUNK_BYTES: Final = 1 << 16
_FIRST_BYTES_S: Final = 30.0
# A web page can make its browser connect to any port of this machine. Node's inspector knows what to do about that;
# debugpy reads a request of HTTP as a message of its own, so what does not begin like one does not get there.
_BEGINNINGS: Final = {"debugpy": b"Content-Length:", "inspector": b"GET "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An environment whose runtime waits for a debugger. `folder` is what the function's code is called there."""

    cell: Cell
    inside_port: int
    folder: str
    end: Callable[[], Awaitable[None]]


class DebugPort:
    """A listening port. `attached` says whether a debugger has got through to the present environment."""

    def __init__(self, debugger: str, clock: Clock, on_close: Callable[[DebugPort], None]) -> None:
        self.id = ids.new_hex()
        self._on_close = on_close
        self.debugger = debugger
        self.port = 0
        self.attached = False
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._waiting: Waiting | None = None
        self._ended = False
        self._changed = asyncio.Condition()
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, port: int) -> None:
        """Raises OSError when it is taken."""
        self._server = await asyncio.start_server(self._accept, HOST, port)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def folder(self) -> str:
        """What the code is called in the present environment; "" while there is none."""
        return self._waiting.folder if self._waiting is not None else ""

    async def wait_environment(self) -> None:
        """Return when an environment is there to attach to."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting is not None)

    async def wait_attached(self) -> None:
        """Return when a debugger has got through."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.attached)

    async def lead_to(self, waiting: Waiting) -> None:
        """Connections go to this environment from now on. Raises StartRefused when nobody wants it any more."""
        if self._ended:
            raise StartRefused("the debugging session was ended")
        self._waiting = waiting
        async with self._changed:
            self._changed.notify_all()

    def free(self) -> None:
        """The environment is over; the port can lead to another."""
        self._waiting = None
        self.attached = self._ended = False

    async def end(self) -> None:
        """End the environment that this leads to, or will lead to before `free`."""
        self._ended = True
        if self._waiting is not None:
            await self._waiting.end()

    async def close(self) -> None:
        """Listen no more and cut all connections."""
        self._on_close(self)
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._forward(reader, writer)
        except asyncio.CancelledError:
            return  # by `close`
        finally:
            self._connections.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await self._first_bytes(reader)
        if not first:
            return
        upstream = await self._connect()
        if upstream is None:
            return
        inside_reader, inside_writer = upstream
        try:
            inside_writer.write(first)
            pumps = [
                asyncio.ensure_future(_pump(reader, inside_writer)),
                asyncio.ensure_future(_pump(inside_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            inside_writer.close()

    async def _first_bytes(self, reader: asyncio.StreamReader) -> bytes:
        """What the connection begins with; empty when that is nothing that the debugger should see."""
        beginning = _BEGINNINGS[self.debugger]
        try:
            first = await self._clock.wait_for(reader.readexactly(len(beginning)), _FIRST_BYTES_S)
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            return b""
        return first if first == beginning else b""

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the debugger of the present or next environment; None if that one ends before it listens."""
        await self.wait_environment()
        waiting = self._waiting
        while waiting is not None and self._waiting is waiting:
            try:
                stream = await asyncio.open_connection(sock=await _connected(waiting))
            except OSError:
                await self._clock.sleep(_ASK_AGAIN_S)
                continue
            self.attached = True
            async with self._changed:
                self._changed.notify_all()
            return stream
        return None


async def _connected(waiting: Waiting) -> socket.socket:
    """A connection to the debugger that is known to be answered. Raises OSError."""
    sock = await waiting.cell.connect(waiting.inside_port)
    loop = asyncio.get_running_loop()
    decided: asyncio.Future[None] = loop.create_future()
    # In a sandbox it may still be under way.

    def decide() -> None:
        if not decided.done():
            decided.set_result(None)

    loop.add_writer(sock.fileno(), decide)
    try:
        await decided
        if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, "the debugger does not listen yet")
        sock.getpeername()
    except BaseException:
        loop.remove_writer(sock.fileno())
        sock.close()
        raise
    loop.remove_writer(sock.fileno())
    return sock


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


class DebugPorts:
    """The debugger ports of this machine's environments."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ports: dict[str, DebugPort] = {}

    async def open(self, debugger: str, port: int) -> DebugPort:
        """Listen on `port`; for 0 on the usual one of this kind of debugger, or a free one if that is taken.

        Raises OSError when the port is taken.
        """
        opened = DebugPort(debugger, self._clock, self._forget)
        try:
            await opened.listen(port or USUAL_PORTS[debugger])
        except OSError:
            if port:
                raise
            await opened.listen(0)
        self._ports[opened.id] = opened
        return opened

    def _forget(self, port: DebugPort) -> None:
        self._ports.pop(port.id, None)

    def find(self, port_id: str) -> DebugPort:
        """Raises StartRefused when it was closed."""
        try:
            return self._ports[port_id]
        except KeyError:
            raise StartRefused("the debugging session was ended") from None
