"""How a Node.js function is run."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from lambent.sandbox import plan_parts, standby, variables
from lambent.sandbox.interpreters import Interpreter
from lambent.sandbox.isolation import inside
from lambent.sandbox.node_interpreters import node_major
from lambent.sandbox.protocol import EnvironmentSpec
from lambent.sandbox.runtime_process import Plan

NODE_RUNTIME = Path(__file__).parent / "runtimes" / "node"
# The shares of the function's memory that AWS's runtime gives V8's young and old generation.
_YOUNG_PERCENT, _OLD_PERCENT = 5, 90
_FORGET_AFTER_S = 14 * 86400
_FORGET_AT_ONCE = 4


def plan(
    spec: EnvironmentSpec, interpreter: Interpreter, cache: Path, task_root: Path, opt: Path | None, tmp: Path
) -> Plan:
    """Run our bootstrap on `interpreter`. Compiled code is kept below `cache`, apart for each function version."""
    major = node_major(spec.runtime)
    compiled = _open_compile_cache(spec, cache)
    layers = opt is not None and (opt / "nodejs").is_dir()
    defaults = variables.defaults(spec, task_root=task_root, opt=opt, runtime_bin=Path(interpreter.path).parent) | {
        "NODE_PATH": ":".join(_module_folders(major, task_root, opt))
    }
    environment = variables.merge(
        spec,
        defaults,
        variables.reserved(spec, task_root=task_root, runtime_dir=NODE_RUNTIME, tmp=tmp),
        {"_LAMBENT_COMPILE_CACHE": str(compiled), "_LAMBENT_LAYERS": "1" if layers else "0"},
    )
    argv = [interpreter.path, *_memory_flags(spec, environment), str(NODE_RUNTIME / "bootstrap.js")]
    warnings: tuple[str, ...] = ()
    if interpreter.version[0] != major:
        warnings += (plan_parts.nearest_warning(spec.runtime, "Node.js", interpreter),)
    argv = plan_parts.wrapped(argv, environment, task_root, opt)
    return Plan(
        argv=tuple(argv),
        environment=environment,
        folder=str(task_root),
        entrypoint=argv[0],
        transport="framed",
        version=f"nodejs:{interpreter.text}",
        warnings=warnings,
    )


def with_standby(plan: Plan, spec: EnvironmentSpec) -> Plan:
    """The plan for a sandbox, with the stand-by that will do for it, where one will."""
    if plan.root is None or "AWS_LAMBDA_EXEC_WRAPPER" in plan.environment or spec.debug_port or spec.concurrent:
        return plan
    return replace(plan, root=standby.with_standby(plan.root, tuple(plan.argv), plan.environment, inside.USUAL))


def _open_compile_cache(spec: EnvironmentSpec, cache: Path) -> Path:
    """Where the compiled code of a function version is kept: no other function can put its own there.

    A new version makes room: folders that no start has asked for in a long while go, a few at a time.
    """
    identity = "\n".join((spec.account, spec.function_arn, spec.function_version, spec.code, *spec.layers))
    folder = cache / "node-compiled" / hashlib.sha256(identity.encode()).hexdigest()[:32]
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        os.utime(folder)
        return folder
    now_s = folder.stat().st_mtime
    with os.scandir(folder.parent) as entries:
        unused = [entry.path for entry in entries if now_s - entry.stat().st_mtime > _FORGET_AFTER_S]
    for path in unused[:_FORGET_AT_ONCE]:
        shutil.rmtree(path, ignore_errors=True)
    return folder


def _module_folders(major: int, task_root: Path, opt: Path | None) -> list[str]:
    """Where `require` and `import` look for packages that are not beside the code."""
    layers = [opt / f"nodejs/node{major}/node_modules", opt / "nodejs/node_modules"] if opt else []
    return [*map(str, layers), str(task_root)]


def _memory_flags(spec: EnvironmentSpec, environment: dict[str, str]) -> list[str]:
    """V8's limits; the function's own take the place of both."""
    options = environment.get("NODE_OPTIONS", "").replace("_", "-")
    if "--max-semi-space-size" in options or "--max-old-space-size" in options:
        return []
    young_mb = max(1, spec.memory_mb * _YOUNG_PERCENT // 100)
    old_mb = spec.memory_mb * _OLD_PERCENT // 100
    return [f"--max-semi-space-size={young_mb}", f"--max-old-space-size={old_mb}"]
