"""Who a sandbox is on this machine: a user id that belongs to nobody else.

Ids are taken from far above those of people and services, in a stretch that depends on the server's pid, so that two
servers on one machine do not share any. An id is given out again only when everything that had it has ended.
"""

from __future__ import annotations

import heapq

# Above what systemd, containers and subuid files use; below 2**31, which some file systems cannot store.
_FIRST = 0x4000_0000
_STRETCH = 4096
_STRETCHES = (0x7FFF_0000 - _FIRST) // _STRETCH
# What a function sees itself as: AWS's own user and group of execution environments.
INSIDE_ID = 993
INSIDE_NAME = "sbx_user1051"


class Identities:
    """Hands out slots, small numbers first, and their user ids."""

    def __init__(self, pid: int) -> None:
        self._first = _FIRST + pid % _STRETCHES * _STRETCH
        self._next = 0
        self._free: list[int] = []

    def take(self) -> int:
        """A slot that nobody has. Raises OSError when all are taken."""
        if self._free:
            return heapq.heappop(self._free)
        if self._next == _STRETCH:
            raise OSError(f"{_STRETCH} sandboxes are as many as one server can have")
        self._next += 1
        return self._next - 1

    def give_back(self, slot: int) -> None:
        heapq.heappush(self._free, slot)

    def uid(self, slot: int) -> int:
        """The user and group id of a slot."""
        return self._first + slot


def id_map(inside: int, outside: int) -> str:
    """The text of uid_map and gid_map that maps this one id."""
    return f"{inside} {outside} 1\n"


def etc_files(resolv_conf: str) -> dict[str, str]:
    """The generated part of a sandbox's /etc."""
    return {
        "passwd": (
            "root:x:0:0:root:/root:/bin/sh\n"
            f"{INSIDE_NAME}:x:{INSIDE_ID}:{INSIDE_ID}::/home/{INSIDE_NAME}:/sbin/nologin\n"
            "nobody:x:65534:65534:nobody:/:/sbin/nologin\n"
        ),
        "group": f"root:x:0:\n{INSIDE_NAME}:x:{INSIDE_ID}:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost lambent sandbox sandbox.localdomain\n::1 localhost\n",
        "resolv.conf": resolv_conf,
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
