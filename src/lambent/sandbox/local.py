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
import os
import shutil
from pathlib import Path

from lambent.core import ids, limits
from lambent.core.clock import Clock
from lambent.core.log_events import LogSink
from lambent.core.operations import Scope
from lambent.sandbox import debug_plans
from lambent.sandbox.concurrent_environment import ConcurrentEnvironment
from lambent.sandbox.debugging import DebugPorts, Waiting
from lambent.sandbox.environment import ExecutionEnvironment
from lambent.sandbox.extension_process import find_programs
from lambent.sandbox.function_log import FunctionLog
from lambent.sandbox.initialisation import Parts
from lambent.sandbox.interpreters import Interpreters, RuntimeRow
from lambent.sandbox.launcher import CellRequest, Launcher, ProcessLauncher
from lambent.sandbox.layers import LayerFolders
from lambent.sandbox.plans import Planner, machine_interpreters
from lambent.sandbox.platform_lines import PlatformLines
from lambent.sandbox.protocol import CannotRun, CodeSource, EnvironmentSpec, StartRefused


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
        self._own: _OwnFolder | None = None
        self._own_lock = asyncio.Lock()
        self._closed = False

    async def runtimes_table(self) -> list[RuntimeRow]:
        """What each AWS runtime runs on here."""
        return await self._interpreters.table()

    async def start(self, spec: EnvironmentSpec) -> ExecutionEnvironment | ConcurrentEnvironment:
        """Start an environment and its INIT phase. Raises StartRefused, CannotRun; KeyError for unknown code."""
        self._check_open()
        if spec.initialization_type not in ("on-demand", "provisioned-concurrency", "lambda-managed-instances"):
            raise CannotRun(f"initialization type {spec.initialization_type} is not supported by this release")
        if spec.debug_port and spec.concurrent:
            raise CannotRun("a debugger attaches to functions that run one event at a time")
        task_root = await self._code.folder(spec.code)
        opt = await self._layers.folder(spec.layers, [await self._code.folder(layer) for layer in spec.layers])
        own = await self._own_folder()
        home = own.path / spec.environment_id
        tmp = home / "tmp"
        plan = await self._planner.plan(spec, task_root=task_root.absolute(), opt=opt, tmp=tmp)
        memory_mb = spec.memory_mb
        inside_port = 0
        if spec.debug_port:
            memory_mb += debug_plans.HEADROOM_MB
            inside_port = debug_plans.SANDBOX_PORT if self._sandboxed else debug_plans.free_port()
            plan = debug_plans.debugged(plan, spec, port=inside_port, task_root=task_root.absolute(), opt=opt)
        try:
            if not self._sandboxed:
                tmp.mkdir(parents=True)
            cell = await self._launcher.open(
                CellRequest(
                    task_root=str(task_root.absolute()),
                    opt="" if opt is None else str(opt.absolute()),
                    memory_mb=memory_mb,
                    ephemeral_storage_mb=spec.ephemeral_storage_mb,
                    endpoint_url=spec.endpoint_url,
                    root=plan.root,
                )
            )
        except OSError as error:
            shutil.rmtree(home, ignore_errors=True)
            raise StartRefused(f"a process could not be started: {error}") from error
        try:
            self._check_open()
        except StartRefused:
            cell.close()
            raise
        parts = Parts(
            spec=spec,
            plan=plan,
            cell=cell,
            log=FunctionLog(
                self._logs,
                self._clock,
                scope=Scope(account=spec.account, region=spec.region),
                group=spec.log_group,
                stream=spec.log_stream,
            ),
            lines=PlatformLines(spec, plan.version),
            clock=self._clock,
            memory_limit_bytes=memory_mb * limits.MIB,
            programs=find_programs(opt, inside=plan.root is not None),
        )
        kind = ConcurrentEnvironment if spec.concurrent else ExecutionEnvironment
        environment = kind(parts, on_stopped=lambda: self._forget(spec.environment_id, home))
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
        await self._launcher.close()
        async with self._own_lock:
            own, self._own = self._own, None
            if own is not None:
                await asyncio.to_thread(own.remove)


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
