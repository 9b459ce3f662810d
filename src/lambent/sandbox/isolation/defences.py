"""What keeps a sandbox's walls up, each by its name; the tests that attack them take one down at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Defences:
    """All on, for everybody but those tests."""

    network: bool = True  # a network namespace
    seccomp: bool = True  # the filter of system calls
    user_namespace: bool = True
    processes: bool = True  # the limits on how many there may be
    memory: bool = True  # the limits on memory, the kernel's and that of process 1
    read_only: bool = True  # of the function's code
    storage: bool = True  # the size of /tmp
