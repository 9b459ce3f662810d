"""The server's side of zygotes: each a process that sandboxes of one kind are forked from."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import marshal
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lambent.sandbox.isolation import boot
from lambent.sandbox.launcher import Root

_RUNTIME_SOURCE: Final = Path(__file__).parent.parent / "runtimes" / "python"
_START_S: Final = 30.0
# Zygotes of every Python from 3.8 on read what the server's writes.
MARSHAL_VERSION: Final = 2


class ZygoteFailed(OSError):
    """A zygote could not be started; the message says why."""


class Zygote:
    """A running zygote."""

    def __init__(self, control: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self._control = control
        self._process = process

    @classmethod
    async def start(cls, root: Root, etc: Mapping[str, str]) -> Zygote:
        """Start it and wait until it serves. Raises ZygoteFailed."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        argv = [sys.executable, "-I", "-S", boot.__file__, str(theirs.fileno())]

        def spawn() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                argv,
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

        zygote: Zygote | None = None
        try:
            with theirs:
                zygote = cls(ours, await asyncio.to_thread(spawn))
            plan = {
                "runtime_source": str(_RUNTIME_SOURCE),
                "lang": root.lang,
                "runtime": dict(root.runtime),
                "interpreter": root.interpreter,
                "environment": dict(root.environment),
                "etc": dict(etc),
            }
            await loop.sock_sendall(ours, marshal.dumps(plan, MARSHAL_VERSION))
            async with asyncio.timeout(_START_S):
                said = await loop.sock_recv(ours, boot.MAX_MESSAGE_BYTES)
        except BaseException as error:
            ours.close()
            if zygote is not None:
                await asyncio.shield(zygote.close())
            if isinstance(error, TimeoutError | OSError):
                raise ZygoteFailed(f"the sandbox's first process does not start: {error}") from error
            raise
        if said != b"serving":
            await zygote.close()
            raise ZygoteFailed(f"the sandbox's first process does not start: {said.decode(errors='replace')}")
        return zygote

    async def fork(self, control: socket.socket, groups: Sequence[int], settings: Mapping[str, Any]) -> None:
        """Ask for a sandbox, which answers on the other end of `control`. Raises OSError when the zygote has gone."""
        await self._send(("new", dict(settings)), [control.fileno(), *groups])

    async def nest(self, control: socket.socket, descriptors: Sequence[int], settings: Mapping[str, Any]) -> None:
        """Ask for a sandbox within another, see `lambent_runtime.nested`. Raises OSError when the zygote has gone."""
        await self._send(("nest", dict(settings)), [control.fileno(), *descriptors])

    async def _send(self, request: tuple[Any, ...], descriptors: Sequence[int]) -> None:
        message = marshal.dumps(request, MARSHAL_VERSION)
        while True:
            try:
                socket.send_fds(self._control, [message], list(descriptors))
            except BlockingIOError:
                await _writable(self._control)
            else:
                return

    async def close(self) -> None:
        """End it. Its sandboxes live on."""
        self._control.close()
        await asyncio.to_thread(self._process.wait)


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(sock.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        if sock.fileno() >= 0:
            loop.remove_writer(sock.fileno())


def sdk_packages(version: tuple[int, int]) -> dict[str, str]:
    """The parts of boto3 that AWS's Python runtimes bring, with their places.

    Empty when it is not installed here, or when what is installed is not for this version of Python.
    """
    found = {}
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return {}
        origin = Path(spec.origin)
        place = origin.parent if origin.name == "__init__.py" else origin
        found[place.name] = str(place)
    wanted = importlib.metadata.metadata("botocore")["Requires-Python"] or ""
    oldest = re.search(r">=\s*3\.(\d+)", wanted)
    return {} if oldest and version < (3, int(oldest[1])) else found


def folder_entries(folder: Path) -> dict[str, str]:
    """The names in a folder, with their places."""
    return {name: str(folder / name) for name in sorted(os.listdir(folder))}
