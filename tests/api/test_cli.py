"""The command line against a real server."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambent.testing.server import ServerProcess

SOURCE = """
def handler(event, context):
    print("got", event)
    if event.get("fail"):
        raise ValueError("no")
    return {"ok": True}
"""

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def function(aws: Callable[..., Any]) -> str:
    """A function of this module."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", SOURCE)
    functions, name = aws("lambda"), f"cli-{os.getpid()}"
    functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/any",
        Timeout=10,
        Code={"ZipFile": buffer.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    return name


def environment(server: ServerProcess) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return mine | {"AWS_ENDPOINT_URL": server.endpoint, "COLUMNS": "200"}


@pytest.fixture
def cli(server: ServerProcess) -> Cli:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lambent", *arguments],
            env=environment(server),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_invoke(cli: Cli, function: str) -> None:
    ran = cli("invoke", function, "--payload", '{"a": 1}', "--log")
    assert (ran.returncode, ran.stdout) == (0, '{"ok": true}\n')
    assert "got {'a': 1}" in ran.stderr
    assert "REPORT RequestId:" in ran.stderr


def test_invoke_of_a_function_that_fails(cli: Cli, function: str) -> None:
    ran = cli("invoke", function, "--payload", '{"fail": true}')
    assert (ran.returncode, ran.stdout) == (1, "")
    assert json.loads(ran.stderr)["errorType"] == "ValueError"


def test_invoke_of_a_function_that_is_not_there(cli: Cli) -> None:
    ran = cli("invoke", "nope")
    assert ran.returncode == 1
    assert ran.stderr.startswith("lambent: ResourceNotFoundException: Function not found: ")
    assert ran.stderr.count("\n") == 1


def test_logs(cli: Cli, server: ServerProcess, function: str) -> None:
    cli("invoke", function, "--payload", '{"b": 2}')
    ran = cli("logs", function)
    assert ran.returncode == 0
    assert "got {'b': 2}" in ran.stdout
    assert cli("logs", "nope").returncode == 1
    command = [sys.executable, "-m", "lambent", "logs", function, "--follow", "--since", "1h"]
    with subprocess.Popen(command, env=environment(server), stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        cli("invoke", function, "--payload", '{"c": 3}')
        assert any("got {'c': 3}" in line for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 130


def test_status_and_runtimes(cli: Cli, function: str) -> None:
    cli("invoke", function)
    status = cli("status")
    assert status.returncode == 0
    assert f"function:{function}" in status.stdout
    assert json.loads(cli("status", "--json").stdout)["isolation"] == "process"
    runtimes = cli("runtimes")
    assert runtimes.returncode == 0
    assert "python3.11" in runtimes.stdout


def test_a_server_starts_from_a_backup(cli: Cli, function: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert cli("backup", str(copy)).returncode == 0
    refused = cli("backup", str(copy))
    assert refused.returncode == 1
    assert "not an empty directory" in refused.stderr
    with ServerProcess(data=copy) as other:
        answer = other.client("lambda").invoke(FunctionName=function, Payload=b"{}")
        assert json.loads(answer["Payload"].read()) == {"ok": True}
