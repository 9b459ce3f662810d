"""Several events at once in one environment: a custom runtime that polls the Runtime API from several threads."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec
import pytest

from lambent.sandbox.protocol import StreamBroken
from tests.unit.sandbox.support import Bench, ask, invocation, invoke, wait_until

# Polls from as many threads as it is told to; what events want of it, they say.
BOOTSTRAP = f"""#!{sys.executable} -Su
import http.client, json, os, sys, threading, time
API = os.environ["AWS_LAMBDA_RUNTIME_API"]
BASE = "/2018-06-01/runtime/"
COUNT = int(os.environ.get("THREADS") or os.environ["AWS_LAMBDA_MAX_CONCURRENCY"])
together = threading.Barrier(COUNT)
gate = threading.Event()
lock = threading.Lock()
states = []

def post(connection, path, body, **headers):
    connection.request("POST", BASE + path, body, {{k.replace("_", "-"): v for k, v in headers.items()}})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())

def loop():
    connection = http.client.HTTPConnection(API)
    while True:
        connection.request("GET", BASE + "invocation/next")
        answer = connection.getresponse()
        event = json.loads(answer.read())
        if answer.status != 200:
            print("refused", answer.status, event["errorType"])
            return
        request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        path = "invocation/" + request_id + "/"
        result = request_id
        if event == "together":
            together.wait(10)
        elif event == "wait":
            gate.wait(10)
        elif event == "open":
            gate.set()
        elif event == "exit":
            os._exit(3)
        elif event == "error":
            post(connection, path + "error", b'{{"errorType":"Mine"}}')
            continue
        elif event == "states":
            result = states
        elif event == "headers":
            result = {{k.lower(): v for k, v in answer.headers.items()}}
        elif event == "stream":
            raw = http.client.HTTPConnection(API)
            raw.putrequest("POST", BASE + path + "response")
            raw.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
            raw.putheader("Transfer-Encoding", "chunked")
            raw.endheaders(b"5\\r\\nhello\\r\\n")
            gate.wait(10)
            states.append(post(connection, path + "error", b'{{"errorType":"Late"}}',
                Lambda_Runtime_Function_Error_Type="Function.Late"))
            continue
        elif event == "elsewhere":
            connection = http.client.HTTPConnection(API)  # the answer may come on any connection
        attempt = answer.headers["Lambda-Runtime-Invocation-Id"] if "attempt" in os.environ else ""
        states.append(post(connection, path + "response", json.dumps(result), Lambda_Runtime_Invocation_Id=attempt))
        if event == "twice":
            states.append(post(connection, path + "response", b"1"))

if os.environ.get("BROKEN"):
    first = http.client.HTTPConnection(API)
    bodies = [post(first, "init/error", b'{{"errorType":"Mine","errorMessage":"no"}}')[0] for _ in range(2)]
    print("told", bodies)
    sys.exit(1)
for _ in range(COUNT):
    threading.Thread(target=loop).start()
