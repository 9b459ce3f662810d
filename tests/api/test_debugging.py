"""Debugging through a whole server: real debugger clients, in sandboxes and without, from the command line and SDKs."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lambent.sandbox.isolation import probe
from lambent.testing.server import ServerProcess
from tests.api.debuggers import DapClient, InspectorClient
from tests.api.lambda_functions import create_function, package

needs_debugpy = pytest.mark.skipif(importlib.util.find_spec("debugpy") is None, reason="needs debugpy (extra dev)")
PYTHON = """import os
RUNS = []
def handler(event, context):
    RUNS.append(event)
    doubled = event["number"] * 2
    return [doubled, len(RUNS)]
"""
NODE = """let runs = 0;
export const handler = async (event) => {
  runs += 1;
  const doubled = event.number * 2;
  return [doubled, runs];
};
"""
EVENT = {"number": 21}


@pytest.fixture(scope="module", params=["process", "sandbox"])
def debugged(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    if request.param == "sandbox" and (lack := asyncio.run(probe.probe()).lack) is not None:
        pytest.skip(f"no sandboxes on this machine: {lack.what}")
    with ServerProcess(isolation=request.param) as server:
        api = server.client("lambda")
        # A second is what the function has, and less than what its debugger takes.
        create_function(api, "python", Code={"ZipFile": package({"handler.py": PYTHON})}, Timeout=1)
        create_function(
            api, "node", Code={"ZipFile": package({"handler.mjs": NODE})}, Runtime="nodejs24.x", Timeout=1
        )  # fmt: skip
        yield server


@pytest.fixture
def start(debugged: ServerProcess) -> Iterator[Callable[..., Command]]:
    """`start("invoke", ...)` is a running command, which ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(Command(debugged, *arguments))


