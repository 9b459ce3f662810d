"""The server's own life: starting, refusing to start, stopping gracefully, backup and restore."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from lambent.testing import clients
from lambent.testing.server import ServerFailed, ServerProcess
from tests.api.lambda_functions import create_function, package

SLOW = """
import time
def handler(event, context):
    print("started", flush=True)
    time.sleep(event["sleep_s"])
    return "finished"
"""


@pytest.fixture(scope="module")
def used_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that was used twice."""
    server = ServerProcess(data=tmp_path_factory.mktemp("used") / "data").start().restart()
    server.stop()
    return server.data


def create(api: Any, name: str, code: str, **settings: Any) -> None:
    create_function(api, name, Code={"ZipFile": package({"handler.py": code})}, **settings)


def lambent(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lambent", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_health_answers_without_a_signature(server: ServerProcess) -> None:
    with urllib.request.urlopen(f"{server.endpoint}/_lambent/health") as response:
        assert json.load(response)["status"] == "ok"


def test_a_second_server_on_the_same_data_is_refused_in_one_line(tmp_path: Path) -> None:
    with ServerProcess(data=tmp_path / "data") as first:
        second = lambent("up", "--port", "0", "--data", str(first.data))
        assert second.returncode == 1
        (line,) = second.stderr.strip().splitlines()
        assert "in use" in line
        assert str(first.pid) in line


def test_a_taken_port_is_refused_in_one_line(server: ServerProcess, tmp_path: Path) -> None:
    port = server.endpoint.rpartition(":")[2]
    second = lambent("up", "--port", port, "--data", str(tmp_path / "data"))
    assert second.returncode == 1
    (line,) = [line for line in second.stderr.strip().splitlines() if not line.startswith("{")]
    assert port in line
    assert "--port" in line


def test_listening_beyond_loopback_without_auth_is_refused_in_one_line(tmp_path: Path) -> None:
    refused = lambent("up", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path / "data"))
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.strip().splitlines() if not line.startswith("{")]
    assert "--auth" in line


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("control.db", b"garbage" * 1000, "control.db: file is not a database"),
        ("control.db", "damaged", "control.db: database disk image is malformed"),
        ("control.db", b"", "do not belong together"),
        ("logs.db", b"garbage" * 1000, "logs.db: file is not a database"),
        ("blobs", b"", "blobs"),
        ("code", b"", "code"),
    ],
)
def test_a_damaged_data_directory_is_refused_in_one_line(
    tmp_path: Path, used_data: Path, name: str, content: bytes | str, says: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(used_data, data)
    damaged = data / name
    if content == "damaged":
        whole = damaged.read_bytes()
        content = whole[:4096] + bytes(byte ^ 0xFF for byte in whole[4096:])
    if damaged.is_dir():
        shutil.rmtree(damaged)
    damaged.write_bytes(content)  # type: ignore[arg-type]
    refused = lambent("up", "--port", "0", "--data", str(data))
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.strip().splitlines() if not line.startswith("{")]
    assert says in line


def test_sigterm_lets_an_invoke_in_flight_finish_and_exits_with_0(tmp_path: Path) -> None:
    with ServerProcess(data=tmp_path / "data") as server:
        api = server.client("lambda")
        create(api, "slow", SLOW, Timeout=20)
        api.invoke(FunctionName="slow", Payload=b'{"sleep_s": 0}')  # warm, so that the next one is running at once
        answers: list[object] = []
        called = threading.Thread(
            target=lambda: answers.append(
                json.loads(api.invoke(FunctionName="slow", Payload=b'{"sleep_s": 2}')["Payload"].read())
            )
        )
        called.start()
        _wait_for_concurrency(server, 1)
        assert server.stop() == 0
        called.join(10)
        assert answers == ["finished"]


def test_a_backup_of_a_running_server_starts_as_a_server(tmp_path: Path) -> None:
    with ServerProcess(data=tmp_path / "data") as server:
        api = server.client("lambda")
        create(api, "kept", "def handler(event, context):\n    return 'from the backup'\n")
        done = lambent("backup", str(tmp_path / "copy"), "--endpoint", server.endpoint)
        assert done.returncode == 0, done.stderr
        again = lambent("backup", str(tmp_path / "copy"), "--endpoint", server.endpoint)
        assert again.returncode == 1
        assert "not an empty directory" in again.stderr
    with ServerProcess(data=tmp_path / "copy") as restored:
        answer = restored.client("lambda").invoke(FunctionName="kept")
        assert json.loads(answer["Payload"].read()) == "from the backup"


def test_data_of_a_newer_version_is_refused_in_one_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data=data):
        pass
    with sqlite3.connect(data / "control.db") as control:
        (table,) = [
            name
            for (name,) in control.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if name == "lambent_schema"
        ]
        control.execute(f"UPDATE {table} SET version = version + 1000")
    control.close()
    with pytest.raises(ServerFailed, match="newer"):
        ServerProcess(data=data).start()


def test_environments_know_where_the_endpoint_is_and_who_they_are(server: ServerProcess, unique) -> None:  # type: ignore[no-untyped-def]
    code = """
import os
def handler(event, context):
    return {name: os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID")}
"""
    api, name = server.client("lambda"), unique("env")
    create(api, name, code)
    seen = json.loads(api.invoke(FunctionName=name)["Payload"].read())
    assert seen["AWS_ENDPOINT_URL"] == server.endpoint
    assert seen["AWS_REGION"] == "us-east-1"
    assert seen["AWS_ACCESS_KEY_ID"].startswith("ASIA")


def test_the_external_host_is_in_urls_for_clients_and_functions_use_the_local_one(tmp_path: Path) -> None:
    code = "import os\ndef handler(event, context):\n    return os.environ['AWS_ENDPOINT_URL']\n"
    with ServerProcess("--host", "::1", "--external-host", "https://aws.example", data=tmp_path / "data") as server:
        assert server.endpoint == "https://aws.example"
        sockets = psutil.Process(server.pid).net_connections("tcp6")
        (port,) = {one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN}
        api = clients.client("lambda", f"http://[::1]:{port}")
        create(api, "external", code)
        assert json.loads(api.invoke(FunctionName="external")["Payload"].read()) == f"http://[::1]:{port}"
        location = api.get_function(FunctionName="external")["Code"]["Location"]
        assert location.startswith("https://aws.example/_lambent/code/")


def _wait_for_concurrency(server: ServerProcess, wanted: int) -> None:
    request = urllib.request.Request(f"{server.endpoint}/_lambent/status", headers={"x-lambent": "test"})
    for _ in range(2000):
        with urllib.request.urlopen(request) as response:
            functions = json.load(response)["execution"]["functions"]
        if sum(function["concurrency"] for function in functions) == wanted:
            return
    raise AssertionError(f"never saw {wanted} concurrent executions")
