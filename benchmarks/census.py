"""What a server and its environments hold of a machine, counted from the outside: /proc and cgroup files only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from lambent.sandbox.isolation.cgroups import read_hierarchies
from lambent.sandbox.isolation.identities import Identities

_NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "user", "cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How many of each kind there are. `descriptors` and `threads` are the server's own, the others of all its tree.

    `strays` are processes under a user id of this server's sandboxes that are not below it; `mounts` those of every
    mount namespace of the tree but the machine's own; `groups` cgroups with a process in them.
    """

    processes: int
    strays: int
    threads: int
    descriptors: int
    namespaces: int
    mounts: int
    groups: int
    files: int

    def above(self, other: Census) -> dict[str, tuple[int, int]]:
        """What there is more of than in `other`: name to (then, now)."""
        pairs = {field.name: (getattr(other, field.name), getattr(self, field.name)) for field in fields(self)}
        return {name: pair for name, pair in pairs.items() if pair[1] > pair[0]}

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))


def take(pid: int, data: Path) -> Census:
    """Count what server `pid` with this data directory holds now. Raises psutil.NoSuchProcess."""
    server = psutil.Process(pid)
    tree = {child.pid for child in server.children(recursive=True)}
    own = _namespaces(os.getpid())
    namespaces: set[str] = set()
    mounts: dict[str, int] = {}
    for one in tree:
        named = _namespaces(one)
        namespaces |= named - own
        for name in named - own:
            if name.startswith("mnt:") and name not in mounts:
                mounts[name] = len(_read(Path(f"/proc/{one}/mountinfo")).splitlines())
    return Census(
        processes=len(tree),
        strays=len(set(sandboxed(pid)) - tree),
        threads=server.num_threads(),
        descriptors=server.num_fds(),
        namespaces=len(namespaces),
        mounts=sum(mounts.values()),
        groups=sum(bool(_read(group / "cgroup.procs").strip()) for group in groups(pid)),
        files=sum(len(folders) + len(names) for _, folders, names in os.walk(data / "work" / "environments")),
    )


def sandboxed(pid: int) -> list[int]:
    """All processes of this machine under a user id of the sandboxes of server `pid`, wherever they are."""
    first = Identities(pid).uid(0)
    after = Identities(pid + 1).uid(0)
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if first <= os.stat(f"/proc/{name}").st_uid < after or _real_uid(name) in range(first, after):
                    found.append(int(name))
    return found


def inner_pids(pid: int) -> dict[int, int]:
    """The processes in sandboxes of server `pid`: pid to its pid inside."""
    found = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            for line in _read(Path(f"/proc/{child.pid}/status")).splitlines():
                if line.startswith("NSpid:") and len(numbers := line.split()[1:]) == 2:
                    found[child.pid] = int(numbers[1])
    return found


def groups(pid: int) -> list[Path]:
    """The cgroups of the sandboxes of server `pid`, used or kept for the next."""
    return list(_groups(pid))


def used_slots(pid: int) -> set[int]:
    """The numbers of the cgroups that have a process in them."""
    return {int(group.name) for group in _groups(pid) if _read(group / "cgroup.procs").strip()}


def resident_mb(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


def _groups(pid: int) -> Iterator[Path]:
    for hierarchy in read_hierarchies():
        for folder in hierarchy.base.glob(f"lambent-{pid}-*"):
            yield from (entry for entry in folder.iterdir() if entry.is_dir())


def _namespaces(pid: int) -> set[str]:
    found = set()
    for name in _NAMESPACES:
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/{pid}/ns/{name}"))
    return found


def _real_uid(name: str) -> int:
    for line in _read(Path(f"/proc/{name}/status")).splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    return -1


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