class Command:
    """A `lambent` command that runs beside the test."""

    def __init__(self, server: ServerProcess, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lambent", *arguments, "--endpoint", server.endpoint],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def where(self) -> tuple[int, str]:
        """The port to attach to and the folder of the code, once the command says them."""
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.fullmatch(r"waiting for a debugger at 127\.0\.0\.1:(\d+) \(.*\); the code is in (\S+)\n", line)
        assert found, line
        return int(found[1]), found[2]

    def end(self) -> tuple[int, str, str]:
        """Exit code and what it printed."""
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


def run(server: ServerProcess, *arguments: str) -> tuple[int, str, str]:
    with Command(server, *arguments) as command:
        return command.end()


def invoke(server: ServerProcess, name: str) -> Any:
    answer = server.client("lambda").invoke(FunctionName=name, Payload=json.dumps(EVENT))
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.loads(answer["Payload"].read())


def listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def wait_until_closed(port: int) -> None:
    until = time.monotonic() + 10
    while listening(port):
        assert time.monotonic() < until, f"port {port} is still open"
        time.sleep(0.02)


@needs_debugpy
def test_python_stops_at_a_breakpoint(debugged: ServerProcess, start: Callable[..., Command]) -> None:
    before = invoke(debugged, "python")[1]
    command = start("invoke", "--debug", "python", "--payload", json.dumps(EVENT))
    port, folder = command.where()
    assert folder == "/var/task" or "/code/" in folder
    with DapClient(port) as client:
        client.attach("/home/me/project", folder, "handler.py", 6)
        thread, line, variables = client.stopped()
        assert line == 6
        assert variables["doubled"] == "42"
        time.sleep(1.2)  # longer than the function's timeout
        client.ask("setVariable", variablesReference=_locals(client, thread), name="doubled", value="43")
        client.send("continue", threadId=thread)  # its answer may come too late
        code, out, err = command.end()
    assert (code, json.loads(out), err) == (0, [43, 1], "attached\n")
    wait_until_closed(port)
    # The environment was the event's alone: others go on where they were.
    assert invoke(debugged, "python") == [42, before + 1]


def _locals(client: DapClient, thread: int) -> int:
    frame = client.ask("stackTrace", threadId=thread)["stackFrames"][0]
    reference: int = client.ask("scopes", frameId=frame["id"])["scopes"][0]["variablesReference"]
    return reference


def test_node_stops_at_a_breakpoint(debugged: ServerProcess, start: Callable[..., Command]) -> None:
    before = invoke(debugged, "node")[1]
    command = start("invoke", "--debug", "node", "--payload", json.dumps(EVENT))
    port, folder = command.where()
    with InspectorClient(port) as client:
        client.ask("Runtime.enable")
        client.ask("Debugger.enable")
        client.ask("Debugger.setBreakpointByUrl", url=f"file://{folder}/handler.mjs", lineNumber=4)
        client.ask("Runtime.runIfWaitingForDebugger")
        frame = client.event("Debugger.paused")["callFrames"][0]
        assert frame["location"]["lineNumber"] == 4
        found = client.ask("Debugger.evaluateOnCallFrame", callFrameId=frame["callFrameId"], expression="doubled")
        assert found["result"]["value"] == 42
        time.sleep(1.2)
        client.send("Debugger.resume")
        code, out, err = command.end()
    assert (code, json.loads(out), err) == (0, [42, 1], "attached\n")
    wait_until_closed(port)
    assert invoke(debugged, "node") == [42, before + 1]


def test_whoever_stops_waiting_ends_the_environment(debugged: ServerProcess, start: Callable[..., Command]) -> None:
    command = start("invoke", "--debug", "node", "--port", "0")
    port, _ = command.where()
    command.process.send_signal(signal.SIGINT)
    assert command.end()[0] == 130
    wait_until_closed(port)
    # And the port can be had again, by its number.
    again = start("invoke", "--debug", "node", "--port", str(port))
    assert again.where()[0] == port
    taken = run(debugged, "invoke", "--debug", "node", "--port", str(port))
    assert taken[0] == 1
    assert taken[2].startswith(f"lambent: ValidationException: port {port} of this machine is taken")
    again.process.send_signal(signal.SIGINT)
    again.end()
    wait_until_closed(port)


def test_a_switch_stops_the_events_of_every_client(debugged: ServerProcess, start: Callable[..., Command]) -> None:
    code, out, err = run(debugged, "debug", "node", "--on")
    assert (code, err) == (0, "")
    found = re.search(r"127\.0\.0\.1:(\d+)", out)
    assert found
    port = int(found[1])
    answers: list[Any] = []
    callers = [threading.Thread(target=lambda: answers.append(invoke(debugged, "node"))) for _ in range(2)]
    for caller in callers:
        caller.start()
    for _ in callers:  # one at a time, each in an environment of its own
        with InspectorClient(port) as client:
            client.ask("Runtime.runIfWaitingForDebugger")
            _wait_for_one_more(answers)
    for caller in callers:
        caller.join(20)
    assert answers == [[42, 1], [42, 1]]
    assert f":{port}" in run(debugged, "debug")[1]

    # Switched off while an event waits, that one ends; others run as always.
    api = debugged.client("lambda")
    lost: list[dict[str, Any]] = []
    caller = threading.Thread(target=lambda: lost.append(api.invoke(FunctionName="node")))
    caller.start()
    InspectorClient(port).close()  # it is there, and waits
    assert run(debugged, "debug", "node", "--off")[:2] == (0, "debugging of node is off\n")
    caller.join(20)
    assert lost[0]["FunctionError"] == "Unhandled"
    wait_until_closed(port)
    assert invoke(debugged, "node")[0] == 42
    assert run(debugged, "debug", "node", "--off")[1] == "debugging of node was off already\n"
    assert run(debugged, "debug")[1] == "no function is switched to debugging\n"


def _wait_for_one_more(answers: list[Any]) -> None:
    count, until = len(answers), time.monotonic() + 20
    while len(answers) == count:
        assert time.monotonic() < until, "the event does not end"
        time.sleep(0.02)


def test_what_cannot_be_debugged_is_refused(debugged: ServerProcess) -> None:
    api = debugged.client("lambda")
    create_function(api, "native", Runtime="provided.al2023", Handler="x")
    for arguments in (("invoke", "--debug", "native"), ("debug", "native", "--on")):
        code, out, err = run(debugged, *arguments)
        assert (code, out) == (1, "")
        assert "functions of provided.al2023 cannot wait for a debugger" in err
        assert err.count("\n") == 1
    code, _, err = run(debugged, "invoke", "--debug", "nobody")
    assert code == 1
    assert "ResourceNotFoundException" in err
    assert run(debugged, "debug", "--on")[0] == 2


@needs_debugpy
def test_web_pages_do_not_get_to_debugpy(debugged: ServerProcess, start: Callable[..., Command]) -> None:
    command = start("invoke", "--debug", "python", "--payload", json.dumps(EVENT))
    port, folder = command.where()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as page:
        page.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}")
        assert page.recv(100) == b""
    with DapClient(port) as client:
        client.attach("/home/me/project", folder, "handler.py", 6)
        thread, _, _ = client.stopped()
        client.send("continue", threadId=thread)  # its answer may come too late
        assert command.end()[0] == 0


def test_init_errors_are_the_functions_answer(debugged: ServerProcess, start: Callable[..., Command]) -> None:
    api = debugged.client("lambda")
    create_function(
        api, "broken", Code={"ZipFile": package({"handler.mjs": "throw new Error('no')"})}, Runtime="nodejs24.x"
    )
    command = start("invoke", "--debug", "broken")
    with InspectorClient(command.where()[0]) as client:
        client.ask("Runtime.runIfWaitingForDebugger")
        code, out, err = command.end()
    assert (code, out) == (1, "")
    assert '"errorMessage":"no"' in err.replace(" ", "")
