"""What the sandbox's tests share: code folders, a log sink that remembers, specs and invocations."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lambent.core.clock import SystemClock
from lambent.core.log_events import LogEvent
from lambent.core.operations import Scope
from lambent.sandbox.local import ProcessSandbox
from lambent.sandbox.protocol import Environment, EnvironmentSpec, Invocation, Response
from lambent.sandbox.python_interpreters import SearchPlaces, candidates, probe

_numbers = itertools.count(1)


class Logs:
    """A LogSink that keeps all."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, LogEvent]] = []

    def write(self, scope: Scope, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        self.events += [(group, stream, event) for event in events]

    @property
    def lines(self) -> list[str]:
        return [event.message for _, _, event in self.events]

    @property
    def text(self) -> str:
        return "".join(self.lines)


class Code:
    """A CodeSource of folders below one folder; the "hash" is the folder's name."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def folder(self, sha256: str) -> Path:
        if not (self.root / sha256).is_dir():
            raise KeyError(sha256)
        return self.root / sha256

    def add(self, name: str, files: dict[str, str | bytes]) -> Path:
        """Make a package; a file named `bootstrap` or in `bin` or `extensions` is made executable."""
        folder = self.root / name
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
            if target.name == "bootstrap" or target.parent.name in ("bin", "extensions"):
                target.chmod(0o755)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class Bench:
    """A ProcessSandbox with its surroundings."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root
        self.code = Code(root / "code")
        self.logs = Logs()
        self.work_dir = root / "work"
        self.sandbox = ProcessSandbox(self.code, self.logs, SystemClock(), work_dir=self.work_dir, **options)

    def spec(self, code: str = "function", **options: Any) -> EnvironmentSpec:
        values: dict[str, Any] = {
            "environment_id": f"environment-{next(_numbers)}",
            "account": "111122223333",
            "region": "eu-west-1",
            "function_name": "f",
            "function_version": "$LATEST",
            "function_arn": "arn:aws:lambda:eu-west-1:111122223333:function:f",
            "runtime": "python3.11",
            "handler": "h.handler",
            "code": code,
            "log_group": "/aws/lambda/f",
            "log_stream": "2026/01/02/[$LATEST]0123",
            "credentials": {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK", "AWS_SESSION_TOKEN": "ST"},
        }
        return EnvironmentSpec(**{**values, **options})

    async def start(self, source: str | dict[str, str | bytes], **options: Any) -> Environment:
        """Start an environment of a package: `h.py` with this source, or these files."""
        name = f"function-{next(_numbers)}"
        self.code.add(name, {"h.py": source} if isinstance(source, str) else source)
        return await self.sandbox.start(self.spec(name, **options))

    async def call(
        self, source: str | dict[str, str | bytes], payload: Any = None, **options: Any
    ) -> tuple[str | None, Any]:
        """The outcome of one event on a new environment: (function error, parsed answer)."""
        environment = await self.start(source, **options)
        return await ask(environment, payload)


def invocation(payload: Any = None, **options: Any) -> Invocation:
    """An event; `payload` bytes are taken as they are."""
    timeout_s = options.pop("timeout_s", 10.0)
    values: dict[str, Any] = {
        "request_id": f"request-{next(_numbers)}",
        "payload": payload if isinstance(payload, bytes) else msgspec.json.encode(payload),
        "invoked_function_arn": "arn:aws:lambda:eu-west-1:111122223333:function:f:live",
        "deadline_ms": int((time.time() + timeout_s) * 1000),
        "timeout_s": timeout_s,
    }
    return Invocation(**{**values, **options})


async def invoke(environment: Environment, payload: Any = None, **options: Any) -> Response:
    return await environment.invoke(invocation(payload, **options))


async def ask(environment: Environment, payload: Any = None, **options: Any) -> tuple[str | None, Any]:
    """Invoke, read, wait for the report: (function error, parsed answer)."""
    response = await invoke(environment, payload, **options)
    body = await response.read()
    await response.report()
    return response.function_error, msgspec.json.decode(body)


def python_versions() -> list[str]:
    """The AWS Python runtimes for which this machine has the very interpreter."""
    found = candidates(SearchPlaces.of({}, Path.home()))
    return [
        f"python3.{minor}"
        for minor in sorted(found)
        if 8 <= minor <= 14 and any((it := probe(path)) and it.version[1] == minor for path in found[minor])
    ]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def wait_until(condition: Any, timeout_s: float = 10.0) -> None:
    """Poll for what another process does and nobody can await. Raises TimeoutError."""
    import asyncio

    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what another process does has no event
            await asyncio.sleep(0.01)
