"""Several events at once in one environment: Python functions, a process for each event."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.sandbox.support import Bench, ask, invocation, wait_until

HANDLER = """
import logging, os, subprocess, sys, time
count = 0

def handler(event, context):
    global count
    count += 1
    folder = event.get("folder")
    if event.get("meet"):
        open(os.path.join(folder, context.aws_request_id), "w").close()
        deadline = time.monotonic() + 10
        while len(os.listdir(folder)) < event["meet"] and time.monotonic() < deadline:
            time.sleep(0.005)
    print("printed by", context.aws_request_id)
    logging.getLogger().warning("logged by %s", context.aws_request_id)
    if event.get("exit"):
        os._exit(5)
    if event.get("fail"):
        raise ValueError("no")
    if event.get("sleep"):
        time.sleep(event["sleep"])
    return {
        "pid": os.getpid(), "count": count, "id": context.aws_request_id, "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "concurrency": os.environ["AWS_LAMBDA_MAX_CONCURRENCY"], "left": context.get_remaining_time_in_millis(),
        "tenant": context.tenant_id, "arn": context.invoked_function_arn, "met": len(os.listdir(folder or ".")),
    }
"""


GROWS = """
import time
def handler(event, context):
    if event == "wait":
        time.sleep(2)
        return "waited"
    held = []
    while True:
        held.append(bytearray(1 << 20))
        held[-1][::4096] = b"x" * 256
"""


async def start(bench: Bench, source: str = HANDLER, concurrency: int = 3, **options: Any) -> Any:
    options = {"initialization_type": "lambda-managed-instances", "log_format": "JSON", **options}
    environment = await bench.start(source, max_concurrency=concurrency, **options)
    if environment.alive:
        await wait_until(lambda: environment.places == concurrency)
    return environment


async def test_each_event_runs_in_a_process_of_its_own(bench: Bench, tmp_path: Path) -> None:
    environment = await start(bench)
    folder = tmp_path / "meeting"
    folder.mkdir()
    events = [invocation({"meet": 3, "folder": str(folder)}, trace_id=f"Root={n}", tenant_id=f"t{n}") for n in range(3)]
    responses = await asyncio.gather(*(environment.invoke(event) for event in events))
    answers = [msgspec.json.decode(await response.read()) for response in responses]
    assert len({answer["pid"] for answer in answers}) == 3
    assert [answer["met"] for answer in answers] == [3, 3, 3]
    for event, response, answer in zip(events, responses, answers, strict=True):
        assert answer["id"] == event.request_id
        assert answer["trace"] == event.trace_id
        assert answer["tenant"] == event.tenant_id
        assert answer["concurrency"] == "3"
        assert 3000 < answer["left"] <= 10000
        tail = (await response.report()).log_tail.decode()
        assert f"printed by {event.request_id}\n" in tail
        [record] = [msgspec.json.decode(line) for line in tail.splitlines() if "logged by" in line]
        assert record["requestId"] == event.request_id
        assert not any(other.request_id in tail for other in events if other is not event)
        assert tail.index("platform.start") < tail.index("printed by") < tail.index("platform.report")
    assert all(answer["count"] == 1 for answer in answers)  # globals are each process's own


async def test_errors_are_their_events_own(bench: Bench) -> None:
    environment = await start(bench)
    failing, well = await asyncio.gather(ask(environment, {"fail": 1}, request_id="x"), ask(environment, {}))
    assert failing[0] == "Unhandled"
    assert failing[1]["errorType"] == "ValueError"
    assert failing[1]["requestId"] == "x"
    assert well[0] is None


async def test_a_timed_out_handler_keeps_its_place_until_it_is_through(bench: Bench) -> None:
    environment = await start(bench)
    slow = asyncio.ensure_future(ask(environment, {"sleep": 0.5}, timeout_s=0.2))
    assert (await ask(environment, {"sleep": 0.3}))[0] is None
    error, answer = await slow
    assert (error, answer["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    await wait_until(lambda: environment.places == 3)
    pids = {(await ask(environment, {}))[1]["pid"] for _ in range(6)}
    assert len(pids) == 3  # the process that was late serves again


async def test_a_process_that_ends_takes_its_event_with_it_and_its_place(bench: Bench) -> None:
    environment = await start(bench)
    other = asyncio.ensure_future(ask(environment, {"sleep": 0.4}))
    error, answer = await ask(environment, {"exit": 1}, request_id="x")
    assert error == "Unhandled"
    assert answer == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: x Error: Runtime exited without providing a reason",
    }
    assert (await other)[0] is None
    assert environment.places == 2
    assert environment.alive
    await asyncio.gather(*(ask(environment, {"exit": 1}) for _ in range(2)))
    await wait_until(lambda: not environment.alive)


async def test_a_failing_init_ends_the_environment_and_its_events(bench: Bench) -> None:
    environment = await start(bench, "raise KeyError('k')")
    assert not environment.alive
    for _ in range(2):
        error, answer = await ask(environment, {})
        assert (error, answer["errorType"]) == ("Unhandled", "KeyError")
    assert bench.logs.text.count('"platform.initReport"') == 1


async def test_the_end_leaves_no_process_and_tells_waiting_callers(bench: Bench) -> None:
    environment = await start(bench)
    pids = [(await ask(environment, {}))[1]["pid"] for _ in range(3)]
    running = [asyncio.ensure_future(ask(environment, {"sleep": 30})) for _ in range(5)]  # two more than places
    await asyncio.sleep(0.05)
    await environment.stop("spindown")
    for error, answer in await asyncio.gather(*running):
        assert (error, answer["errorType"]) == ("Unhandled", "Runtime.ExitError")
    for pid in pids:
        await wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"))


async def test_processes_that_take_too_much_memory_together_end_all_events(bench: Bench) -> None:
    environment = await start(bench, GROWS, 2, memory_mb=128)
    outcomes = await asyncio.gather(ask(environment, "wait"), ask(environment, "grow"))
    assert [(error, answer["errorType"]) for error, answer in outcomes] == [("Unhandled", "Runtime.OutOfMemory")] * 2
    assert not environment.alive


async def test_a_function_can_open_no_places_of_its_own(bench: Bench) -> None:
    source = """
import os, socket
def handler(event, context):
    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
    answers = []
    for upgrade in ("lambent-channel", "h2c"):
        sock = socket.create_connection((host, int(port)))
        sock.sendall(b"GET /lambent/channel HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: %s\\r\\n\\r\\n"
            % upgrade.encode())
        answers.append(sock.makefile().readline().split()[1])
    return answers
"""
    environment = await start(bench, source)
    assert await ask(environment, {}) == (None, ["503", "404"])
    assert environment.places == 3


async def test_text_logs_say_start_end_and_report_of_each(bench: Bench) -> None:
    environment = await start(bench, log_format="Text", initialization_type="on-demand")
    await asyncio.gather(*(ask(environment, {}, request_id=f"id-{n}") for n in range(3)))
    for n in range(3):
        for begin in ("START RequestId: ", "END RequestId: ", "REPORT RequestId: "):
            assert sum(line.startswith(f"{begin}id-{n}") for line in bench.logs.lines) == 1
        assert sum(f"\tid-{n}\tlogged by id-{n}" in line for line in bench.logs.lines) == 1
