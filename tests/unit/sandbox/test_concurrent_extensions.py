"""Extensions and telemetry of environments that run several events at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.sandbox.extension_programs import FOLLOWER, HEAD, layer
from tests.unit.sandbox.support import Bench, ask, invocation, wait_until
from tests.unit.sandbox.test_telemetry import SUBSCRIBER, said

SOURCE = """
import os, time
def handler(event, context):
    if event == "exit":
        os.kill(os.getppid(), 9)
        time.sleep(30)
    time.sleep(event if isinstance(event, (int, float)) else 0)
"""
QUIET_FOLLOWER = FOLLOWER.replace("register()", 'register(["SHUTDOWN"])')
MANAGED_SUBSCRIBER = SUBSCRIBER.replace("register()", 'register(["SHUTDOWN"])').replace("2022-12-13", "2025-01-29")


async def start(bench: Bench, **programs: str) -> Any:
    bench.code.add("layer", layer(**programs))
    environment = await bench.start(
        SOURCE, layers=("layer",), max_concurrency=2, initialization_type="lambda-managed-instances"
    )
    if environment.alive:
        await wait_until(lambda: environment.places == 2)
    return environment


async def test_an_extension_hears_of_the_end_and_of_no_event(bench: Bench) -> None:
    environment = await start(bench, follower=QUIET_FOLLOWER)
    await asyncio.gather(*(ask(environment, 0) for _ in range(2)))
    await environment.stop("spindown")
    lines = [line for line in bench.logs.lines if line.startswith("follower")]
    assert len(lines) == 1
    assert '"shutdownReason": "spindown"' in lines[0] or '"shutdownReason":"spindown"' in lines[0]


async def test_an_extension_cannot_follow_events(bench: Bench) -> None:
    refused = HEAD + "say(json.dumps(call('POST', '/2020-01-01/extension/register', {'events': ['INVOKE']}, "
    environment = await start(bench, nosy=refused + "Lambda_Extension_Name=NAME)[::2]))\n")
    assert not environment.alive
    assert "403" in bench.logs.text
    error, answer = await ask(environment, 0)
    assert (error, answer["errorType"]) == ("Unhandled", "Extension.Crash")


async def test_subscribers_hear_of_each_event(bench: Bench) -> None:
    environment = await start(bench, sub=MANAGED_SUBSCRIBER)
    events = [invocation(0.05) for _ in range(2)]
    await asyncio.gather(*(environment.invoke(event) for event in events))

    def got(kind: str) -> list[Any]:
        return [event["record"] for event in said(bench, "sub", "got") if event["type"] == kind]

    await wait_until(lambda: len(got("platform.report")) == 2)
    for kind in ("platform.start", "platform.runtimeDone", "platform.report"):
        assert {record["requestId"] for record in got(kind)} == {event.request_id for event in events}
    assert all(record["functionArn"] == events[0].invoked_function_arn for record in got("platform.start"))
    for record in got("platform.runtimeDone"):
        assert [span["name"] for span in record["spans"]] == ["responseLatency", "responseDuration"]
    assert all(list(record["metrics"]) == ["durationMs"] for record in got("platform.report"))


@pytest.mark.parametrize("end", ["runtime", "extension"])
async def test_an_end_that_nobody_asked_for_ends_all_events_and_is_told_first(bench: Bench, end: str) -> None:
    dies = HEAD + "me = register(['SHUTDOWN'])\nthreading.Timer(0.4, lambda: os._exit(3)).start()\nnext_event(me)\n"
    programs = {"sub": MANAGED_SUBSCRIBER} | ({"dies": dies} if end == "extension" else {})
    environment = await start(bench, **programs)
    outcomes = await asyncio.gather(ask(environment, 30), ask(environment, "exit" if end == "runtime" else 30))
    kind = "Runtime.ExitError" if end == "runtime" else "Extension.Crash"
    assert [(error, answer["errorType"]) for error, answer in outcomes] == [("Unhandled", kind)] * 2
    done = [event["record"] for event in said(bench, "sub", "got") if event["type"] == "platform.runtimeDone"]
    assert [(record["status"], record["errorType"]) for record in done] == [("failure", kind)] * 2
    assert not environment.alive
