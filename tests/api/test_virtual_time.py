"""The `lambent` fixture: a server in this process, on a clock that the test turns."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from typing import Any

from lambent.cli.client import Server
from lambent.testing.server import ThreadedServer


def create(functions: Any, source: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", source)
    functions.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/any",
        Timeout=20,
        Code={"ZipFile": buffer.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})


def environments(lambent: ThreadedServer) -> dict[str, int]:
    (function,) = Server(lambent.endpoint).get("/_lambent/status")["execution"]["functions"]
    return {state: count for state, count in function["environments"].items() if count}


def test_an_idle_environment_is_shut_down_when_its_time_has_come(lambent: ThreadedServer) -> None:
    functions = lambent.client("lambda")
    create(functions, "import os\ndef handler(event, context):\n    return os.getpid()\n")

    def pid() -> int:
        answer = functions.invoke(FunctionName="f", Payload=b"{}")
        return int(json.loads(answer["Payload"].read()))

    first = pid()
    lambent.clock.advance(300)
    assert pid() == first
    lambent.clock.advance(599)
    assert environments(lambent) == {"idle": 1}
    lambent.clock.advance(62)
    assert environments(lambent) == {}
    assert pid() != first


def test_time_stands_still_while_a_function_runs(lambent: ThreadedServer) -> None:
    functions = lambent.client("lambda")
    create(functions, "import time\ndef handler(event, context):\n    time.sleep(event['s'])\n    return 'done'\n")
    functions.invoke(FunctionName="f", Payload=b'{"s": 0}')
    answers: list[str] = []

    def invoke() -> None:
        answer = functions.invoke(FunctionName="f", Payload=b'{"s": 1}')
        answers.append(json.loads(answer["Payload"].read()))

    running = threading.Thread(target=invoke)
    running.start()
    while environments(lambent) != {"busy": 1}:
        pass
    lambent.clock.advance(3600)
    # The hour began when the event was over, so its environment has been idle for long enough.
    assert environments(lambent) == {}
    running.join(20)
    assert answers == ["done"]


def test_dates_are_those_of_the_clock(lambent: ThreadedServer) -> None:
    lambent.clock.advance(86_400)
    role = lambent.client("iam").create_service_linked_role(AWSServiceName="lambda.amazonaws.com")["Role"]
    assert role["CreateDate"].isoformat() == "2026-01-02T00:00:00+00:00"
