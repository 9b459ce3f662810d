"""How a function's runtime is run on this machine: the command, its variables, its transport."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
from pathlib import Path

from lambent.core import ids
from lambent.sandbox import dotnet_plans, node_plans, plan_parts, variables
from lambent.sandbox.interpreters import CUSTOM_RUNTIMES, DOTNET_RUNTIMES, Interpreter, Interpreters
from lambent.sandbox.isolation import inside
from lambent.sandbox.node_interpreters import NODE_RUNTIMES, NodeFamily
from lambent.sandbox.protocol import EnvironmentSpec
from lambent.sandbox.python_interpreters import PythonFamily, python_minor
from lambent.sandbox.runtime_process import Plan

_PYTHON_RUNTIME = Path(__file__).parent / "runtimes" / "python"
# Reads source, target and the name for tracebacks, line by line. `unchecked`: the folder's name has the sources' hash.
_COMPILE = """
import py_compile, sys
names = sys.stdin.read().split("\\n")
for source, target, shown in zip(names[::3], names[1::3], names[2::3]):
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(source, target, shown, doraise=True, invalidation_mode=mode)
"""


class Planner:
    """Makes plans; keeps what it found out about interpreters."""

    def __init__(self, interpreters: Interpreters, cache: Path, *, sandboxed: bool = False) -> None:
        """`sandboxed`: plans are for a sandbox, with AWS's paths."""
        self._sandboxed = sandboxed
        self._interpreters = interpreters
        self._cache = cache
        self._compiled: dict[str, Path] = {}
        self._entries: dict[Path | None, tuple[tuple[str, str], ...]] = {}

    async def plan(self, spec: EnvironmentSpec, *, task_root: Path, opt: Path | None, tmp: Path) -> Plan:
        """Raises CannotRun when nothing on this machine runs `spec.runtime`."""
        interpreter = runtime_dir = None
        if spec.runtime in CUSTOM_RUNTIMES:
            plan = _custom(spec, task_root, opt, tmp)
        elif spec.runtime in DOTNET_RUNTIMES:
            plan = await asyncio.to_thread(dotnet_plans.plan, spec, task_root, opt, tmp)
        elif spec.runtime in NODE_RUNTIMES:
            interpreter = await self._interpreters.resolve(spec.runtime)
            runtime_dir = node_plans.NODE_RUNTIME
            plan = node_plans.plan(spec, interpreter, self._cache, task_root, opt, tmp)
        else:
            interpreter = await self._interpreters.resolve(spec.runtime)
            runtime_dir = await self._runtime_dir(interpreter)
            plan = _python(spec, interpreter, runtime_dir, task_root, opt, tmp)
        if not self._sandboxed:
            return plan
        runtime = self._entries.get(runtime_dir)
        if runtime is None:
            runtime = await asyncio.to_thread(inside.runtime_entries, interpreter, runtime_dir)
            self._entries[runtime_dir] = runtime
        moved = inside.move(
            plan,
            spec,
            task_root=task_root,
            opt=opt,
            tmp=tmp,
            interpreter=interpreter,
            runtime_dir=runtime_dir,
            runtime=runtime,
        )
        return node_plans.with_standby(moved, spec) if spec.runtime in NODE_RUNTIMES else moved

    async def _runtime_dir(self, interpreter: Interpreter) -> Path:
        """The Python runtime, compiled for this interpreter: doing that at every start would take most of the start."""
        known = self._compiled.get(interpreter.path)
        if known is None:
            known = await asyncio.to_thread(compile_runtime, interpreter, self._cache)
            self._compiled[interpreter.path] = known
        return known


def machine_interpreters(*, strict: bool = False) -> Interpreters:
    """The interpreters of this machine for all runtimes that need one."""
    return Interpreters((PythonFamily(), NodeFamily()), strict=strict)


def compile_runtime(interpreter: Interpreter, cache: Path) -> Path:
    """Compile the Python runtime's files with `interpreter` into a folder below `cache`. Blocks; kept across runs."""
    sources = sorted(_PYTHON_RUNTIME.rglob("*.py"))
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.relative_to(_PYTHON_RUNTIME).as_posix().encode() + b"\0" + source.read_bytes())
    folder = cache / f"python-{interpreter.text}-{interpreter.tag}-{digest.hexdigest()[:16]}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f"{folder.name}.{ids.new_hex()}"
    pairs = [
        f"{source}\n{partial / source.relative_to(_PYTHON_RUNTIME).with_suffix('.pyc')}\n"
        f"/var/runtime/{source.relative_to(_PYTHON_RUNTIME)}"
        for source in sources
    ]
    try:
        subprocess.run(
            [interpreter.path, "-I", "-S", "-c", _COMPILE],
            input="\n".join(pairs),
            text=True,
            env={},
            check=True,
            capture_output=True,
        )
        for path in (partial, *partial.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # whatever the umask: environments run as another user
        try:
            partial.rename(folder)
        except OSError:
            # Another server on the same cache was quicker.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _custom(spec: EnvironmentSpec, task_root: Path, opt: Path | None, tmp: Path) -> Plan:
    return plan_parts.bootstrap(spec, task_root, opt, tmp, version=spec.runtime.replace(".", ":", 1))


def _python(
    spec: EnvironmentSpec, interpreter: Interpreter, runtime_dir: Path, task_root: Path, opt: Path | None, tmp: Path
) -> Plan:
    # No user site, no byte code written beside the shared code: flags, which unlike variables stop at this process.
    argv = [interpreter.path, "-s", "-B", str(runtime_dir / "bootstrap.pyc")]
    environment = variables.merge(
        spec,
        variables.defaults(spec, task_root=task_root, opt=opt, runtime_bin=Path(interpreter.path).parent),
        variables.reserved(spec, task_root=task_root, runtime_dir=runtime_dir, tmp=tmp),
        {"_LAMBENT_OPT": str(opt)} if opt else {},
    )
    warnings: tuple[str, ...] = ()
    wanted = python_minor(spec.runtime)
    if interpreter.version[1] != wanted:
        warnings += (plan_parts.nearest_warning(spec.runtime, "Python", interpreter),)
    argv = plan_parts.wrapped(argv, environment, task_root, opt)
    return Plan(
        argv=tuple(argv),
        environment=environment,
        folder=str(task_root),
        entrypoint=argv[0],
        transport="framed",
        version=f"python:{interpreter.text}",
        warnings=warnings,
    )
