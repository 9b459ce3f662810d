"""A sandbox whose runtime is a fork of a version's initialised process (SnapStart).

The fork enters the sandbox by itself, without ever having had a privilege outside of it (`lambent_runtime.nested`),
gives up what it has inside and waits at a *gate*. Here its host pid, which the kernel puts on its packet, is looked at:
it goes on only from within all namespaces of this sandbox, without capabilities, filtered, in the right cgroups.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Final

from lambent.sandbox.isolation.cell import SandboxCell
from lambent.sandbox.launcher import RUNTIME, Command, Exit, RestoreSource, Root

# In the order in which they are entered, see `lambent_runtime.snapshot`.
_NAMESPACES: Final = ("user", "mnt", "net", "ipc", "uts", "pid")
_GATE_S: Final = 10.0
_EMPTY_CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


class NotContained(OSError):
    """What came to the gate is not within the walls."""


class NestedCell(SandboxCell):
    """`move` puts a process (host pid) into the cgroups of this sandbox, and may raise OSError."""

    def __init__(
        self,
        control: socket.socket,
        root: Root,
        on_gone: Callable[[], None],
        *,
        source: RestoreSource,
        program: bytes,
        move: Callable[[int], None],
    ) -> None:
        super().__init__(control, root, on_gone)
        self._source = source
        self._program = program
        self._move = move
        self._restoring: asyncio.Task[None] | None = None

    def start(self, command: Command, on_exit: Callable[[Exit], None]) -> None:
        if command.name != RUNTIME or command.channel is None or self._closed or self.lost:
            super().start(command, on_exit)
            return
        if not self._on_exit:
            self.peak_bytes = 0
        self._on_exit[RUNTIME] = on_exit
        self._busy = True
        output, channel = os.dup(command.output), os.dup(command.channel)
        self._restoring = self._loop.create_task(self._restore(command, output, channel))

    async def _restore(self, command: Command, output: int, channel: int) -> None:
        gate, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptors = [output, channel, theirs.detach()]
        try:
            gate.setblocking(False)
            gate.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            descriptors += [os.open(f"/proc/{self.init_pid}/ns/{name}", os.O_RDONLY) for name in _NAMESPACES]
            self._source.ask(("restore", dict(command.environment), self._program), descriptors)
            while descriptors:
                os.close(descriptors.pop())
            async with asyncio.timeout(_GATE_S):
                pid = await self._arrival(gate)
            inside = check_contained(pid, self.init_pid, filtered=bool(self._program))
            self._move(pid)
            self.pid = pid
            self.tell(("restored", RUNTIME, inside, command.memory_limit_bytes))
            gate.send(b"go")
        except (OSError, TimeoutError) as error:
            self._loop.call_soon(self._exited, RUNTIME, Exit(errno=getattr(error, "errno", None) or 5))
        finally:
            for fd in descriptors:
                os.close(fd)
            gate.close()

    async def _arrival(self, gate: socket.socket) -> int:
        """The host pid of the process that has come to the gate. Raises OSError when none comes."""
        ready = asyncio.Event()
        self._loop.add_reader(gate.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(gate.fileno())
        data, ancillary, _, _ = gate.recvmsg(16, socket.CMSG_SPACE(12))
        for level, kind, payload in ancillary:
            if data == b"here" and level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                return int(struct.unpack("=3i", payload)[0])
        raise NotContained("nobody came to the gate")

    def close(self) -> None:
        if self._restoring is not None:
            self._restoring.cancel()
        super().close()


def check_contained(pid: int, init_pid: int, *, filtered: bool) -> int:
    """The process id of `pid` inside of the sandbox of `init_pid`. Raises OSError when it is not contained there."""
    for name in _NAMESPACES:
        if os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/{init_pid}/ns/{name}"):
            raise NotContained(f"it is in another {name} namespace")
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    if any(int(status[name], 16) for name in _EMPTY_CAPABILITIES) or status["NoNewPrivs"] != "1":
        raise NotContained("it has capabilities left")
    # The filter of the version's process, and its own on top.
    if filtered and (status["Seccomp"] != "2" or int(status.get("Seccomp_filters", "2")) < 2):
        raise NotContained("it has no filter of its own")
    if status["Threads"] != "1":
        raise NotContained("it has threads")
    return int(status["NSpid"].split()[-1])
