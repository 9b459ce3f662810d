"""What `lambent doctor` looks at. Each probe reads this machine and changes nothing that stays."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
CONTROLLERS = ("memory", "pids", "cpu", "freezer")

_NAMESPACES = {"mount": 0x0002_0000, "pid": 0x2000_0000, "ipc": 0x0800_0000, "uts": 0x0400_0000, "net": 0x4000_0000}
_USER_NAMESPACE = 0x1000_0000
# Runs in a process of its own, since what is unshared cannot be taken back.
_UNSHARE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(0 if libc.unshare(int(sys.argv[1])) == 0 else 1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`missing`: functions cannot run without it. `limited`: they can, with less. `none`: simply not there."""

    what: str
    state: Literal["ok", "none", "limited", "missing"]
    detail: str
    fix: str = ""


def all_findings(data: Path) -> list[Finding]:
    """Everything, most important first."""
    return [
        system(sys.platform, platform.release()),
        data_folder(data),
        pythons(find_pythons()),
        namespaces({name: _can_unshare(flag) for name, flag in _NAMESPACES.items()}),
        cgroups(find_controllers(Path("/proc/self/mountinfo"), Path("/proc/self/cgroup"))),
        compiler(),
        node(),
        gpus(),
    ]


def system(name: str, release: str) -> Finding:
    """The kernel."""
    if name == "linux":
        return Finding(what="system", state="ok", detail=f"Linux {release}")
    return Finding(
        what="system",
        state="limited",
        detail=f"{name}: functions run as plain processes only",
        fix="use Linux for isolation and limits",
    )


def data_folder(path: Path) -> Finding:
    """Whether the folder, or the nearest one above it that exists, can be written."""
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        fix = f"make {place} writable, or choose another folder with --data"
        return Finding(what="data folder", state="missing", detail=f"{path}: {error.strerror}", fix=fix)
    free_gib = shutil.disk_usage(place).free / 1024**3
    detail = f"{path}, {free_gib:.1f} GiB free"
    if free_gib < 1:
        return Finding(what="data folder", state="limited", detail=detail, fix="free some space, or use --data")
    return Finding(what="data folder", state="ok", detail=detail)


def find_pythons() -> dict[str, str]:
    """Version to path, of the interpreters that AWS's Python runtimes need: from PATH, pyenv, uv and /usr."""
    patterns = [
        *(f"{folder}/python{{}}" for folder in os.get_exec_path()),
        str(Path.home() / ".pyenv/versions/{}.*/bin/python{}"),
        str(Path.home() / ".local/share/uv/python/cpython-{}.*/bin/python{}"),
        "/usr/lib/python{}/bin/python{}",
    ]
    found: dict[str, str] = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    for version in PYTHONS:
        for pattern in patterns:
            for path in sorted(glob.glob(pattern.replace("{}", version))):
                # A pyenv shim runs only the versions that the current folder selects.
                if os.access(path, os.X_OK) and "/shims/" not in path:
                    found.setdefault(version, path)
    return {version: found[version] for version in PYTHONS if version in found}


def pythons(found: Mapping[str, str]) -> Finding:
    """Which of AWS's Python runtimes have their own interpreter."""
    lacking = [version for version in PYTHONS if version not in found]
    if not found:
        fix = "install a Python from 3.9 to 3.14"
        return Finding(what="Python runtimes", state="missing", detail="none", fix=fix)
    detail = ", ".join(f"{version} ({path})" for version, path in found.items())
    if not lacking:
        return Finding(what="Python runtimes", state="ok", detail=detail)
    fix = f"for exact runtimes: uv python install {' '.join(lacking)}; until then the nearest one is used"
    return Finding(what="Python runtimes", state="limited", detail=detail, fix=fix)


