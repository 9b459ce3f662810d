"""Stand-bys: runtimes that were started ahead of need and have run nothing but our bootstrap.

One waits on its descriptor for the frame that makes it a function's: `S`, with a JSON object of `environment` and
`folder`. What only a start can honour (flags, what the dynamic loader and Node.js read when they start) is part of
what it is, so a function that sets any of it otherwise is not for a stand-by. See `isolation.standbys` for how many.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from lambent.sandbox.launcher import Exit, Root

VARIABLE: Final = "_LAMBENT_STANDBY"
# Variables that are read when a program starts, by the loader, the C library, OpenSSL, ICU, libuv or Node.js.
_AT_START: Final = ("LD_", "LC_", "LANG", "LANGUAGE", "MALLOC_", "GLIBC_", "OPENSSL_", "SSL_", "ICU_", "UV_", "NODE_")
# Of these Node.js reads the first never, and our bootstrap makes it read the second again.
_LATER: Final = frozenset({"NODE_ENV", "NODE_PATH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """What is started: the command, and those of its variables that only a start honours."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyRoot(Root):
    """The root of a sandbox whose runtime may be a stand-by."""

    standby: Standby

    @property
    def bare(self) -> Root:
        """The same without."""
        return Root(lang=self.lang, runtime=self.runtime, interpreter=self.interpreter, environment=self.environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A stand-by that runs: our end of its channel, and the read end of the pipe behind its descriptors 1 and 2."""

    channel: socket.socket
    output: int


@runtime_checkable
class StandbyCell(Protocol):
    """A cell that may hold a stand-by."""

    def take_standby(self) -> Standing | None:
        """The stand-by, the caller's from now on; None where there is none (any more)."""

    def adopt(self, memory_limit_bytes: int, on_exit: Callable[[Exit], None]) -> None:
        """What was taken is the environment's runtime from now on, as after `Cell.start`."""

    def kill(self) -> None: ...


def with_standby(root: Root, argv: tuple[str, ...], environment: Mapping[str, str], usual: Mapping[str, str]) -> Root:
    """`root` with the stand-by that would do for this command; `root` itself when it must be started.

    `usual` are the variables that a function of this runtime has when it sets none: with any other value of one that
    only a start honours, a start it is.
    """
    read = {name: value for name, value in environment.items() if at_start(name)}
    if read != {name: value for name, value in usual.items() if at_start(name)}:
        return root
    standby = Standby(argv=argv, environment=tuple(sorted({**usual, VARIABLE: "1"}.items())))
    return StandbyRoot(
        lang=root.lang,
        runtime=root.runtime,
        interpreter=root.interpreter,
        environment=root.environment,
        standby=standby,
    )


def at_start(name: str) -> bool:
    """Whether a program reads this variable only when it starts."""
    return name.startswith(_AT_START) and name not in _LATER


def assignment(environment: Mapping[str, str], folder: str) -> bytes:
    """The frame that makes a stand-by a function's runtime."""
    body = json.dumps({"environment": dict(environment), "folder": folder}).encode()
    return b"S" + len(body).to_bytes(4, "big") + body
