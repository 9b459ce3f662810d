"""The filter of system calls of a sandbox, assembled as a classic BPF program. Pure.

An allow-list: what is not on it fails with EPERM, and what is newer than the list with ENOSYS, as on a kernel without
it, so that libraries fall back. `clone3`, whose flags a filter cannot see, is ENOSYS too; `clone` may not make
namespaces; `socket` knows only the families that a function can have a use for.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from typing import Final

from lambent.sandbox.isolation import syscall_numbers

# What <linux/bpf_common.h>, <linux/seccomp.h> and <linux/audit.h> name.
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15
_GREATER: Final = 0x25
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF_0000
_KILL_PROCESS: Final = 0x8000_0000
_ERRNO: Final = 0x0005_0000
_NUMBER_OFFSET: Final = 0
_ARCHITECTURE_OFFSET: Final = 4
_ARGUMENT_OFFSETS: Final = (16, 24, 32)  # the low halves

_NAMESPACE_FLAGS: Final = 0x7E02_0080  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET,TIME}
_FAMILIES: Final = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_AF_NETLINK: Final = 16
_CLONE3: Final = 435
_SETNS: Final = {"x86_64": 308, "aarch64": 268}
_NEWEST: Final = 450  # of the calls that the tables were made from
_TERMINAL_REQUESTS: Final = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into somebody's terminal
_X32: Final = 0x4000_0000

_Instruction = tuple[int, int, str, str]  # code, operand, where to when true, where to when false ("" = next)


def _tables(machine: str) -> tuple[int, dict[str, int]]:
    if machine == "x86_64":
        return 0xC000_003E, syscall_numbers.X86_64 | {"clone": 56, "socket": 41}
    if machine == "aarch64":
        return 0xC000_00B7, syscall_numbers.AARCH64 | {"clone": 220, "socket": 198}
    raise ValueError(f"there is no list of system calls for {machine}")


def supports(machine: str) -> bool:
    """Whether there is a filter for this architecture (`os.uname().machine`)."""
    return machine in ("x86_64", "aarch64")


def program(machine: str, *, enters_namespaces: bool = False) -> bytes:
    """The filter for `machine`, as instructions of eight bytes. Raises ValueError for one that has no list.

    `enters_namespaces` is for a version's initialised process: its forks enter their sandboxes, and get the usual
    filter then.
    """
    architecture, numbers = _tables(machine)
    if enters_namespaces:
        numbers = numbers | {"setns": _SETNS[machine]}
    code: list[_Instruction | str] = [
        (_LOAD, _ARCHITECTURE_OFFSET, "", ""),
        (_EQUAL, architecture, "", "kill"),
        (_LOAD, _NUMBER_OFFSET, "", ""),
    ]
    if machine == "x86_64":
        code.append((_AT_LEAST, _X32, "kill", ""))
    code += [
        (_EQUAL, numbers["clone"], "clone", ""),
        (_EQUAL, numbers["socket"], "socket", ""),
        (_EQUAL, numbers["ioctl"], "ioctl", ""),
        (_EQUAL, _CLONE3, "unknown", ""),
        (_GREATER, _NEWEST, "unknown", ""),
    ]
    for first, last in intervals(numbers.values()):
        # In ascending order: up to `last` this interval decides.
        code += [(_GREATER, last, f"after {last}", ""), (_AT_LEAST, first, "allow", "deny"), f"after {last}"]
    code += ["deny", (_RETURN, _ERRNO | errno.EPERM, "", "")]
    code += ["clone", (_LOAD, _ARGUMENT_OFFSETS[0], "", ""), (_ANY_BIT, _NAMESPACE_FLAGS, "deny again", "allow")]
    code += ["socket", (_LOAD, _ARGUMENT_OFFSETS[0], "", "")]
    code += [(_EQUAL, family, "allow", "") for family in _FAMILIES]
    code += [
        (_EQUAL, _AF_NETLINK, "", "no family"),
        (_LOAD, _ARGUMENT_OFFSETS[2], "", ""),
        (_EQUAL, 0, "allow", "no family"),  # NETLINK_ROUTE, which lists interfaces
        "ioctl",
        (_LOAD, _ARGUMENT_OFFSETS[1], "", ""),
        *((_EQUAL, request, "deny again", "") for request in _TERMINAL_REQUESTS),
        "allow",
        (_RETURN, _ALLOW, "", ""),
        "deny again",
        (_RETURN, _ERRNO | errno.EPERM, "", ""),
        "no family",
        (_RETURN, _ERRNO | errno.EAFNOSUPPORT, "", ""),
        "unknown",
        (_RETURN, _ERRNO | errno.ENOSYS, "", ""),
        "kill",
        (_RETURN, _KILL_PROCESS, "", ""),
    ]
    return _assemble(code)


def intervals(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted, closed, as few as possible."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _assemble(code: list[_Instruction | str]) -> bytes:
    """Jumps go forward, by at most 255 instructions."""
    places: dict[str, int] = {}
    instructions: list[_Instruction] = []
    for item in code:
        if isinstance(item, str):
            places[item] = len(instructions)
        else:
            instructions.append(item)
    assembled = []
    for at, (operation, operand, true, false) in enumerate(instructions):
        distances = [places[name] - at - 1 if name else 0 for name in (true, false)]
        if any(not 0 <= distance <= 255 for distance in distances):
            raise ValueError(f"a jump of {max(distances)} instructions is too far for a filter")
        assembled.append(struct.pack("=HBBI", operation, *distances, operand))
    return b"".join(assembled)
