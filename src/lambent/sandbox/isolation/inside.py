"""Plans as they are inside a sandbox: AWS's own paths and variables in place of this machine's.

A plan is made for this machine, where it can be checked (is there a bootstrap, may it be executed), and then moved:
each place that the sandbox mounts somewhere is called what it is called there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from lambent.sandbox.interpreters import Interpreter
from lambent.sandbox.isolation import zygotes
from lambent.sandbox.launcher import Root
from lambent.sandbox.protocol import EnvironmentSpec
from lambent.sandbox.runtime_process import Plan

# As recorded inside real environments.
_PATH: Final = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
_LD_LIBRARY_PATH: Final = (
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
)
# What every runtime has and reads when it starts, unless its function sets it otherwise.
USUAL: Final = {
    "PATH": _PATH,
    "LD_LIBRARY_PATH": _LD_LIBRARY_PATH,
    "LANG": "en_US.UTF-8",
    "LC_CTYPE": "C.UTF-8",
    "TZ": ":UTC",
}
_LANG: Final = "/var/lang"
_RUNTIME: Final = "/var/runtime"


def move(
    plan: Plan,
    spec: EnvironmentSpec,
    *,
    task_root: Path,
    opt: Path | None,
    tmp: Path,
    interpreter: Interpreter | None,
    runtime_dir: Path | None,
    runtime: tuple[tuple[str, str], ...],
) -> Plan:
    """The plan for the inside of a sandbox, with the `root` that it needs.

    `interpreter` is what runs our runtime in `runtime_dir`; None of both for a program of the package's own.
    `runtime` is from `runtime_entries`.
    """
    lang = _lang(plan, interpreter)
    places = [(str(task_root), "/var/task"), (str(tmp), "/tmp")]
    if opt is not None:
        places.append((str(opt), "/opt"))
    if runtime_dir is not None:
        places.append((str(runtime_dir), _RUNTIME))
    if lang is not None:
        places.append((str(lang), _LANG))
    places.sort(key=lambda place: -len(place[0]))
    python = spec.runtime.startswith("python")
    exact = {"PATH": _PATH, "LD_LIBRARY_PATH": _LD_LIBRARY_PATH} | ({"PYTHONPATH": _RUNTIME} if python else {})
    environment = {
        name: value if spec.environment.get(name) == value else _moved_list(value, places)
        for name, value in plan.environment.items()
    }
    environment |= {name: value for name, value in exact.items() if name not in spec.environment}
    environment["LAMBDA_RUNTIME_DIR"] = _RUNTIME
    environment.pop("TMPDIR", None)  # /tmp is what it should be; the function's own value, if any, counts
    if "TMPDIR" in spec.environment:
        environment["TMPDIR"] = spec.environment["TMPDIR"]
    # A cache that outlives the environment would have to be written by it.
    environment.pop("_LAMBENT_COMPILE_CACHE", None)
    argv = tuple(_moved(word, places) for word in plan.argv)
    root = Root(lang="" if lang is None else str(lang), runtime=runtime)
    if python and interpreter is not None:
        root = replace(
            root,
            interpreter=_moved(interpreter.path, places),
            environment=tuple((USUAL | exact).items()),
        )
    return replace(
        plan,
        argv=argv,
        environment=environment,
        folder=_moved(plan.folder, places),
        entrypoint=_moved(plan.entrypoint, places),
        root=root,
    )


def runtime_entries(interpreter: Interpreter | None, runtime_dir: Path | None) -> tuple[tuple[str, str], ...]:
    """What /var/runtime holds, for `Root.runtime`. Blocks for milliseconds: to be kept."""
    if interpreter is None or runtime_dir is None:
        return ()
    entries = zygotes.folder_entries(runtime_dir)
    if runtime_dir.name.startswith("python"):
        entries |= zygotes.sdk_packages(interpreter.version[:2])
    return tuple(entries.items())


def _lang(plan: Plan, interpreter: Interpreter | None) -> Path | None:
    """The installation that the interpreter belongs to: the folder above its `bin`."""
    if interpreter is not None:
        return Path(interpreter.path).parent.parent
    dotnet: Mapping[str, str] = plan.environment
    root = dotnet.get("DOTNET_ROOT")
    return Path(root) if root and plan.argv[0].startswith(root) else None


def _moved_list(value: str, places: Sequence[tuple[str, str]]) -> str:
    return ":".join(_moved(part, places) for part in value.split(":"))


def _moved(path: str, places: Sequence[tuple[str, str]]) -> str:
    for here, inside in places:
        if path == here or path.startswith(here + "/"):
            return inside + path[len(here) :]
    return path
