"""Reading what this machine has left: memory and process ids, also where a control group allows less than there is.

Works for cgroup v1 and v2 and for both at once, and for cgroups that are mounted below a container's root. A limit of
any ancestor binds as well as our own, so the tightest on the way up counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

_UNLIMITED = 1 << 60  # v1 writes "no limit" as a number near 2**63


class HostReading(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the machine.

    `available_bytes` is what can be taken without swapping, `total_bytes` what it is part of; where a control group is
    the tighter of the two both are the group's and `memory_of` names it. `swapped_out_bytes` only grows. `processes`
    counts threads too, as the kernel does; `processes_limit` is None where there is none.
    """

    total_bytes: int
    available_bytes: int
    memory_of: str
    swapped_out_bytes: int
    processes: int
    processes_limit: int | None
    processes_of: str


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    folder: Path
    limit: str
    usage: str
    reclaimable: str  # the key in memory.stat


class HostReader:
    """Reads /proc and /sys/fs/cgroup below `root`; a read takes some 0.2 ms and never blocks on a disk."""

    def __init__(self, *, root: Path = Path("/")) -> None:
        self._proc = root / "proc"
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._memory_groups = list(_groups(root, "memory"))
        self._process_groups = list(_groups(root, "pids"))

    def read(self) -> HostReading:
        total, available = self._memory()
        memory_of = "this machine"
        for group in self._memory_groups:
            limit, usage = _number(group.folder / group.limit), _number(group.folder / group.usage)
            if limit is None or usage is None or limit >= _UNLIMITED:
                continue
            # The page cache counts as usage but gives way under pressure.
            usage -= min(usage, _stat(group.folder / "memory.stat", group.reclaimable))
            if max(0, limit - usage) < available:
                total, available, memory_of = limit, max(0, limit - usage), f"control group {group.folder.name}"
        processes, processes_limit = self._processes()
        processes_of = "this machine"
        for group in self._process_groups:
            limit, usage = _number(group.folder / group.limit), _number(group.folder / group.usage)
            if limit is None or usage is None or limit >= _UNLIMITED:
                continue
            if processes_limit is None or limit - usage < processes_limit - processes:
                processes, processes_limit, processes_of = usage, limit, f"control group {group.folder.name}"
        return HostReading(
            total_bytes=total,
            available_bytes=available,
            memory_of=memory_of,
            swapped_out_bytes=_stat(self._proc / "vmstat", "pswpout") * self._page_bytes,
            processes=processes,
            processes_limit=processes_limit,
            processes_of=processes_of,
        )

    def _memory(self) -> tuple[int, int]:
        try:
            text = (self._proc / "meminfo").read_text()
        except OSError:  # not Linux
            memory = psutil.virtual_memory()
            return memory.total, memory.available
        values = {name: int(rest.split()[0]) * 1024 for name, _, rest in _colons(text)}
        return values["MemTotal"], values["MemAvailable"]

    def _processes(self) -> tuple[int, int | None]:
        try:
            # "0.20 0.18 0.12 1/80 11206": the part after the slash counts every thread there is.
            running = int((self._proc / "loadavg").read_text().split()[3].partition("/")[2])
        except OSError:
            return len(psutil.pids()), None
        limits = [_number(self._proc / "sys/kernel" / name) for name in ("pid_max", "threads-max")]
        return running, min((limit for limit in limits if limit is not None), default=None)


def _groups(root: Path, controller: str) -> Iterator[_Group]:
    """Our control group for `controller` and its ancestors, in every hierarchy that has it."""
    try:
        ours = (root / "proc/self/cgroup").read_text()
        mounts = (root / "proc/self/mountinfo").read_text()
    except OSError:
        return
    paths = {names: path for _, names, path in (line.split(":", 2) for line in ours.splitlines())}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        mount_root, mount_point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            path = paths.get("")
        elif kind == "cgroup" and controller in options.split(","):
            path = next((path for names, path in paths.items() if controller in names.split(",")), None)
        else:
            continue
        if path is None:
            continue
        top = root / mount_point.lstrip("/")
        # In a container the mount may show only the part of the tree below `mount_root`.
        below = path.removeprefix(mount_root if mount_root != "/" else "").strip("/")
        folder = top / below if ".." not in below.split("/") else top
        while True:
            yield _group(folder, controller, unified=kind == "cgroup2")
            if folder == top:
                break
            folder = folder.parent


def _group(folder: Path, controller: str, *, unified: bool) -> _Group:
    if controller == "pids":
        return _Group(folder=folder, limit="pids.max", usage="pids.current", reclaimable="")
    if unified:
        return _Group(folder=folder, limit="memory.max", usage="memory.current", reclaimable="inactive_file")
    limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
    return _Group(folder=folder, limit=limit, usage=usage, reclaimable="total_inactive_file")


def _number(file: Path) -> int | None:
    """The number in a control file; None where there is no such file or it says `max`."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _stat(file: Path, key: str) -> int:
    """The value of `key` in a file of `key value` lines; 0 where either is missing."""
    try:
        text = file.read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


def _colons(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        yield line.partition(":")