def _can_unshare(flag: int) -> Literal["root", "user", ""]:
    """Whether a namespace can be made as we are, or inside a user namespace."""
    ways: tuple[tuple[Literal["root", "user"], int], ...] = (("root", flag), ("user", flag | _USER_NAMESPACE))
    for way, flags in ways:
        command = [sys.executable, "-I", "-S", "-c", _UNSHARE, str(flags)]
        try:
            done = subprocess.run(command, check=False, capture_output=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        if done.returncode == 0:
            return way
    return ""


def namespaces(ways: Mapping[str, str]) -> Finding:
    """From each namespace's way: `root`, `user` or nothing."""
    able = [name for name, way in ways.items() if way]
    lacking = [name for name, way in ways.items() if not way]
    if not lacking:
        how = "as root" if set(ways.values()) == {"root"} else "inside user namespaces"
        return Finding(what="namespaces", state="ok", detail=f"{', '.join(able)} ({how})")
    return Finding(
        what="namespaces",
        state="limited",
        detail=f"not allowed: {', '.join(lacking)}",
        fix="run as root, or allow them: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """Where a cgroup controller is mounted, and whether we may make groups there."""

    version: Literal[1, 2]
    writable: bool


def find_controllers(mountinfo: Path, own: Path) -> dict[str, Controller]:
    """Each of CONTROLLERS that some cgroup hierarchy has, version 2 preferred."""
    try:
        mounts, groups = mountinfo.read_text(), own.read_text()
    except OSError:
        return {}
    paths = {tuple(line.split(":")[1].split(",")): line.split(":", 2)[2] for line in groups.splitlines()}
    found: dict[str, Controller] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        mount = Path(before.split()[4])
        if kind == "cgroup2":
            group = mount / paths.get(("",), "/").lstrip("/")
            try:
                names = (group / "cgroup.controllers").read_text().split()
            except OSError:
                names = []
            freezes = ["freezer"] if (group / "cgroup.freeze").exists() or names else []
            for name in {*names, *freezes} & set(CONTROLLERS):
                found[name] = Controller(version=2, writable=os.access(group, os.W_OK))
        elif kind == "cgroup":
            for name in set(options.rpartition(" ")[2].split(",")) & set(CONTROLLERS):
                # Inside a container our path may lie outside of what is mounted: then the mount is our group.
                path = next((path for names, path in paths.items() if name in names), "/")
                group = mount / path.lstrip("/")
                writable = os.access(group if group.exists() else mount, os.W_OK)
                found.setdefault(name, Controller(version=1, writable=writable))
    return found


def cgroups(found: Mapping[str, Controller]) -> Finding:
    """Which limits can be enforced by the kernel."""
    usable = {name: found[name] for name in CONTROLLERS if name in found and found[name].writable}
    detail = ", ".join(f"{name} (v{controller.version})" for name, controller in usable.items()) or "none usable"
    lacking = [name for name in CONTROLLERS if name not in usable]
    if not lacking:
        return Finding(what="cgroups", state="ok", detail=detail)
    read_only = [name for name in lacking if name in found]
    fix = f"cannot limit {', '.join(lacking)}: " + (
        "run as root, or delegate a cgroup: systemd-run --user --scope -p Delegate=yes lambent up"
        if read_only
        else "boot with these controllers enabled (cgroup_enable=memory), or pass them into the container"
    )
    return Finding(what="cgroups", state="limited", detail=detail, fix=fix)


def sandbox(lack: str, fix: str, limits: Mapping[str, int]) -> Finding:
    """Whether functions can be sandboxed: `lack` is what stands in the way, or empty."""
    if lack:
        return Finding(
            what="sandbox", state="limited", detail=lack, fix=f"{fix}; or the weaker lambent up --isolation process"
        )
    missing = [name for name in ("memory", "cpu", "pids") if name not in limits]
    if not missing:
        return Finding(what="sandbox", state="ok", detail="every function behind walls, limited by the kernel")
    return Finding(
        what="sandbox",
        state="limited",
        detail=f"works; without cgroups for {', '.join(missing)}: memory is watched, processes are limited by user",
        fix="mount these controllers where the server may make groups",
    )


def compiler() -> Finding:
    """A C compiler, for some of the project's own tests."""
    path = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if path:
        return Finding(what="C compiler", state="ok", detail=path)
    return Finding(
        what="C compiler",
        state="none",
        detail="only some of Lambent's own tests need one",
        fix="Debian: apt-get install gcc libc6-dev",
    )


def node() -> Finding:
    """Node.js. No runtime of this version needs it."""
    path = shutil.which("node")
    if path:
        return Finding(what="Node.js", state="ok", detail=path)
    return Finding(what="Node.js", state="none", detail="no runtime of this version needs it")


def gpus() -> Finding:
    """NVIDIA devices, by what the driver shows."""
    tool = shutil.which("nvidia-smi")
    names: Sequence[str] = ()
    if tool:
        command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
            names = done.stdout.splitlines() if done.returncode == 0 else ()
        except (OSError, subprocess.TimeoutExpired):
            names = ()
    if names:
        return Finding(what="GPUs", state="ok", detail="; ".join(names))
    if any(re.fullmatch(r"nvidia\d+", entry) for entry in os.listdir("/dev")):
        fix = "install the driver's nvidia-smi of the same version"
        return Finding(what="GPUs", state="limited", detail="devices, but nvidia-smi does not answer", fix=fix)
    return Finding(what="GPUs", state="none", detail="no NVIDIA device")
