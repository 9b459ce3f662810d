"""How a .NET function is run: its own native `bootstrap`, or an assembly on the machine's dotnet host.

AWS documentation, "Native AOT" and "Build Lambda functions with C#". A class library (a handler with `::` in it) is
loaded on AWS by a program of AWS's own; it is refused here with what to do instead.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from lambent.sandbox import plan_parts, variables
from lambent.sandbox.protocol import CannotRun, EnvironmentSpec
from lambent.sandbox.runtime_process import Plan

_AOT = "publish it with PublishAot as an executable named bootstrap"


def plan(
    spec: EnvironmentSpec,
    task_root: Path,
    opt: Path | None,
    tmp: Path,
    *,
    machine: Mapping[str, str] | None = None,
) -> Plan:
    """Raises CannotRun, naming what is missing. `machine` are the variables that lead to a dotnet host. Blocks."""
    extra = {"LAMBDA_RUNTIME_NAME": spec.runtime}
    if plan_parts.find_bootstrap(task_root, opt) is not None:
        return plan_parts.bootstrap(spec, task_root, opt, tmp, version=_version(spec), extra=extra)
    assembly, separator, _ = spec.handler.partition("::")
    if separator:
        raise CannotRun(
            f"{spec.runtime}: {spec.handler} names a method of a class library, which needs AWS's own host program; "
            f"make the function an executable assembly (its handler is the assembly's name), or {_AOT}"
        )
    name = assembly.removesuffix(".dll") + ".dll"
    if not (task_root / name).is_file():
        raise CannotRun(
            f"{spec.runtime}: the package has neither an executable named bootstrap nor the assembly {name}; {_AOT}"
        )
    major = int(spec.runtime.removeprefix("dotnet"))
    host = find_host(os.environ if machine is None else machine, Path.home(), major)
    if host is None:
        raise CannotRun(
            f"{spec.runtime}: {name} needs a dotnet host with the .NET {major} runtime, and this machine has none; "
            f"install the .NET {major} runtime, or {_AOT}"
        )
    environment = variables.merge(
        spec,
        variables.defaults(spec, task_root=task_root, opt=opt, runtime_bin=host.parent),
        variables.reserved(spec, task_root=task_root, runtime_dir=task_root, tmp=tmp),
        extra | {"DOTNET_ROOT": str(host.parent)},
    )
    argv = plan_parts.wrapped([str(host), str(task_root / name)], environment, task_root, opt)
    return Plan(
        argv=tuple(argv),
        environment=environment,
        folder=str(task_root),
        entrypoint=argv[0],
        transport="http",
        version=_version(spec),
    )


def find_host(machine: Mapping[str, str], home: Path, major: int) -> Path | None:
    """The `dotnet` program of an installation that has this runtime."""
    found = shutil.which("dotnet", path=machine.get("PATH", ""))
    root = machine.get("DOTNET_ROOT")
    places = [Path(root)] if root else []
    places += [Path(found).resolve().parent] if found else []
    places += [Path(place) for place in ("/usr/lib/dotnet", "/usr/share/dotnet", "/usr/lib64/dotnet", "/opt/dotnet")]
    places += [home / ".dotnet"]
    for place in places:
        if os.access(place / "dotnet", os.X_OK) and _has_runtime(place, major):
            return place / "dotnet"
    return None


def _has_runtime(place: Path, major: int) -> bool:
    try:
        names = os.listdir(place / "shared" / "Microsoft.NETCore.App")
    except OSError:
        return False
    return any(re.match(rf"{major}\.", name) for name in names)


def _version(spec: EnvironmentSpec) -> str:
    return f"dotnet:{spec.runtime.removeprefix('dotnet')}"
