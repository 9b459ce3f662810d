"""What the plans of different runtimes have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lambent.sandbox import failures, variables
from lambent.sandbox.interpreters import Interpreter
from lambent.sandbox.protocol import EnvironmentSpec
from lambent.sandbox.runtime_process import Plan


def find_bootstrap(task_root: Path, opt: Path | None) -> tuple[Path, str] | None:
    """The first `bootstrap` of package and layers with the folder's name inside the function."""
    for place, name in ((task_root, "/var/task"), (opt, "/opt")):
        if place is not None and (place / "bootstrap").is_file():
            return place / "bootstrap", name
    return None


def bootstrap(
    spec: EnvironmentSpec,
    task_root: Path,
    opt: Path | None,
    tmp: Path,
    *,
    version: str,
    extra: Mapping[str, str] | None = None,
) -> Plan:
    """Run the package's own `bootstrap` (AWS documentation, "Custom runtimes"). `extra` are reserved variables."""
    failure = None
    found = find_bootstrap(task_root, opt)
    if found is None:
        program, name, failure = task_root / "bootstrap", "/var/task", failures.no_bootstrap()
    else:
        program, name = found
        if not os.access(program, os.X_OK):
            failure = failures.cannot_execute(f"{name}/bootstrap", "permission denied")
    return Plan(
        argv=(str(program),),
        environment=variables.merge(
            spec,
            variables.defaults(spec, task_root=task_root, opt=opt, runtime_bin=None),
            variables.reserved(spec, task_root=task_root, runtime_dir=task_root, tmp=tmp),
            extra or {},
        ),
        folder=str(task_root),
        entrypoint=f"{name}/bootstrap",
        transport="http",
        version=version,
        failure=failure,
    )


def wrapped(argv: Sequence[str], environment: Mapping[str, str], task_root: Path, opt: Path | None) -> list[str]:
    """The command, run by AWS_LAMBDA_EXEC_WRAPPER where the function has one."""
    wrapper = environment.get("AWS_LAMBDA_EXEC_WRAPPER")
    if not wrapper:
        return list(argv)
    # As on AWS the shell reports a wrapper that is not there: exit status 127.
    return ["/bin/sh", "-c", 'exec "$@"', "sh", _here(wrapper, task_root, opt), *argv]


def _here(path: str, task_root: Path, opt: Path | None) -> str:
    """A path below /opt or /var/task, which do not exist in process mode, as it is on this machine."""
    if opt is not None and path.startswith("/opt/"):
        return str(opt / path.removeprefix("/opt/"))
    if path.startswith("/var/task/"):
        return str(task_root / path.removeprefix("/var/task/"))
    return path


def nearest_warning(runtime: str, language: str, interpreter: Interpreter) -> str:
    """For the function's log, when another release stands in."""
    return (
        f"[WARN] lambent: {runtime} is not installed on this machine; this function runs on {language} "
        f"{interpreter.text}\n"
    )
