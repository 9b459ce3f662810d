"""Starting processes: the seam that decides how an environment is isolated, and the one without namespaces.

A `Launcher` opens *cells*, the place where one environment's processes live: its runtime and its extensions, known by
name, and whatever they start; one generation of them after the other. What lies behind a cell (a supervised process
tree here; namespaces and cgroups in another launcher) no other module knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from lambent.sandbox import launcher_process

# The name of the one process that every environment has; an extension's is that of its file, below `extensions/`.
RUNTIME: Final = "runtime"
# How long a supervisor may take to end the processes of its environment.
_OBEY_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run under which name. `output` becomes descriptors 1 and 2, `channel` descriptor 3 (or there is none)."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    memory_limit_bytes: int
    output: int
    channel: int | None = None
    name: str = RUNTIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a named process ended; when it was the last of its environment, every other process has ended by then too.

    `wait_status` is as from waitpid; `errno` is set instead when it could not even be started.
    """

    wait_status: int = 0
    errno: int = 0
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What a sandbox's file system has beside the function's own code and the parts of the system that all get.

    `lang` is the tree of this machine for /var/lang ("" for none), `runtime` names what lies in /var/runtime with its
    place on this machine. `interpreter` is the path inside of the Python that functions are forked from, started with
    `environment`; "" for programs, which are started.
    """

    lang: str = ""
    runtime: tuple[tuple[str, str], ...] = ()
    interpreter: str = ""
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRequest:
    """What a cell is for. Folders are those of this machine. `snapshot`: others are to be forked from its runtime."""

    task_root: str
    opt: str
    memory_mb: int
    ephemeral_storage_mb: int
    endpoint_url: str
    root: Root | None
    snapshot: bool = False


class Cell(Protocol):
    """Where the processes of one environment live."""

    @property
    def pid(self) -> int:
        """The runtime's process id on this machine; 0 before it is known."""

    @property
    def peak_bytes(self) -> int:
        """Largest memory of all processes together, as far as it was measured."""

    @property
    def lost(self) -> bool:
        """The cell can start nothing any more."""

    @property
    def runtime_api(self) -> socket.socket | None:
        """A listening socket for one runtime's Runtime API, the caller's to close; None for one of this machine's."""

    def start(self, command: Command, on_exit: Callable[[Exit], None]) -> None:
        """Start a process; the descriptors of `command` may be closed when this returns.

        The extensions of an environment come first, its runtime last; names are used again only after all have ended.
        """

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a named process and its group (SIGSTOP and SIGCONT: to it alone) unless it has ended."""

    async def connect(self, port: int) -> socket.socket:
        """A connection to a port on the environment's own loopback interface, the caller's to close. Raises OSError.

        Where environments have networks of their own, it is made inside.
        """

    def busy(self) -> None:
        """An event comes: the processes must run."""

    def idle(self) -> None:
        """No event is being run: the processes may be stopped after a while."""

    def watch(self, on: bool) -> None:
        """Switch the measuring and limiting of memory, which an idle environment does without."""

    def release(self) -> None:
        """From now on its runtime stands only for what is forked from it: its end ends nobody else in here."""

    def kill(self) -> None:
        """End every process; `on_exit` tells when that has happened."""

    def close(self) -> None:
        """End every process and give the cell up; nobody is told."""


class RestoreSource(Protocol):
    """A runtime that waits to be forked, in a cell that was opened for it (`CellRequest.snapshot`)."""

    @property
    def cell(self) -> Cell: ...

    def ask(self, message: tuple[Any, ...], descriptors: Sequence[int]) -> None:
        """Send a request, see `lambent_runtime.snapshot`. Raises OSError when it has ended."""


class Launcher(Protocol):
    """Makes cells."""

    @property
    def supervisor(self) -> str:
        """What tells a runtime that it is to be forked, see `lambent_runtime.snapshot`; "" where that is impossible."""

    async def open(self, request: CellRequest) -> Cell:
        """Raises OSError."""

    async def open_restored(self, request: CellRequest, source: RestoreSource) -> Cell:
        """A cell whose runtime is a fork of `source`, each time that it is started. Raises OSError."""

    async def close(self) -> None: ...


class ProcessCell:
    """A cell that is a supervised tree of ordinary processes.

    What runs in it is the supervisor's user and can stop it. So a supervisor that does not obey is killed; the launcher
    then ends what it leaves.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._supervisor = 0
        self._overdue: asyncio.TimerHandle | None = None
        self._on_exit: dict[str, Callable[[Exit], None]] = {}
        self._closed = False
        self.lost = False
        self.pid = 0
        self.peak_bytes = 0
        self._loop.add_reader(control.fileno(), self._receive)

    def start(self, command: Command, on_exit: Callable[[Exit], None]) -> None:
        if not self._on_exit:
            self.peak_bytes = 0
        self._on_exit[command.name] = on_exit
        if self._closed or self.lost:
            self._loop.call_soon(self._exited, command.name, Exit(wait_status=signal.SIGKILL))
            return
        descriptors = [command.output] + ([] if command.channel is None else [command.channel])
        message = (
            "start",
            command.name,
            list(command.argv),
            dict(command.environment),
            command.folder,
            command.memory_limit_bytes,
            command.channel is not None,
        )
        self._tell(message, descriptors)

    @property
    def runtime_api(self) -> None:
        return None

    def signal(self, name: str, number: int) -> None:
        self._tell(("signal", name, int(number)))

    def watch(self, on: bool) -> None:
        self._tell(("watch", on))

    async def connect(self, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            await self._loop.sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return sock

    def busy(self) -> None:
        return

    def idle(self) -> None:
        return

    def release(self) -> None:
        self._tell(("release",))

    def kill(self) -> None:
        self._tell(("kill",))
        if self._overdue is None and self._on_exit:
            self._overdue = self._loop.call_later(_OBEY_S, self._kill_supervisor)

    def _kill_supervisor(self) -> None:
        # As long as its socket is open and the launcher has not reaped it, its pid is nobody else's.
        if self._supervisor and not self._closed and not self.lost:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._supervisor, signal.SIGKILL)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._control.fileno())
            self._control.close()

    def _tell(self, message: tuple[Any, ...], descriptors: Sequence[int] = ()) -> None:
        if self._closed:
            return
        try:
            socket.send_fds(self._control, [marshal.dumps(message)], list(descriptors))
        except (BrokenPipeError, ConnectionResetError):
            self._loop.call_soon(self._lost)
        except BlockingIOError:
            # A supervisor that has left so many messages unread was stopped.
            self._kill_supervisor()

    def _receive(self) -> None:
        while not self._closed and not self.lost:
            try:
                data = self._control.recv(launcher_process.MAX_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                self._lost()
                return
            kind, *values = marshal.loads(data)
            if kind == "started":
                name, pid, self._supervisor = values
                if name == RUNTIME:
                    self.pid = pid
            elif kind == "peak":
                self.peak_bytes = max(self.peak_bytes, values[0])
            elif kind == "failed":
                self._exited(values[0], Exit(errno=values[1]))
            elif kind == "exited":
                name, status, peak_bytes, out_of_memory = values
                self.peak_bytes = max(self.peak_bytes, peak_bytes)
                self._exited(name, Exit(wait_status=status, out_of_memory=out_of_memory))

    def _lost(self) -> None:
        """The supervisor itself was killed, and its processes with it."""
        if self._closed:
            return
        if not self.lost:
            self.lost = True
            self._loop.remove_reader(self._control.fileno())
        for name in reversed(list(self._on_exit)):
            self._exited(name, Exit(wait_status=signal.SIGKILL))

    def _exited(self, name: str, how: Exit) -> None:
        on_exit = self._on_exit.pop(name, None)
        if name == RUNTIME:
            self.pid = 0
        if not self._on_exit and self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        if on_exit is not None:
            on_exit(how)


class ProcessLauncher:
    """Opens cells that isolate nothing: functions run as the user of the server, beside each other.

    The launcher process is started when the first cell is opened, and again should it have died.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._server: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    async def open(self, request: CellRequest | None = None) -> ProcessCell:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                async with self._lock:
                    if not await self._send(theirs.fileno()):
                        await self._end()
                        if not await self._send(theirs.fileno()):
                            raise OSError("the launcher process ends as soon as it is started")
        except BaseException:
            ours.close()
            raise
        return ProcessCell(ours)

    @property
    def supervisor(self) -> str:
        return launcher_process.__file__

    async def open_restored(self, request: CellRequest, source: RestoreSource) -> ProcessCell:
        """The supervisor of the environment is a fork of the source, too: it is what the runtime is forked from."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                source.ask(("supervise",), [theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        return ProcessCell(ours)

    async def _send(self, descriptor: int) -> bool:
        """Ask for a supervisor; False when the launcher is not there."""
        if self._closed:
            raise OSError("the launcher is closed")
        if self._server is None:
            await self._start()
        assert self._server is not None
        while True:
            try:
                socket.send_fds(self._server, [b"+"], [descriptor])
            except BlockingIOError:
                await _writable(self._server)
            except OSError:
                return False
            else:
                return True

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        argv = [sys.executable, "-I", "-S", launcher_process.__file__, str(theirs.fileno())]

        def spawn() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                argv,
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

        with theirs:
            try:
                self._process = await asyncio.to_thread(spawn)
            except BaseException:
                ours.close()
                raise
        self._server = ours

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._process is not None:
            process, self._process = self._process, None
            await asyncio.to_thread(process.wait)

    async def close(self) -> None:
        """End the launcher. Cells that are still open live on until they are closed."""
        async with self._lock:
            self._closed = True
            await self._end()


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock.fileno(), _set, ready)
    try:
        await ready
    finally:
        with contextlib.suppress(ValueError):
            loop.remove_writer(sock.fileno())


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def describe_start_error(number: int) -> str:
    """How AWS words that a program could not be started: the system's own words, in lower case."""
    return os.strerror(number).lower()


def describe_exit(how: Exit) -> str | None:
    """How AWS words a runtime's end: "exit status 1", "signal: killed"; None for an exit with status 0."""
    if os.WIFSIGNALED(how.wait_status):
        number = os.WTERMSIG(how.wait_status)
        return f"signal: {_SIGNALS.get(number, f'signal {number}')}"
    status = os.WEXITSTATUS(how.wait_status)
    return f"exit status {status}" if status else None


# The names that Go, in which AWS's supervisor is written, gives to signals.
_SIGNALS: Final[dict[int, str]] = {
    signal.SIGABRT: "aborted",
    signal.SIGALRM: "alarm clock",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGHUP: "hangup",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "interrupt",
    signal.SIGKILL: "killed",
    signal.SIGPIPE: "broken pipe",
    signal.SIGQUIT: "quit",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGTERM: "terminated",
    signal.SIGTRAP: "trace/breakpoint trap",
}
