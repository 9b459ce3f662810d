"""The way out of sandboxes: the server connects for them, to where they may go.

`sandbox_network` brings every TCP connection that is not for the sandbox itself to one listener, whose accepted sockets
say where the connection was meant to go. Here that is decided and, if allowed, carried: bytes both ways, with the
pressure and the half-closes of each side passed on. A function sees a refused destination as a connection that is
reset. Names are asked of this machine's name servers, which need not be reachable otherwise.

What does not go out: UDP (but for names), IPv6, ICMP.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final, cast

log = logging.getLogger("lambent.sandbox")

_CONNECT_S: Final = 20.0
_NAME_PORT: Final = 53
_ANSWER_S: Final = 10.0
_MAX_QUESTIONS: Final = 256  # of one sandbox at a time

Address = tuple[str, int]


def is_forbidden(host: str, own: Callable[[str], bool]) -> bool:
    """Whether a sandbox may never connect to this IPv4 address: this machine, link-local, and what is no host at all.

    `own` says whether an address is one of this machine's.
    """
    address = ipaddress.IPv4Address(host)
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _THIS_NETWORK
        or address in _RESERVED
        or own(host)
    )


_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")
_RESERVED: Final = ipaddress.IPv4Network("240.0.0.0/4")  # with the broadcast address


def is_own(host: str) -> bool:
    """Whether an address is this machine's: the kernel would then talk from that very address. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return False  # no route: connecting will fail by itself
        return bool(probe.getsockname()[0] == host)


def name_servers(resolv_conf: str) -> list[str]:
    """The IPv4 name servers of a resolv.conf."""
    found = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with contextlib.suppress(ValueError):
                found.append(str(ipaddress.IPv4Address(words[1])))
    return found


class Egress:
    """Serves the way out of one sandbox until closed."""

    def __init__(self, names: Sequence[str], own: Callable[[str], bool] = is_own) -> None:
        self._names = names
        self._own = own
        self._servers: list[asyncio.Server] = []
        self._questions: asyncio.DatagramTransport | None = None
        self._pipes: set[_Inside] = set()

    @classmethod
    async def serve(cls, sockets: Sequence[socket.socket], names: Sequence[str]) -> Egress:
        """`sockets` are from `sandbox_network.build`: the way out, and the name server's two (UDP, TCP)."""
        egress = cls(names)
        way_out, udp, tcp = sockets
        loop = asyncio.get_running_loop()
        egress._servers.append(await loop.create_server(lambda: _Inside(egress, None), sock=way_out))
        if names:
            server = (names[0], _NAME_PORT)
            egress._servers.append(await loop.create_server(lambda: _Inside(egress, server), sock=tcp))
            egress._questions, _ = await loop.create_datagram_endpoint(lambda: _Questions(names), sock=udp)
        else:
            tcp.close()
            udp.close()
        return egress

    def forbids(self, address: Address) -> bool:
        return is_forbidden(address[0], self._own)

    def close(self) -> None:
        """Break every connection."""
        for server in self._servers:
            server.close()
        if self._questions is not None:
            self._questions.abort()
        for pipe in list(self._pipes):
            pipe.abort()


class _Pipe(asyncio.Protocol):
    """One end of a carried connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Pipe | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        other = self.other
        if other is not None and other.transport is not None and other.transport.can_write_eof():
            other.transport.write_eof()
        return True  # the other direction may go on

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.other is not None and self.other.transport is not None:
            if exc is None:
                self.other.transport.close()
            else:
                self.other.transport.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Inside(_Pipe):
    """The end inside: connects to where the function wanted to (or to `instead`), then carries."""

    def __init__(self, egress: Egress, instead: Address | None) -> None:
        super().__init__()
        self._egress = egress
        self._instead = instead
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._egress._pipes.add(self)
        target: Address = self._instead or transport.get_extra_info("sockname")[:2]
        if self._instead is None and self._egress.forbids(target):
            log.info("a function may not connect to %s:%d", *target)
            self.abort()
            return
        assert self.transport is not None
        self.transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect(target))

    async def _connect(self, target: Address) -> None:
        outside = _Pipe()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: outside, *target)
        except (OSError, TimeoutError):
            self.abort()
            return
        if self.transport is None:
            outside.abort()
            return
        self.other, outside.other = outside, self
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._egress._pipes.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)


class _Questions(asyncio.DatagramProtocol):
    """Passes questions on to the name servers and answers back to who asked."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None
        self._asking: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if len(self._asking) < _MAX_QUESTIONS:
            task = asyncio.get_running_loop().create_task(self._ask(data, addr))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, question: bytes, asker: Address) -> None:
        loop = asyncio.get_running_loop()
        for name in self._names:
            answered: asyncio.Future[bytes] = loop.create_future()
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda answered=answered: _Answer(answered),  # type: ignore[misc]
                    remote_addr=(name, _NAME_PORT),
                )
            except OSError:
                continue
            try:
                transport.sendto(question)
                async with asyncio.timeout(_ANSWER_S / len(self._names)):
                    answer = await answered
            except (OSError, TimeoutError):
                continue
            finally:
                transport.abort()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.sendto(answer, asker)
            return

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._asking:
            task.cancel()


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)
