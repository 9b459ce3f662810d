"""One sandbox as the server sees it: the other end of its process 1's control socket.

What comes out of a sandbox is not trusted: words of plain text, and the pid that the kernel itself puts on a packet.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from lambent.sandbox.isolation.egress import Egress
from lambent.sandbox.isolation.zygotes import MARSHAL_VERSION
from lambent.sandbox.launcher import RUNTIME, Command, Exit, Root
from lambent.sandbox.standby import Standby, Standing

_MAX_MESSAGE_BYTES: Final = 4096
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(8 * 4) + socket.CMSG_SPACE(12)
# An environment that rests for so long has its processes stopped. Well above the pauses between events of a busy one.
FREEZE_AFTER_S: Final = 0.25


class SandboxFailed(OSError):
    """A sandbox could not be built; the message says at which step."""


class SandboxCell:
    """Implements `launcher.Cell`. `on_gone` is called once, when nothing of the sandbox exists any more."""

    def __init__(self, control: socket.socket, root: Root, on_gone: Callable[[], None]) -> None:
        control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        control.setblocking(False)
        self._control = control
        self._root = root
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._on_exit: dict[str, Callable[[Exit], None]] = {}
        self._awaited: tuple[str, asyncio.Future[Sequence[int]]] | None = None
        self._standing: Standing | None = None
        self._standby_pid = 0
        self._pidfd = -1
        self._closed = False
        self._gone = False
        self._busy = True
        self._frozen = False
        self._rested_s = 0.0
        self._freeze_timer: asyncio.TimerHandle | None = None
        self._listeners: list[socket.socket] = []
        self._endpoint: asyncio.Server | None = None
        self._egress: Egress | None = None
        self.lost = False
        self.failure = ""
        self.init_pid = 0
        self._connects = 0
        self._connecting: dict[str, asyncio.Future[socket.socket]] = {}
        self.pid = 0
        self.peak_bytes = 0
        self._loop.add_reader(control.fileno(), self._receive)

    # Building, by the launcher.

    async def wait(self, word: str) -> None:
        """Return when the sandbox has said `word`. Raises SandboxFailed."""
        if self.lost or self._closed:
            raise SandboxFailed(self.failure or "the sandbox has ended")
        future: asyncio.Future[Sequence[int]] = self._loop.create_future()
        self._awaited = (word, future)
        await future

    def tell(self, message: tuple[Any, ...], descriptors: Sequence[int] = ()) -> None:
        """Send a message to process 1."""
        if self._closed or self.lost:
            return
        try:
            socket.send_fds(self._control, [marshal.dumps(message, MARSHAL_VERSION)], list(descriptors))
        except (BrokenPipeError, ConnectionResetError):
            self._loop.call_soon(self._lose)

    async def serve(
        self, endpoint: Callable[[socket.socket], Awaitable[asyncio.Server]] | None, names: Sequence[str] | None
    ) -> None:
        """Let the AWS endpoint answer on its listener inside; with name servers, serve the way out."""
        rest = self._listeners[1:]
        if names is not None:
            *rest, way_out, udp, tcp = rest
            self._egress = await Egress.serve((way_out, udp, tcp), names)
        if rest and endpoint is not None:
            self._endpoint = await endpoint(rest[0])

    async def stand_by(self, standby: Standby, settings: Mapping[str, Any], inside: int, outside: int) -> None:
        """Start a runtime ahead of need; its user is `outside`, seen as `inside`. Raises OSError, SandboxFailed too."""
        channel, theirs = socket.socketpair()
        channel.setblocking(False)
        output, write_end = os.pipe2(os.O_CLOEXEC)
        self._standing = Standing(channel=channel, output=output)
        try:
            message = ("standby", dict(settings), list(standby.argv), dict(standby.environment))
            self.tell(message, [write_end, theirs.fileno()])
        finally:
            theirs.close()
            os.close(write_end)
        if settings["user_namespace"]:
            await self.wait("map")
            self.map_user(inside, outside, self._standby_pid)
            self.tell(("mapped",))
        await self.wait("standing")

    @property
    def stands_by(self) -> bool:
        """Whether a stand-by waits in it."""
        return self._standing is not None and not self.lost and not self._closed

    def take_standby(self) -> Standing | None:
        standing, self._standing = self._standing, None
        return standing

    def adopt(self, memory_limit_bytes: int, on_exit: Callable[[Exit], None]) -> None:
        """The stand-by is the environment's runtime from now on."""
        if not self._on_exit:
            self.peak_bytes = 0
        self._on_exit[RUNTIME] = on_exit
        self._busy = True
        self.pid = self._standby_pid
        if self._closed or self.lost:
            self._loop.call_soon(self._exited, RUNTIME, Exit(wait_status=signal.SIGKILL))
            return
        self.tell(("adopt", RUNTIME, memory_limit_bytes))

    def _drop_standby(self) -> None:
        if (standing := self.take_standby()) is not None:
            standing.channel.close()
            os.close(standing.output)

    # launcher.Cell

    @property
    def runtime_api(self) -> socket.socket | None:
        """A listener at 169.254.100.1:9001 inside, for one runtime; the caller closes it."""
        if not self._listeners:
            return None
        # What an earlier runtime of this environment left in the queue must not speak for the next one.
        with contextlib.suppress(BlockingIOError):
            while True:
                self._listeners[0].accept()[0].close()
        return self._listeners[0].dup()

    def start(self, command: Command, on_exit: Callable[[Exit], None]) -> None:
        if not self._on_exit:
            self.peak_bytes = 0
        name = command.name
        self._on_exit[name] = on_exit
        self._busy = True
        if self._closed or self.lost:
            self._loop.call_soon(self._exited, name, Exit(wait_status=signal.SIGKILL))
            return
        message = (
            "start",
            name,
            list(command.argv),
            dict(command.environment),
            command.folder,
            command.memory_limit_bytes,
            command.channel is not None,
            name == RUNTIME and bool(self._root.interpreter) and command.argv[0] == self._root.interpreter,
        )
        self.tell(message, [command.output] + ([] if command.channel is None else [command.channel]))

    def signal(self, name: str, number: int) -> None:
        self.tell(("signal", name, int(number)))

    async def connect(self, port: int) -> socket.socket:
        """Process 1 connects: only from inside does one get to the environment's own loopback."""
        if self.lost or self._closed:
            raise ConnectionRefusedError("the sandbox has ended")
        self._connects += 1
        token = str(self._connects)
        connected: asyncio.Future[socket.socket] = self._loop.create_future()
        self._connecting[token] = connected
        self.tell(("connect", token, port))
        try:
            return await connected
        finally:
            del self._connecting[token]

    def _connected(self, token: str, number: int, fds: list[int]) -> list[int]:
        waiting = self._connecting.get(token)
        if waiting is None or waiting.done():
            return fds
        if number or not fds:
            waiting.set_exception(OSError(number, os.strerror(number)))
            return fds
        sock = socket.socket(fileno=fds[0])
        sock.setblocking(False)
        waiting.set_result(sock)
        return fds[1:]

    def _connect_no_more(self) -> None:
        for waiting in self._connecting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the sandbox has ended"))

    def watch(self, on: bool) -> None:
        self.tell(("watch", on))

    def busy(self) -> None:
        self._busy = True
        if self._frozen:
            self._frozen = False
            self.tell(("thaw",))

    def idle(self) -> None:
        self._busy = False
        self._rested_s = self._loop.time()
        if self._freeze_timer is None:
            self._freeze_timer = self._loop.call_later(FREEZE_AFTER_S, self._freeze)

    def _freeze(self) -> None:
        self._freeze_timer = None
        if self._busy or self._frozen or not self.pid:
            return
        left_s = self._rested_s + FREEZE_AFTER_S - self._loop.time()
        if left_s > 0.01:
            self._freeze_timer = self._loop.call_later(left_s, self._freeze)
            return
        self._frozen = True
        self.tell(("freeze",))

    def release(self) -> None:
        self.tell(("release",))

    def kill(self) -> None:
        self.tell(("kill",))
        if self._on_exit:
            self._drop_standby()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._drop_standby()
        if not self.lost:
            self._loop.remove_reader(self._control.fileno())
        self._control.close()
        self._connect_no_more()
        if self._freeze_timer is not None:
            self._freeze_timer.cancel()
        if self._endpoint is not None:
            self._endpoint.close()
        if self._egress is not None:
            self._egress.close()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._pidfd < 0:
            self._ended()  # it was never born

    # What the sandbox says.

    def _receive(self) -> None:
        while not self._closed and not self.lost:
            try:
                data, ancillary, _, _ = self._control.recvmsg(
                    _MAX_MESSAGE_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except ConnectionResetError:
                data, ancillary = b"", []
            fds: list[int] = []
            pid = 0
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds += struct.unpack(f"={len(payload) // 4}i", payload)
                elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    pid = struct.unpack("=3i", payload)[0]
            if not data:
                self._lose()
                return
            word, _, rest = data.decode("utf-8", "replace").partition(" ")
            try:
                fds = self._heard(word, rest, fds, pid)
            except ValueError:
                self._lose()
            finally:
                for fd in fds:
                    os.close(fd)

    def _heard(self, word: str, rest: str, fds: list[int], pid: int) -> list[int]:
        """Act on one message; returns the descriptors that nobody wants. Raises ValueError for nonsense."""
        if word == "born":
            self._pidfd, *fds = fds
            self._loop.add_reader(self._pidfd, self._ended)
        elif word == "ready":
            self.init_pid = pid
            self._listeners = [socket.socket(fileno=fd) for fd in fds]
            fds = []
        elif word in ("map", "stood") and self._standing is not None:
            self._standby_pid = self._standby_pid or pid
        elif word == "standby-ended":
            if self._standing is not None:
                self._lose()
        elif word == "started":
            if rest == RUNTIME:
                self.pid = pid
        elif word == "peak":
            self.peak_bytes = max(self.peak_bytes, int(rest))
        elif word == "exited":
            status, peak, out_of_memory, name = rest.split(" ", 3)
            self.peak_bytes = max(self.peak_bytes, int(peak))
            self._exited(name, Exit(wait_status=int(status), out_of_memory=out_of_memory == "1"))
        elif word == "connected":
            token, _, number = rest.partition(" ")
            fds = self._connected(token, int(number), fds)
        elif word == "failed" and self._on_exit:
            number, _, name = rest.partition(" ")
            self._exited(name, Exit(errno=int(number)))
        elif word == "failed":
            self.failure = f"the sandbox could not be built: {rest.partition(' ')[2] or rest}"
            self._lose()
        if self._awaited is not None and word == self._awaited[0]:
            self._awaited[1].set_result(())
            self._awaited = None
        return fds

    def map_user(self, inside: int, outside: int, pid: int = 0) -> None:
        """Write the maps of the user namespace that process 1, or `pid`, is in now. Raises OSError."""
        for name in ("uid_map", "gid_map"):
            fd = os.open(f"/proc/{pid or self.init_pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, f"{inside} {outside} 1\n".encode())
            finally:
                os.close(fd)

    def _lose(self) -> None:
        """Process 1 has ended, and with it everything inside."""
        if self._closed:
            return
        if not self.lost:
            self.lost = True
            self._loop.remove_reader(self._control.fileno())
        if self._awaited is not None and not self._awaited[1].done():
            self._awaited[1].set_exception(SandboxFailed(self.failure or "the sandbox ended while it was built"))
            self._awaited = None
        self._connect_no_more()
        for name in reversed(list(self._on_exit)):
            self._exited(name, Exit(wait_status=signal.SIGKILL))

    def _exited(self, name: str, how: Exit) -> None:
        on_exit = self._on_exit.pop(name, None)
        if name == RUNTIME:
            self.pid = 0
        if not self._on_exit:
            self._frozen = False
            self._drop_standby()  # with the last named process all others have ended
        if on_exit is not None:
            on_exit(how)

    def _ended(self) -> None:
        """The kernel says that process 1 is gone, which it is only after all others of its process namespace."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if not self._gone:
            self._gone = True
            self._on_gone()


def settings_for(
    *,
    uid: int,
    inside: int,
    tmp_bytes: int,
    user_namespace: bool,
    processes: bool,
    watch_memory: bool,
    kernel_limits_memory: bool,
    program: bytes,
) -> Mapping[str, Any]:
    """What process 1 must know to give up its privileges."""
    return {
        "uid": uid,
        "inside_uid": inside,
        "tmp_bytes": tmp_bytes,
        "user_namespace": user_namespace,
        "processes": processes,
        "watch_memory": watch_memory,
        "kernel_limits_memory": kernel_limits_memory,
        "filter": program,
    }
