"""Whether this machine can run sandboxes: found out by building one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from lambent.sandbox.isolation import seccomp


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What stands in the way, and what to do about it."""

    what: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """`lack` None: sandboxes work here. `limits` are the cgroup controllers, with versions, that limit them."""

    lack: Lack | None
    limits: dict[str, int]


async def probe(*, egress: bool = True) -> Ability:
    """Build a sandbox as every function gets it, and end it. Takes some 100 ms; changes nothing that stays."""
    lack = _obvious_lack()
    if lack is not None:
        return Ability(lack=lack, limits={})
    from lambent.sandbox.isolation.launcher import SandboxLauncher
    from lambent.sandbox.launcher import CellRequest, Root

    launcher = SandboxLauncher(prepared=0, egress=egress)
    try:
        limits = launcher.limits
        cell = await launcher.open(
            CellRequest(task_root="/usr", opt="", memory_mb=128, ephemeral_storage_mb=1, endpoint_url="", root=Root())
        )
        cell.close()
    except (OSError, TimeoutError) as error:
        return Ability(lack=Lack(what=str(error) or "a sandbox could not be built", fix=_fix(error)), limits={})
    finally:
        await launcher.close()
    return Ability(lack=None, limits=limits)


def _obvious_lack() -> Lack | None:
    machine = os.uname().machine
    if sys.platform != "linux":
        return Lack(what=f"sandboxes need Linux, and this is {sys.platform}", fix="run Lambent on Linux")
    if not seccomp.supports(machine):
        return Lack(what=f"there is no list of system calls for {machine}", fix="use an x86_64 or aarch64 machine")
    if os.geteuid() != 0:
        return Lack(what="sandboxes need root in this release", fix="run the server as root")
    return None


def _fix(error: BaseException) -> str:
    if "_catch_connections" in str(error):
        return "the kernel must allow BPF for the way out of sandboxes; without it, choose --egress off"
    if "Operation not permitted" in str(error) or "Permission denied" in str(error):
        return "inside a container, give it CAP_SYS_ADMIN and no seccomp profile, or run the server outside"
    return "Linux 5.12 or newer is needed, with namespaces, seccomp and tmpfs"
