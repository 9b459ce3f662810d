"""How a runtime is run that waits for a debugger before it loads the function's code."""

from __future__ import annotations

import importlib.util
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Final

from lambent.sandbox.protocol import CannotRun, EnvironmentSpec
from lambent.sandbox.python_interpreters import python_minor
from lambent.sandbox.runtime_process import Plan

# In a sandbox the port is the environment's own; this one is far from those that programs usually take.
SANDBOX_PORT: Final = 49_229
# What debugpy and its adapter, a process of its own, take beside the function.
HEADROOM_MB: Final = 256
_INSIDE: Final = "/var/runtime/debugpy"


def debugger_for(runtime: str) -> str:
    """Which debugger attaches to functions of this runtime. Raises CannotRun when none does."""
    if runtime.startswith("python"):
        return "debugpy"
    if runtime.startswith("nodejs"):
        return "inspector"
    raise CannotRun(
        f"functions of {runtime} cannot wait for a debugger: their runtime is a program of the package's own; "
        "Python and Node.js functions can"
    )


def debugged(plan: Plan, spec: EnvironmentSpec, *, port: int, task_root: Path, opt: Path | None) -> Plan:
    """The plan with a debugger that listens on `port` of the environment's loopback interface.

    A sandbox for it is never forked from a process that other functions' environments come from. Raises CannotRun when
    there is no debugger for the runtime.
    """
    debugger = debugger_for(spec.runtime)
    variables = {"_LAMBENT_DEBUG_PORT": str(port)}
    root = plan.root if plan.root is None else replace(plan.root, interpreter="", environment=())
    argv = plan.argv
    if debugger == "debugpy":
        package = _debugpy(spec, task_root, opt)
        variables["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
        if package is not None:
            variables["_LAMBENT_DEBUGPY"] = str(package) if root is None else _INSIDE
            if root is not None:
                root = replace(root, runtime=(*root.runtime, ("debugpy", str(package))))
        if python_minor(spec.runtime) >= 11:
            # Frozen modules have no lines to stop at. The flag goes where it is the interpreter's.
            at = next(index for index, word in enumerate(argv) if word.endswith("bootstrap.pyc"))
            argv = (*argv[:at], "-X", "frozen_modules=off", *argv[at:])
    return replace(plan, argv=tuple(argv), environment={**plan.environment, **variables}, root=root)


def free_port() -> int:
    """A port of this machine's loopback interface that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _debugpy(spec: EnvironmentSpec, task_root: Path, opt: Path | None) -> Path | None:
    """The debugpy installed beside Lambent; None when the function or a layer brings its own. Raises CannotRun."""
    version = f"python3.{python_minor(spec.runtime)}"
    places = [task_root] + ([opt / "python", opt / "python/lib" / version / "site-packages"] if opt else [])
    if any(os.path.isdir(place / "debugpy") for place in places):
        return None
    found = importlib.util.find_spec("debugpy")
    if found is None or found.origin is None:
        raise CannotRun(
            "there is no debugpy for a Python function to wait in: install it beside Lambent with "
            "`pip install 'lambent[debug]'`, or put debugpy into the function's package"
        )
    return Path(found.origin).parent
