"""What happens inside functions, seen through the API: failures, logs, custom runtimes, the way to the endpoint."""

from __future__ import annotations

import base64
import io
import json
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.lambda_functions import create_function, package

Unique = Callable[[str], str]

FAILING = """
import os, sys, time, urllib.request

def handler(event, context):
    if event == "raise": raise LookupError("not here")
    if event == "exit": sys.exit(3)
    if event == "sleep": time.sleep(60)
    if event == "memory": return len(bytes(b"x") * (400 << 20))
    if event == "health":
        with urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_lambent/health") as answer:
            return answer.status
    return event
"""

BOOTSTRAP = f"""#!{sys.executable} -Su
import http.client, os
print("bootstrap starts")
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    event = connection.getresponse()
    body = event.read()
    path = "/2018-06-01/runtime/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
    connection.request("POST", path, b"[" + body + b', "' + os.environ["_HANDLER"].encode() + b'"]')
    connection.getresponse().read()
"""


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("lambda")


def invoke(client: Any, name: str, event: Any) -> tuple[str | None, Any, str]:
    """(function error, answer, log tail) of one event."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    assert answer["StatusCode"] == 200
    tail = base64.b64decode(answer["LogResult"]).decode()
    return answer.get("FunctionError"), json.loads(answer["Payload"].read()), tail


def with_bootstrap(mode: int = 0o755) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.create_system = 3
        entry.external_attr = (0o100000 | mode) << 16
        archive.writestr(entry, BOOTSTRAP)
    return buffer.getvalue()


def test_failures_and_recovery(client: Any, unique: Unique) -> None:
    name = unique("failing")
    create_function(client, name, Code={"ZipFile": package({"handler.py": FAILING})}, Timeout=1)
    assert invoke(client, name, 1)[:2] == (None, 1)
    error, body, tail = invoke(client, name, "raise")
    assert (error, body["errorType"], body["errorMessage"]) == ("Unhandled", "LookupError", "not here")
    assert "[ERROR] LookupError: not here" in tail
    for event, kind, message in (
        ("exit", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ("sleep", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        ("memory", "Runtime.ExitError", "Runtime exited with error: signal: killed"),
    ):
        error, body, tail = invoke(client, name, event)
        assert (error, body["errorType"]) == ("Unhandled", kind)
        assert body["errorMessage"].endswith(f" Error: {message}")
        assert tail.startswith("START RequestId: ")
        assert "\nREPORT RequestId: " in tail
    assert invoke(client, name, 2)[:2] == (None, 2)


def test_functions_reach_the_endpoint(client: Any, unique: Unique) -> None:
    name = unique("back")
    create_function(client, name, Code={"ZipFile": package({"handler.py": FAILING})}, Timeout=10)
    assert invoke(client, name, "health")[:2] == (None, 200)


@pytest.mark.parametrize("runtime", ["provided.al2023", "provided.al2"])
def test_custom_runtime(client: Any, unique: Unique, runtime: str) -> None:
    name = unique("custom")
    create_function(client, name, Runtime=runtime, Handler="any.thing", Code={"ZipFile": with_bootstrap()}, Timeout=10)
    for event in ({"a": 1}, "x"):
        assert invoke(client, name, event)[:2] == (None, [event, "any.thing"])


def test_custom_runtime_that_may_not_be_executed(client: Any, unique: Unique) -> None:
    name = unique("custom")
    create_function(client, name, Runtime="provided.al2023", Handler="x", Code={"ZipFile": with_bootstrap(0o644)})
    error, body, _ = invoke(client, name, 1)
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.InvalidEntrypoint")
    assert body["errorMessage"].endswith("Error: fork/exec /var/task/bootstrap: permission denied")
