"""Opens sandboxes: cells behind namespaces, with limits of the kernel and no privileges.

The order in which a start is quick: zygotes are started once for each kind of runtime; from them sandboxes are forked
ahead of need, with namespaces, /proc, network and cgroups (*prepared*); one that is needed gets its code, its limits
and its user (*assigned*), and forks or starts the runtime. docs/decisions/0005-sandbox-launcher.md has the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ipaddress
import logging
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from lambent.core import limits
from lambent.sandbox.isolation import egress as egress_rules
from lambent.sandbox.isolation import identities, seccomp
from lambent.sandbox.isolation.cell import SandboxCell, SandboxFailed, settings_for
from lambent.sandbox.isolation.cgroups import Cgroups, read_hierarchies
from lambent.sandbox.isolation.defences import Defences
from lambent.sandbox.isolation.nested_cell import NestedCell
from lambent.sandbox.isolation.standbys import PER_KIND, Standbys
from lambent.sandbox.isolation.zygotes import Zygote
from lambent.sandbox.launcher import CellRequest, RestoreSource, Root
from lambent.sandbox.standby import Standby, StandbyRoot

log = logging.getLogger("lambent.sandbox")

RUNTIME_API: Final = ("169.254.100.1", 9001)
_PROCESSES: Final = 1024
_SHARED_MEMORY_MB: Final = 64
_INIT_MB: Final = 16
_BUILD_S: Final = 20.0
_GONE_S: Final = 10.0
# Sandboxes kept ready for each kind of runtime in use, about 1 MB each.
_PREPARED: Final = 4
# How long after the last start they are made up for: not while the start itself wants the processor.
_REFILL_AFTER_S: Final = 0.05

ServeEndpoint = Callable[[socket.socket], Awaitable[asyncio.Server]]
_linux: Any = importlib.import_module("lambent.sandbox.runtimes.python.lambent_runtime.linux")


class SandboxLauncher:
    """Implements `launcher.Launcher`.

    `serve_endpoint` lets the AWS endpoint answer on a listening socket, which is inside a sandbox; without it functions
    do not reach it. `egress` lets functions connect to the outside, see `isolation.egress`. `prepared` sandboxes of a
    kind are kept ready once one was asked for, and of those for runtimes that can stand by `standbys` that do.
    """

    def __init__(
        self,
        *,
        serve_endpoint: ServeEndpoint | None = None,
        egress: bool = True,
        defences: Defences | None = None,
        prepared: int = _PREPARED,
        standbys: int | None = None,
    ) -> None:
        self._serve_endpoint = serve_endpoint
        self._defences = defences or Defences()
        self._egress = egress and self._defences.network
        self._prepared = prepared
        self._standbys = (PER_KIND if prepared else 0) if standbys is None else standbys
        self._names = egress_rules.name_servers(_read(Path("/etc/resolv.conf")))
        self._identities = identities.Identities(os.getpid())
        self._cgroups = Cgroups(read_hierarchies(), os.getpid())
        machine = os.uname().machine
        self._program = seccomp.program(machine) if self._defences.seccomp else b""
        self._snapshot_program = seccomp.program(machine, enters_namespaces=True) if self._defences.seccomp else b""
        self._pools: dict[tuple[Root, str, int], _Pool] = {}
        self._living: set[SandboxCell] = set()
        self._all_gone: asyncio.Event = asyncio.Event()
        self._closed = False

    @property
    def limits(self) -> dict[str, int]:
        """Which cgroup controllers limit sandboxes here, with their versions."""
        return self._cgroups.limits

    @property
    def standing(self) -> int:
        """How many stand-bys wait."""
        return sum(pool.standing for pool in self._pools.values())

    async def open(self, request: CellRequest) -> SandboxCell:
        """A sandbox with the function's code in it and without privileges. Raises OSError, SandboxFailed among them."""
        if request.root is None:
            raise SandboxFailed("this runtime has no plan for a sandbox")
        address = endpoint_address(request.endpoint_url)
        standby = request.root.standby if isinstance(request.root, StandbyRoot) else None
        root = request.root.bare if isinstance(request.root, StandbyRoot) else request.root
        key = (root, *address)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(self, root, address, self._prepared, self._standbys)
        cell, slot = await pool.take(standby)
        try:
            await self._assign(cell, slot, request)
        except BaseException:
            cell.close()
            raise
        return cell

    async def stand_by(self, cell: SandboxCell, slot: int, standby: Standby) -> None:
        """Start a runtime in a prepared sandbox, with the walls that it will have. Raises OSError."""
        uid = self._identities.uid(slot)
        settings = {
            "uid": uid,
            "inside_uid": identities.INSIDE_ID,
            "user_namespace": self._defences.user_namespace,
            "processes": self._defences.processes,
            "filter": self._program,
        }
        async with asyncio.timeout(_BUILD_S):
            await cell.stand_by(standby, settings, identities.INSIDE_ID, uid)

    @property
    def supervisor(self) -> str:
        # A fork has the right to enter by its user namespace; without the two it would not leave this machine's.
        return "fork" if self._defences.user_namespace and self._defences.network else ""

    async def open_restored(self, request: CellRequest, source: RestoreSource) -> SandboxCell:
        """A sandbox that forks of `source` enter; it ends with the sandbox of `source`. Raises OSError."""
        if request.root is None or not isinstance(source.cell, SandboxCell):
            raise SandboxFailed("this runtime has no plan for a sandbox")
        address = endpoint_address(request.endpoint_url)
        # What forks this process 1 has nothing of the runtime in it, and so is small.
        root = replace(request.root, interpreter="", environment=())
        key = (root, *address)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(self, root, address, 0, 0)
        zygote, address = await pool.running(), pool.listen
        outer = source.cell.init_pid
        namespaces: list[int] = []

        def make_cell(control: socket.socket, slot: int, gone: Callable[[], None]) -> SandboxCell:
            return NestedCell(
                control,
                root,
                gone,
                source=source,
                program=self._program,
                move=lambda pid: self._cgroups.move(slot, pid),
            )

        async def fork(control: socket.socket, groups: list[int], settings: dict[str, Any]) -> None:
            settings |= {"inside_uid": identities.INSIDE_ID}
            await zygote.nest(control, [*groups, *namespaces], settings)

        try:
            flags = os.O_RDONLY | os.O_CLOEXEC
            namespaces += [os.open(f"/proc/{outer}/ns/pid", flags), os.open(f"/proc/{outer}/ns/user", flags)]
            cell, slot = await self._make(make_cell, fork, address)
        finally:
            for fd in namespaces:
                os.close(fd)
        try:
            await self._assign(cell, slot, request, nested=True)
        except BaseException:
            cell.close()
            raise
        return cell

    async def _assign(self, cell: SandboxCell, slot: int, request: CellRequest, *, nested: bool = False) -> None:
        """`nested`: it is in its user namespace already."""
        defences = self._defences
        tmp_mb = request.ephemeral_storage_mb if defences.storage else 10_240
        # /tmp is memory of the kernel's, but not of the function's: `sandbox_init` watches the latter apart.
        memory_mb = request.memory_mb + tmp_mb + _SHARED_MEMORY_MB + _INIT_MB
        self._cgroups.limit(
            slot,
            memory_bytes=memory_mb * limits.MIB if defences.memory else 0,
            memory_mb=request.memory_mb,
            processes=_PROCESSES + 1 if defences.processes else 0,
        )
        uid = self._identities.uid(slot)
        settings = settings_for(
            uid=identities.INSIDE_ID if nested else uid,
            inside=identities.INSIDE_ID,
            tmp_bytes=tmp_mb * limits.MIB,
            user_namespace=defences.user_namespace and not nested,
            processes=defences.processes,
            watch_memory=defences.memory,
            kernel_limits_memory="memory" in self._cgroups.limits,
            program=self._snapshot_program if request.snapshot else self._program,
        )
        trees = []
        try:
            for folder in filter(None, (request.task_root, request.opt)):
                trees.append(_linux.open_tree(folder))
                if defences.read_only:
                    _linux.make_read_only(trees[-1])
            cell.tell(("assign", settings), trees)
        finally:
            for tree in trees:
                os.close(tree)
        async with asyncio.timeout(_BUILD_S):
            if settings["user_namespace"] and not cell.stands_by:
                await cell.wait("map")
                cell.map_user(identities.INSIDE_ID, uid)
                cell.tell(("mapped",))
            await cell.wait("assigned")

    async def make(self, zygote: Zygote, root: Root, address: tuple[str, int]) -> tuple[SandboxCell, int]:
        """Fork a sandbox and wait until it is prepared. Raises OSError."""

        def make_cell(control: socket.socket, slot: int, gone: Callable[[], None]) -> SandboxCell:
            return SandboxCell(control, root, gone)

        return await self._make(make_cell, zygote.fork, address)

    async def _make(
        self,
        make_cell: Callable[[socket.socket, int, Callable[[], None]], SandboxCell],
        fork: Callable[[socket.socket, list[int], dict[str, Any]], Awaitable[None]],
        address: tuple[str, int],
    ) -> tuple[SandboxCell, int]:
        if self._closed:
            raise SandboxFailed("the sandbox is closed")
        slot = self._identities.take()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def gone() -> None:
            self._living.discard(cell)
            self._identities.give_back(slot)
            if not self._living:
                self._all_gone.set()

        cell = make_cell(ours, slot, gone)
        self._living.add(cell)
        self._all_gone.clear()
        groups: list[int] = []
        try:
            with theirs:
                groups = self._cgroups.enter(slot)
                listen = [RUNTIME_API] + ([address] if address[1] else [])
                settings = {"listen": listen, "network": self._defences.network, "egress": self._egress}
                await fork(theirs, groups, settings)
            async with asyncio.timeout(_BUILD_S):
                await cell.wait("ready")
            await cell.serve(self._serve_endpoint, self._names if self._egress else None)
        except BaseException:
            cell.close()
            raise
        finally:
            for fd in groups:
                os.close(fd)
        return cell, slot

    async def start_zygote(self, root: Root, host: str) -> Zygote:
        """Start the zygote for a kind of sandbox. Raises ZygoteFailed."""
        etc = identities.etc_files(self._resolv_conf())
        if host:
            etc["hosts"] += f"127.0.0.1 {host}\n"
        return await Zygote.start(root, etc)

    def _resolv_conf(self) -> str:
        if not self._defences.network:
            return _read(Path("/etc/resolv.conf"))
        return f"nameserver {RUNTIME_API[0]}\n" if self._egress and self._names else ""

    async def close(self) -> None:
        """End everything; returns when nothing is left, as far as the kernel says so within some seconds."""
        self._closed = True
        for pool in self._pools.values():
            await pool.drain()
        for cell in list(self._living):
            cell.close()
        if self._living:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GONE_S):
                    await self._all_gone.wait()
        # Last, since sandboxes that have ended are their zygote's children to bury.
        for pool in self._pools.values():
            await pool.close()
        self._pools.clear()
        await asyncio.to_thread(self._cgroups.close)