"""


async def start(bench: Bench, concurrency: int = 4, **variables: str) -> Any:
    return await bench.start(
        {"bootstrap": BOOTSTRAP},
        runtime="provided.al2023",
        max_concurrency=concurrency,
        initialization_type="lambda-managed-instances",
        log_format="JSON",
        environment=variables,
    )


async def test_events_run_together_and_each_gets_its_own_answer(bench: Bench) -> None:
    environment = await start(bench)
    await wait_until(lambda: environment.places == 4)
    for _ in range(3):
        events = [invocation("together") for _ in range(4)]
        answers = await asyncio.gather(*(environment.invoke(event) for event in events))
        for event, answer in zip(events, answers, strict=True):
            assert msgspec.json.decode(await answer.read()) == event.request_id
            report = await answer.report()
            assert f'"requestId":"{event.request_id}"'.encode() in report.log_tail
            assert all(other.request_id.encode() not in report.log_tail for other in events if other is not event)
        assert environment.places == 4
    for kind in ("platform.start", "platform.report"):
        assert sum(kind in line for line in bench.logs.lines) == 12
    [line] = [line for line in bench.logs.lines if "platform.report" in line and events[0].request_id in line]
    assert list(msgspec.json.decode(line)["record"]["metrics"]) == ["durationMs"]


async def test_a_runtime_that_offers_fewer_places_has_fewer_and_further_events_wait(bench: Bench) -> None:
    environment = await start(bench, THREADS="2")
    await wait_until(lambda: environment.places == 2)
    waiting = [asyncio.ensure_future(ask(environment, "wait")) for _ in range(2)]
    third = asyncio.ensure_future(ask(environment, "later"))
    await asyncio.sleep(0.05)
    assert not third.done()
    for task in waiting:
        task.cancel()  # their caller gives up; their handlers run on, and have their places still
    await asyncio.wait(waiting)
    assert environment.places == 0
    assert environment.alive


async def test_more_idle_polls_than_events_are_refused(bench: Bench) -> None:
    environment = await start(bench, 2, THREADS="3")
    await wait_until(lambda: "refused 500 InternalServerError" in bench.logs.text)
    assert environment.places == 2
    assert (await ask(environment, 1))[0] is None


async def test_a_timeout_ends_its_event_and_no_other(bench: Bench) -> None:
    environment = await start(bench)
    await wait_until(lambda: environment.places == 4)
    other = asyncio.ensure_future(ask(environment, "wait"))
    error, answer = await ask(environment, "wait", timeout_s=0.2, request_id="slow")
    assert error == "Unhandled"
    assert answer == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: slow Error: Task timed out after 0.20 seconds",
    }
    assert environment.places == 3  # the handler still runs
    assert not other.done()
    await ask(environment, "open")
    assert (await other)[0] is None
    await wait_until(lambda: environment.places == 4)
    late = (await ask(environment, "states"))[1]
    assert [410, {"errorMessage": "Invoke timeout", "errorType": "InvokeTimeout"}] in late
    assert environment.alive


async def test_when_the_runtime_ends_all_its_events_do_and_the_environment(bench: Bench) -> None:
    environment = await start(bench)
    await wait_until(lambda: environment.places == 4)
    others = [asyncio.ensure_future(ask(environment, "wait")) for _ in range(2)]
    await asyncio.sleep(0)
    outcomes = [await ask(environment, "exit"), *await asyncio.gather(*others)]
    for error, answer in outcomes:
        assert error == "Unhandled"
        assert answer["errorType"] == "Runtime.ExitError"
        assert answer["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert not environment.alive
    assert environment.places == 0
    error, answer = await ask(environment, "too late")
    assert answer["errorType"] == "Runtime.ExitError"


async def test_answers_are_matched_by_request_id(bench: Bench) -> None:
    environment = await start(bench)
    assert (await ask(environment, "elsewhere", request_id="a"))[1] == "a"
    assert (await ask(environment, "twice", request_id="b"))[1] == "b"
    error, answer = await ask(environment, "error")
    assert (error, answer) == ("Unhandled", {"errorType": "Mine"})
    await wait_until(lambda: environment.places == 4)
    states = (await ask(environment, "states"))[1]
    assert [202, {"status": "OK"}] in states
    assert [400, {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}] in states


async def test_the_late_answer_of_an_attempt_is_not_that_of_the_next(bench: Bench) -> None:
    environment = await start(bench, attempt="1")
    first = await ask(environment, "wait", timeout_s=0.1, request_id="same")
    assert first[1]["errorType"] == "Sandbox.Timedout"
    again = asyncio.ensure_future(ask(environment, "wait again", request_id="same"))
    assert (await again)[1] == "same"
    second = asyncio.ensure_future(ask(environment, "together", request_id="same"))  # nobody joins it
    await asyncio.sleep(0.05)
    await ask(environment, "open")  # the first attempt answers while the last one runs
    await wait_until(lambda: environment.places == 4)
    assert [410, {"errorMessage": "Invoke timeout", "errorType": "InvokeTimeout"}] in (
        await ask(environment, "states")
    )[1]
    assert not second.done()
    second.cancel()
    await asyncio.wait([second])


async def test_an_error_ends_the_stream_of_its_event(bench: Bench) -> None:
    environment = await start(bench)
    response = await invoke(environment, "stream", streaming=True)
    chunks: list[bytes] = []

    async def receive() -> None:
        async for chunk in response.body():
            chunks.append(chunk)
            await ask(environment, "open")

    with pytest.raises(StreamBroken) as broken:
        await receive()
    assert (broken.value.error_type, broken.value.error_body) == ("Function.Late", b'{"errorType":"Late"}')
    assert chunks == [b"hello"]


async def test_the_first_init_error_counts_and_further_ones_are_refused(bench: Bench) -> None:
    environment = await start(bench, BROKEN="1")
    assert not environment.alive
    error, answer = await ask(environment, 1)
    assert (error, answer) == ("Unhandled", {"errorType": "Mine", "errorMessage": "no"})
    await environment.stop("failure")
    assert "told [202, 403]" in bench.logs.text


async def test_one_place_is_enough_to_be_ready(bench: Bench) -> None:
    environment = await start(bench, 1)
    assert environment.initialised
    assert environment.places == 1
    _, headers = await ask(environment, "headers", request_id="x", tenant_id="t", trace_id="Root=1;Parent=2")
    assert headers["lambda-runtime-aws-request-id"] == "x"
    assert headers["lambda-runtime-aws-tenant-id"] == "t"
    assert headers["lambda-runtime-trace-id"] == "Root=1;Parent=2"
