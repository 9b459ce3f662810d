"""A whole server with `--isolation sandbox`: the runtimes, the way to the endpoint, and what a killed server leaves."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lambent.sandbox.isolation import probe
from lambent.testing.server import ServerProcess
from tests.api.lambda_functions import create_function, package

SOURCE = """
import os, time
import urllib.request
def handler(event, context):
    if event == "endpoint":
        with urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_lambent/health") as answer:
            return answer.status
    if event == "boto3":
        import boto3
        return boto3.client("sts").get_caller_identity()["Arn"]
    if event == "keep":
        open("/tmp/kept", "w").write("yes")
        os._exit(1)
    if event == "kept":
        return open("/tmp/kept").read()
    if event == "slow":
        time.sleep(0.7)
    if event == "hang":
        time.sleep(60)
    return [os.getuid(), os.getcwd(), os.environ["LAMBDA_TASK_ROOT"], context.function_version, os.environ["PATH"]]
"""
BOOTSTRAP = """#!/usr/bin/python3 -Su
import http.client, os
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    event = connection.getresponse()
    event.read()
    path = "/2018-06-01/runtime/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
    connection.request("POST", path, ('["%s", %d]' % (os.environ["AWS_LAMBDA_RUNTIME_API"], os.getuid())).encode())
    connection.getresponse().read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    ability = asyncio.run(probe.probe())
    if ability.lack is not None:
        pytest.skip(f"no sandboxes on this machine: {ability.lack.what}")
    with ServerProcess(isolation="sandbox") as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Any:
    return server.client("lambda")


def invoke(client: Any, name: str, event: Any = None) -> tuple[str | None, Any]:
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    return answer.get("FunctionError"), json.loads(answer["Payload"].read() or log)


def test_python(client: Any, unique: Callable[[str], str]) -> None:
    name = unique("f")
    create_function(client, name, Code={"ZipFile": package({"handler.py": SOURCE})})
    path = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    assert invoke(client, name) == (None, [993, "/var/task", "/var/task", "$LATEST", path])
    assert invoke(client, name, "endpoint") == (None, 200)
    error, arn = invoke(client, name, "boto3")
    assert error is None, arn
    assert f"/{name}" in arn


def test_tmp_outlives_a_runtime_and_not_its_environment(client: Any, unique: Callable[[str], str]) -> None:
    name = unique("f")
    create_function(client, name, Code={"ZipFile": package({"handler.py": SOURCE})})
    assert invoke(client, name, "keep")[0] == "Unhandled"
    assert invoke(client, name, "kept") == (None, "yes")
    client.update_function_configuration(FunctionName=name, Description="new environment")
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert invoke(client, name, "kept")[0] == "Unhandled"


def test_an_event_that_begins_with_an_init_is_not_stopped(client: Any, unique: Callable[[str], str]) -> None:
    """The processes of an idle environment are stopped; after a crash the next event has an init of its own in it."""
    name = unique("slow")
    create_function(client, name, Code={"ZipFile": package({"handler.py": SOURCE})}, Timeout=5)
    assert invoke(client, name, "keep")[0] == "Unhandled"
    assert invoke(client, name, "slow")[0] is None


def test_what_a_package_ships_wins(client: Any, unique: Callable[[str], str]) -> None:
    """Neither the SDK nor the standard library that the zygote has loaded hides a module of the package."""
    sdk = {"handler.py": "import boto3\ndef handler(e, c): return boto3.MINE", "boto3/__init__.py": "MINE = 'boto3'"}
    standard = {
        "handler.py": "import base64\ndef handler(e, c): return base64.MINE",
        "base64.py": "MINE = 'base64'",
    }
    for files, mine in ((sdk, "boto3"), (standard, "base64")):
        name = unique("f")
        create_function(client, name, Code={"ZipFile": package(files)})
        assert invoke(client, name) == (None, mine)


def test_variables_that_an_interpreter_reads_when_it_starts(client: Any, unique: Callable[[str], str]) -> None:
    name = unique("f")
    source = "import sys, os\ndef handler(e, c): return [sys.flags.optimize, 'extra' in sys.path, os.environ['TZ']]"
    variables = {"PYTHONOPTIMIZE": "1", "PYTHONPATH": "extra", "TZ": "Europe/Berlin"}
    create_function(
        client, name, Code={"ZipFile": package({"handler.py": source})}, Environment={"Variables": variables}
    )
    error, answer = invoke(client, name)
    assert (error, answer[0], answer[2]) == (None, 1, "Europe/Berlin")


def test_custom_runtime(client: Any, unique: Callable[[str], str]) -> None:
    name = unique("f")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, BOOTSTRAP)
    create_function(client, name, Code={"ZipFile": buffer.getvalue()}, Runtime="provided.al2023")
    assert invoke(client, name) == (None, ["169.254.100.1:9001", 993])


def test_status_says_how_functions_are_kept_apart(server: ServerProcess) -> None:
    request = urllib.request.Request(f"{server.endpoint}/_lambent/status", headers={"X-Lambent": "cli"})
    with urllib.request.urlopen(request) as answer:
        seen = json.load(answer)
    assert (seen["isolation"], seen["egress"]) == ("sandbox", "on")


def test_a_killed_server_leaves_nothing(server: ServerProcess, tmp_path: Path) -> None:
    with ServerProcess(isolation="sandbox", data=tmp_path / "data") as mine:
        client = mine.client("lambda")
        create_function(client, "f", Code={"ZipFile": package({"handler.py": SOURCE})})
        invoke(client, "f")
        children = psutil.Process(mine.pid).children(recursive=True)
        assert len(children) >= 3  # zygote, process 1 of the sandbox, its runtime; and prepared ones
        time.sleep(0.5)  # the runtime is stopped by now, which must not keep it from ending
        mine.kill()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        mine.start()  # and the next one sweeps up the groups
        assert not [
            group
            for controller in Path("/sys/fs/cgroup").glob("*")
            for group in controller.rglob("lambent-*")
            if not psutil.pid_exists(int(group.name.split("-")[1]))
        ]