class _Pool:
    """Prepared sandboxes of one kind, and the zygote that they come from."""

    def __init__(
        self, launcher: SandboxLauncher, root: Root, address: tuple[str, int], size: int, standbys: int
    ) -> None:
        self._launcher = launcher
        self._root = root
        self._address = address
        self._size = size
        self._lock = asyncio.Lock()
        self._zygote: Zygote | None = None
        self._ready: deque[tuple[SandboxCell, int]] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._refill_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._standbys = Standbys(self._make_standby, per_kind=standbys)

    async def take(self, standby: Standby | None) -> tuple[SandboxCell, int]:
        """A sandbox with this stand-by, a prepared one without, or a new one. Raises OSError."""
        if standby is not None and (standing := self._standbys.try_take(standby)) is not None:
            return standing
        while self._ready:
            cell, slot = self._ready.popleft()
            if not cell.lost:
                self._refill_later()
                return cell, slot
            cell.close()
        made = await self._make()
        self._refill_later()
        return made

    async def _make(self) -> tuple[SandboxCell, int]:
        zygote = await self.running()
        try:
            return await self._launcher.make(zygote, self._root, self.listen)
        except (BrokenPipeError, ConnectionResetError):
            async with self._lock:
                if self._zygote is zygote:
                    self._zygote = None
                    await zygote.close()
        return await self._launcher.make(await self.running(), self._root, self.listen)

    @property
    def standing(self) -> int:
        return self._standbys.count

    async def _make_standby(self, standby: Standby) -> tuple[SandboxCell, int]:
        cell, slot = await self.take(None)
        try:
            await self._launcher.stand_by(cell, slot, standby)
        except BaseException:
            cell.close()
            raise
        return cell, slot

    @property
    def listen(self) -> tuple[str, int]:
        host, port = self._address
        return (host if _is_ipv4(host) else "127.0.0.1", port)

    async def running(self) -> Zygote:
        """The zygote, started if need be. Raises ZygoteFailed."""
        async with self._lock:
            if self._zygote is None:
                host = self._address[0]
                self._zygote = await self._launcher.start_zygote(self._root, "" if _is_ipv4(host) else host)
            return self._zygote

    def _refill_later(self) -> None:
        if self._refill_timer is not None:
            self._refill_timer.cancel()
        self._refill_timer = asyncio.get_running_loop().call_later(_REFILL_AFTER_S, self._refill)

    def _refill(self) -> None:
        if self._filling is None and not self._closed and len(self._ready) < self._size:
            self._filling = asyncio.get_running_loop().create_task(self._fill())

    async def _fill(self) -> None:
        try:
            while len(self._ready) < self._size and not self._closed:
                self._ready.append(await self._make())
        except (OSError, TimeoutError) as error:
            log.warning("no sandbox can be prepared ahead of need: %s", error)
        finally:
            self._filling = None

    async def drain(self) -> None:
        """Make no more sandboxes, end the prepared ones."""
        await self._standbys.close()
        self._closed = True
        if self._refill_timer is not None:
            self._refill_timer.cancel()
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])
        for cell, _ in self._ready:
            cell.close()
        self._ready.clear()

    async def close(self) -> None:
        """End the zygote."""
        async with self._lock:
            if self._zygote is not None:
                await self._zygote.close()
                self._zygote = None


def endpoint_address(url: str) -> tuple[str, int]:
    """Where a function looks for the AWS endpoint: host and port; port 0 when nothing inside stands for it (TLS)."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return "", 0
    return parts.hostname, parts.port or 80


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
