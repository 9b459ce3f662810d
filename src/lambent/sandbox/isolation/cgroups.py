"""Limits of the kernel, by controller: version 2 where it has the controller, else version 1, else none.

Some machines mount version 2 with no controllers beside version 1 (they would silently limit nothing), so each
controller is looked for by itself. Groups are `<controller>/<our own group>/lambent-<pid>-<random>/<slot>`; a slot's
groups are kept for the next sandbox of that slot, as making and removing them costs as much as a namespace.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lambent.core import ids

Controller = Literal["memory", "cpu", "pids"]
CONTROLLERS: Final[tuple[Controller, ...]] = ("memory", "cpu", "pids")
_PREFIX: Final = "lambent-"
# AWS documentation, "Configure Lambda function memory": 1,769 MB are one vCPU.
_MB_OF_ONE_CPU: Final = 1769


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """A mounted hierarchy with the controllers that we use from it, and the folder that our groups go below."""

    version: Literal[1, 2]
    base: Path
    controllers: tuple[Controller, ...]


def hierarchies(mountinfo: str, own: str) -> list[Hierarchy]:
    """From /proc/self/mountinfo and /proc/self/cgroup. Looks into the mounted hierarchies for what they control."""
    paths: dict[str, str] = {}
    for line in own.splitlines():
        _, listed, path = line.split(":", 2)
        for name in listed.split(","):
            paths[name] = path
    found: list[Hierarchy] = []
    left = list(CONTROLLERS)
    lines = [line for line in mountinfo.splitlines() if " - cgroup" in line]
    # Version 2 first.
    for line in sorted(lines, key=lambda line: " - cgroup2 " not in line):
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        mount = Path(before.split()[4])
        if kind == "cgroup2":
            # In the group of a process no controller can be handed on: ours go beside it, at the top.
            try:
                names = (mount / "cgroup.controllers").read_text().split()
            except OSError:
                continue
            base = mount
        else:
            names = options.rpartition(" ")[2].split(",")
            base = mount / paths.get(names[-1], "/").lstrip("/")
            if not base.is_dir():
                base = mount  # inside a container our path may lie outside of what is mounted
        ours = tuple(name for name in left if name in names)
        if ours and os.access(base, os.W_OK):
            found.append(Hierarchy(version=2 if kind == "cgroup2" else 1, base=base, controllers=ours))
            left = [name for name in left if name not in ours]
    return found


def read_hierarchies() -> list[Hierarchy]:
    """Those of this machine that we may make groups in; none where there are none."""
    try:
        return hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    except OSError:
        return []


def cpu_shares(memory_mb: int) -> int:
    """Version 1: 1024 stand for one CPU under contention."""
    return max(2, memory_mb * 1024 // _MB_OF_ONE_CPU)


def cpu_weight(memory_mb: int) -> int:
    """Version 2: 100 is the default weight."""
    return min(10_000, max(1, memory_mb * 100 // _MB_OF_ONE_CPU))


class Cgroups:
    """The groups of one server's sandboxes. Blocks, for microseconds: cgroup files are the kernel's memory."""

    def __init__(self, hierarchies: Sequence[Hierarchy], pid: int) -> None:
        self._hierarchies = hierarchies
        self._name = f"{_PREFIX}{pid}-{ids.new_hex()[:8]}"
        self._made: set[int] = set()
        self._usable: list[tuple[Hierarchy, Path]] | None = None

    @property
    def limits(self) -> dict[str, int]:
        """Which controllers limit sandboxes, with the version that each is of."""
        return {name: one.version for one, _ in self._folders() for name in one.controllers}

    def _folders(self) -> list[tuple[Hierarchy, Path]]:
        if self._usable is None:
            self._usable = []
            for one in self._hierarchies:
                _sweep(one.base)
                folder = one.base / self._name
                try:
                    folder.mkdir(exist_ok=True)
                    if one.version == 2:
                        for place in (one.base, folder):
                            for name in one.controllers:
                                (place / "cgroup.subtree_control").write_text(f"+{name}")
                except OSError:
                    with contextlib.suppress(OSError):
                        folder.rmdir()
                else:
                    self._usable.append((one, folder))
        return self._usable

    def enter(self, slot: int) -> list[int]:
        """Open the `cgroup.procs` of a slot's groups, which are made if need be. Raises OSError."""
        opened: list[int] = []
        try:
            for _, folder in self._folders():
                group = folder / str(slot)
                if slot not in self._made:
                    group.mkdir(exist_ok=True)
                opened.append(os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        self._made.add(slot)
        return opened

    def move(self, slot: int, pid: int) -> None:
        """Put a process into a slot's groups. Raises OSError."""
        for fd in self.enter(slot):
            try:
                os.write(fd, str(pid).encode())
            finally:
                os.close(fd)

    def limit(self, slot: int, *, memory_bytes: int, memory_mb: int, processes: int) -> None:
        """Set a slot's limits; 0 leaves one out. Raises OSError."""
        for one, folder in self._folders():
            group = folder / str(slot)
            for name in one.controllers:
                if name == "memory" and one.version == 2:
                    _write(group / "memory.max", memory_bytes or "max")
                    _write(group / "memory.swap.max", 0, optional=True)
                elif name == "memory":
                    # With swap accounting the two must never cross: lifted first, then set from below.
                    _write(group / "memory.memsw.limit_in_bytes", -1, optional=True)
                    _write(group / "memory.limit_in_bytes", memory_bytes or -1)
                    _write(group / "memory.memsw.limit_in_bytes", memory_bytes or -1, optional=True)
                elif name == "cpu" and one.version == 2:
                    _write(group / "cpu.weight", cpu_weight(memory_mb))
                elif name == "cpu":
                    _write(group / "cpu.shares", cpu_shares(memory_mb))
                else:
                    _write(group / "pids.max", processes or "max")

    def close(self) -> None:
        """Remove all groups; what still has processes stays, and is swept by the next server."""
        for _, folder in self._usable or ():
            _remove(folder)
        self._usable = []


def _write(path: Path, value: int | str, *, optional: bool = False) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(value).encode())
        finally:
            os.close(fd)
    except OSError:
        if not optional:
            raise


def _sweep(base: Path) -> None:
    """Remove the groups of servers that are no more."""
    with contextlib.suppress(OSError):
        for folder in base.glob(f"{_PREFIX}*"):
            pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
            if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
                _remove(folder)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for group in [entry for entry in folder.iterdir() if entry.is_dir()]:
            with contextlib.suppress(OSError):
                group.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
