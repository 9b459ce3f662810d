"""The environments of this machine, in sandboxes or as ordinary processes.

Real interpreters, real limits on time and memory, every process of an environment gone with it. What keeps functions
apart is the launcher's: with sandboxes (`isolation.launcher`) AWS's paths are real; without (`--isolation process`)
there are no walls: functions run as the server's user, see the machine's files and network and share /tmp by its
absolute name (TMPDIR leads to a private folder; /var/task and /opt do not exist, see `variables` and `layers`). The
server's environment variables are never handed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lambent.core import ids, limits
from lambent.core.clock import Clock
from lambent.core.log_events import LogSink
from lambent.core.operations import Scope
from lambent.sandbox import debug_plans, snapshots
from lambent.sandbox.concurrent_environment import ConcurrentEnvironment
from lambent.sandbox.debugging import DebugPorts, Waiting
from lambent.sandbox.environment import ExecutionEnvironment
from lambent.sandbox.extension_process import find_programs
from lambent.sandbox.function_log import FunctionLog
from lambent.sandbox.initialisation import Parts
from lambent.sandbox.interpreters import Interpreters, RuntimeRow
from lambent.sandbox.launcher import Cell, CellRequest, Launcher, ProcessLauncher
from lambent.sandbox.layers import LayerFolders
from lambent.sandbox.plans import Planner, machine_interpreters
from lambent.sandbox.platform_lines import PlatformLines
from lambent.sandbox.protocol import CannotRun, CodeSource, EnvironmentSpec, StartRefused
from lambent.sandbox.restore_lines import RestoreLines
from lambent.sandbox.runtime_process import Plan
from lambent.sandbox.snapshots import Snapshots, check_restored
from lambent.sandbox.version_zygote import VersionZygote

log = logging.getLogger("lambent.sandbox")


class ProcessSandbox:
    """Implements `protocol.Sandbox`. Nothing is started or searched before the first environment is asked for.

    `work_dir` holds what outlives environments (compiled runtimes, merged layers) and, in a folder of this sandbox's
    own, their temporary files. Folders that a killed server left behind are removed at the first start.
    `sandboxed`: the launcher's cells are sandboxes, so plans are for the inside of them.
    """

    def __init__(
        self,
        code: CodeSource,
        logs: LogSink,
        clock: Clock,
        *,
        work_dir: Path,
        strict_runtimes: bool = False,
        interpreters: Interpreters | None = None,
        launcher: Launcher | None = None,
        sandboxed: bool = False,
    ) -> None:
        self._code = code
        self._logs = logs
        self._clock = clock
        self._work_dir = work_dir.absolute()
        self._interpreters = interpreters or machine_interpreters(strict=strict_runtimes)
        self._launcher = launcher or ProcessLauncher()
        self._layers = LayerFolders(self._work_dir / "layers")
        self._planner = Planner(self._interpreters, self._work_dir / "runtimes", sandboxed=sandboxed)
        self._sandboxed = sandboxed
        self._environments: dict[str, ExecutionEnvironment | ConcurrentEnvironment] = {}
        self.debug_ports = DebugPorts(clock)
        self._snapshots = Snapshots()
        self._own: _OwnFolder | None = None
        self._own_lock = asyncio.Lock()
        self._closed = False

    async def runtimes_table(self) -> list[RuntimeRow]:
        """What each AWS runtime runs on here."""
        return await self._interpreters.table()

    async def start(self, spec: EnvironmentSpec) -> ExecutionEnvironment | ConcurrentEnvironment:
        """Start an environment and its INIT phase, or restore it from its version's snapshot.

        Raises StartRefused, CannotRun, RestoreFailed; KeyError for unknown code.
        """
        self._check_open()
        if spec.debug_port and spec.concurrent:
            raise CannotRun("a debugger attaches to functions that run one event at a time")
        place = await self._place(spec)
        if spec.snapshot and not spec.debug_port:
            zygote = self._snapshots.find(spec.snapshot)
            if zygote is not None and (restored := await self._start_restored(spec, place, zygote)) is not None:
                return restored
            place = replace(place, plan=snapshots.without_snapshot(place.plan, self._snapshots.lack(spec.snapshot)))
        memory_mb = spec.memory_mb
        inside_port = 0
        if spec.debug_port:
            memory_mb += debug_plans.HEADROOM_MB
            inside_port = debug_plans.SANDBOX_PORT if self._sandboxed else debug_plans.free_port()
            plan = debug_plans.debugged(place.plan, spec, port=inside_port, task_root=place.task_root, opt=place.opt)
            place = replace(place, plan=plan)
        plan = place.plan
        request = place.request(spec, memory_mb)
        cell = await self._open(place, self._launcher.open(request))
        parts = Parts(
            spec=spec,
            plan=plan,
            cell=cell,
            log=self._function_log(spec),
            lines=PlatformLines(spec, plan.version),
            clock=self._clock,
            memory_limit_bytes=memory_mb * limits.MIB,
            programs=find_programs(place.opt, inside=plan.root is not None),
        )
        kind = ConcurrentEnvironment if spec.concurrent else ExecutionEnvironment
        environment = kind(parts, on_stopped=lambda: self._forget(spec.environment_id, place.home))
        self._environments[spec.environment_id] = environment
        try:
            if spec.debug_port:
                # Its init comes with its event, where no time limit of inits holds and no other start waits for it.
                await self.debug_ports.find(spec.debug_port).lead_to(
                    Waiting(
                        cell=cell,
                        inside_port=inside_port,
                        folder=plan.folder,
                        end=lambda: environment.stop("failure"),
                    )
                )
            else:
                await environment.initialise()
        except BaseException:
            await asyncio.shield(environment.stop("failure"))
            raise
        return environment

    async def _start_restored(
        self, spec: EnvironmentSpec, place: _Place, zygote: VersionZygote
    ) -> ExecutionEnvironment | None:
        """An environment from the snapshot; None when that has failed and not by the function's fault."""
        zygote.take()
        try:
            cell = await self._open(place, self._launcher.open_restored(place.request(spec, spec.memory_mb), zygote))
        except BaseException as error:
            zygote.give_back()
            if not isinstance(error, StartRefused) or self._closed:
                raise
            log.warning("%s: its snapshot is lost: %s", spec.function_arn, error)
            self._snapshots.drop(spec.snapshot)
            return None
        lines = RestoreLines(spec, place.plan.version)
        parts = Parts(
            spec=spec,
            plan=place.plan,
            cell=cell,
            log=self._function_log(spec),
            lines=lines,
            clock=self._clock,
            memory_limit_bytes=spec.memory_mb * limits.MIB,
            programs=find_programs(place.opt, inside=place.plan.root is not None),
            restores=True,
        )

        async def stopped() -> None:
            zygote.give_back()
            await self._forget(spec.environment_id, place.home)

        environment = ExecutionEnvironment(parts, on_stopped=stopped)
        self._environments[spec.environment_id] = environment
        try:
            await environment.initialise()
            if check_restored(lines):
                return environment
        except BaseException:
            await asyncio.shield(environment.stop("failure"))
            raise
        await environment.stop("failure")
        log.warning("%s: its snapshot cannot be restored", spec.function_arn)
        self._snapshots.drop(spec.snapshot)
        return None

    async def take_snapshot(self, spec: EnvironmentSpec) -> str:
        """See `protocol.SnapshotSandbox`."""
        self._check_open()
        if not self._launcher.supervisor:
            return self._snapshots.refuse(spec.snapshot, "sandboxes cannot be forked here")

        async def begin() -> VersionZygote:
            place = await self._place(spec)
            plan = snapshots.snapshot_plan(place.plan, self._launcher.supervisor)
            request = replace(place.request(spec, spec.memory_mb), snapshot=True)
            parts = Parts(
                spec=spec,
                plan=plan,
                cell=await self._open(place, self._launcher.open(request)),
                log=self._function_log(spec),
                lines=PlatformLines(spec, plan.version),
                clock=self._clock,
                memory_limit_bytes=spec.memory_mb * limits.MIB,
            )
            return VersionZygote(parts, on_closed=lambda: shutil.rmtree(place.home, ignore_errors=True))

        return await self._snapshots.take(spec.snapshot, begin)

    def has_snapshot(self, key: str) -> bool:
        """See `protocol.SnapshotSandbox`."""
        return self._snapshots.find(key) is not None or bool(self._snapshots.lack(key))

    def drop_snapshot(self, key: str) -> None:
        """See `protocol.SnapshotSandbox`."""
        self._snapshots.drop(key)

    async def _place(self, spec: EnvironmentSpec) -> _Place:
        """Where everything of an environment is. Raises CannotRun; KeyError for unknown code."""
        task_root = (await self._code.folder(spec.code)).absolute()
        opt = await self._layers.folder(spec.layers, [await self._code.folder(layer) for layer in spec.layers])
        home = (await self._own_folder()).path / spec.environment_id
        plan = await self._planner.plan(spec, task_root=task_root, opt=opt, tmp=home / "tmp")
        return _Place(task_root=task_root, opt=opt, home=home, plan=plan)

    async def _open(self, place: _Place, opening: Coroutine[Any, Any, Cell]) -> Cell:
        """Raises StartRefused."""
        try:
            if not self._sandboxed:
                (place.home / "tmp").mkdir(parents=True, exist_ok=True)
            cell = await opening
        except OSError as error:
            shutil.rmtree(place.home, ignore_errors=True)
            raise StartRefused(f"a process could not be started: {error}") from error
        finally:
            opening.close()
        try:
            self._check_open()
        except StartRefused:
            cell.close()
            raise
        return cell

    def _function_log(self, spec: EnvironmentSpec) -> FunctionLog:
        return FunctionLog(
            self._logs,
            self._clock,
            scope=Scope(account=spec.account, region=spec.region),
            group=spec.log_group,
            stream=spec.log_stream,
        )

    def _check_open(self) -> None:
        if self._closed:
            raise StartRefused("the sandbox is shutting down")

    async def _forget(self, environment_id: str, home: Path) -> None:
        self._environments.pop(environment_id, None)
        await asyncio.to_thread(shutil.rmtree, home, True)

    async def _own_folder(self) -> _OwnFolder:
        async with self._own_lock:
            if self._own is None:
                self._own = await asyncio.to_thread(_OwnFolder, self._work_dir / "environments")
            return self._own

    async def close(self) -> None:
        """Stop every environment and leave nothing behind."""
        self._closed = True
        await asyncio.gather(*(environment.stop("spindown") for environment in list(self._environments.values())))
        self._snapshots.close()
        await self._launcher.close()
        async with self._own_lock:
            own, self._own = self._own, None
            if own is not None:
                await asyncio.to_thread(own.remove)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The folders of an environment on this machine, and how its runtime is run."""

    task_root: Path
    opt: Path | None
    home: Path
    plan: Plan

    def request(self, spec: EnvironmentSpec, memory_mb: int) -> CellRequest:
        return CellRequest(
            task_root=str(self.task_root),
            opt="" if self.opt is None else str(self.opt.absolute()),
            memory_mb=memory_mb,
            ephemeral_storage_mb=spec.ephemeral_storage_mb,
            endpoint_url=spec.endpoint_url,
            root=self.plan.root,
        )


class _OwnFolder:
    """A folder that belongs to one sandbox as long as its process lives, which a file lock shows."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        for name in os.listdir(root):
            with contextlib.suppress(OSError):
                _remove_unless_locked(root / name)
        self.path = root / f"{os.getpid()}-{ids.new_hex()[:8]}"
        self.path.mkdir(mode=0o700)
        self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_unless_locked(folder: Path) -> None:
    """Remove what a dead server left. Raises OSError when its lock is held or not there (yet)."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
