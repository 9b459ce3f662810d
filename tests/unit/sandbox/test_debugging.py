"""Debugger ports over a cell that only pretends, and plans of runtimes that wait for a debugger."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, cast

import pytest

from lambent.core.clock import SystemClock
from lambent.sandbox import debug_plans
from lambent.sandbox.debugging import DebugPort, DebugPorts, Waiting
from lambent.sandbox.launcher import Cell, Root
from lambent.sandbox.protocol import CannotRun, EnvironmentSpec, StartRefused
from lambent.sandbox.runtime_process import Plan

HELLO = b"Content-Length: 2\r\n\r\n{}"


class FakeCell:
    """Leads to a debugger that sends everything back, once that listens."""

    def __init__(self) -> None:
        self.port = 0
        self.ended = 0

    async def connect(self, port: int) -> socket.socket:
        if not self.port:
            raise ConnectionRefusedError
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setblocking(False)
        return sock

    async def end(self) -> None:
        self.ended += 1

    def waiting(self) -> Waiting:
        return Waiting(cell=cast(Cell, self), inside_port=1, folder="/var/task", end=self.end)


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that sends everything back."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def port() -> AsyncIterator[DebugPort]:
    opened = await DebugPorts(SystemClock()).open("debugpy", 0)
    yield opened
    await opened.close()


async def talk(port: DebugPort, text: bytes = HELLO) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    try:
        writer.write(text)
        return await asyncio.wait_for(reader.read(len(text)), 10)
    finally:
        writer.close()


async def test_a_connection_waits_for_the_environment_and_for_its_debugger(port: DebugPort, echo: int) -> None:
    cell = FakeCell()
    early = asyncio.ensure_future(talk(port))
    attached = asyncio.ensure_future(port.wait_attached())
    await asyncio.sleep(0.05)
    await port.lead_to(cell.waiting())
    assert port.folder == "/var/task"
    await asyncio.sleep(0.1)
    assert not port.attached
    cell.port = echo
    assert await early == HELLO
    await attached
    assert port.attached
    port.free()
    assert not port.attached


async def test_what_no_editor_says_does_not_get_to_debugpy(port: DebugPort, echo: int) -> None:
    cell = FakeCell()
    cell.port = echo
    await port.lead_to(cell.waiting())
    assert await talk(port, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}") == b""
    assert not port.attached
    assert await talk(port) == HELLO


async def test_a_connection_ends_with_the_environment_that_it_waited_for(port: DebugPort, echo: int) -> None:
    await port.lead_to(FakeCell().waiting())
    lost = asyncio.ensure_future(talk(port))
    await asyncio.sleep(0.05)
    port.free()
    assert await lost == b""


async def test_ending(port: DebugPort) -> None:
    cell = FakeCell()
    await port.lead_to(cell.waiting())
    await port.end()
    assert cell.ended == 1
    port.free()
    # Before the environment is there: it is not let in.
    await port.end()
    with pytest.raises(StartRefused, match="ended"):
        await port.lead_to(cell.waiting())


async def test_ports() -> None:
    ports = DebugPorts(SystemClock())
    opened = await ports.open("inspector", 0)
    assert ports.find(opened.id) is opened
    other = await ports.open("inspector", 0)  # the usual one is taken now
    assert other.port != opened.port
    with pytest.raises(OSError, match="in use"):
        await ports.open("inspector", other.port)
    for one in (opened, other):
        await one.close()
    with pytest.raises(StartRefused):
        ports.find(opened.id)


# Plans


def spec(runtime: str) -> EnvironmentSpec:
    return EnvironmentSpec(
        environment_id="e", account="0", region="r", function_name="f", function_version="1", function_arn="a",
        runtime=runtime, handler="h.handler", code="0",
    )  # fmt: skip


def plan(root: Root | None, *argv: str) -> Plan:
    return Plan(argv=argv, environment={"A": "1"}, folder="/", entrypoint="", transport="framed", version="", root=root)


def installed(monkeypatch: pytest.MonkeyPatch, place: Path | None) -> None:
    found = None if place is None else ModuleSpec("debugpy", None, origin=str(place / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)


def debugged(before: Plan, runtime: str, task_root: Path, opt: Path | None = None) -> Plan:
    return debug_plans.debugged(before, spec(runtime), port=7, task_root=task_root, opt=opt)


PYTHON = ("/var/lang/bin/python3.13", "-s", "/var/runtime/bootstrap.pyc")


def test_python_in_a_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, Path("/site/debugpy"))
    root = Root(lang="/l", runtime=(("bootstrap.pyc", "/b"),), interpreter=PYTHON[0], environment=(("A", "1"),))
    found = debugged(plan(root, *PYTHON), "python3.13", tmp_path)
    assert list(found.argv) == [*PYTHON[:2], "-X", "frozen_modules=off", PYTHON[2]]
    assert found.environment["_LAMBENT_DEBUG_PORT"] == "7"
    assert found.environment["_LAMBENT_DEBUGPY"] == "/var/runtime/debugpy"
    # No zygote: nothing of it was started before.
    assert found.root == Root(lang="/l", runtime=(("bootstrap.pyc", "/b"), ("debugpy", "/site/debugpy")))


def test_python_without_a_sandbox_and_behind_a_wrapper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, Path("/site/debugpy"))
    found = debugged(plan(None, "/bin/sh", "-c", 'exec "$@"', "sh", "/w", *PYTHON), "python3.13", tmp_path)
    assert found.argv[-3:] == ("-X", "frozen_modules=off", PYTHON[2])
    assert found.environment["_LAMBENT_DEBUGPY"] == "/site/debugpy"
    assert debugged(plan(None, *PYTHON), "python3.10", tmp_path).argv == PYTHON  # which freezes no modules


@pytest.mark.parametrize(
    "place", ["task/debugpy", "opt/python/debugpy", "opt/python/lib/python3.13/site-packages/debugpy"]
)
def test_the_functions_own_debugpy_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str) -> None:
    installed(monkeypatch, None)
    (tmp_path / place).mkdir(parents=True)
    found = debugged(plan(None, *PYTHON), "python3.13", tmp_path / "task", tmp_path / "opt")
    assert "_LAMBENT_DEBUGPY" not in found.environment


def test_what_cannot_be_debugged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, None)
    with pytest.raises(CannotRun, match=r"pip install 'lambent\[debug\]'"):
        debugged(plan(None, *PYTHON), "python3.13", tmp_path)
    for runtime in ("provided.al2023", "dotnet8"):
        with pytest.raises(CannotRun, match=f"functions of {runtime} cannot wait for a debugger"):
            debugged(plan(None, "/b"), runtime, tmp_path)


def test_node_waits_by_itself(tmp_path: Path) -> None:
    before: Any = plan(Root(lang="/l"), "/var/lang/bin/node", "/var/runtime/bootstrap.js")
    found = debugged(before, "nodejs24.x", tmp_path)
    assert found.argv == before.argv
    assert found.environment == {"A": "1", "_LAMBENT_DEBUG_PORT": "7"}
