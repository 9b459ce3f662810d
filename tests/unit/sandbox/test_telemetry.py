"""The Telemetry API: subscriptions, what is collected for how long, and what real extensions receive."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from typing import Any

import msgspec
import pytest

from lambent.core.clock import SystemClock
from lambent.sandbox.telemetry_delivery import Delivery
from lambent.sandbox.telemetry_subscription import Subscription, ValidationError, parse
from tests.unit.sandbox.extension_programs import CLIENT, HEAD, layer
from tests.unit.sandbox.support import Bench, ask, invoke, wait_until

# Subscribes, and says each event that it gets: HTTP on a thread of its own, until the SHUTDOWN event.
SUBSCRIBER = (
    HEAD
    + """
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for event in events:
            if event["type"] != "extension":
                say("got", json.dumps(event))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args): pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
me = register()
body = {"schemaVersion": "2022-12-13", "types": ["platform", "function", "extension"], "buffering": {"timeoutMs": 25},
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:%d/x" % server.server_address[1]}}
say("answer", json.dumps(call("PUT", "/2022-07-01/telemetry", body, Lambda_Extension_Identifier=me)[::2]))
while next_event(me)["eventType"] != "SHUTDOWN":
    say("late", json.dumps(call("PUT", "/2022-07-01/telemetry", body, Lambda_Extension_Identifier=me)[::2]))
"""
)
# The Logs API, over TCP.
OLD_SUBSCRIBER = (
    HEAD
    + """
import socket
server = socket.create_server(("127.0.0.1", 0))
def follow():
    for line in server.accept()[0].makefile():
        say("got", line.strip())
threading.Thread(target=follow, daemon=True).start()
me = register()
body = {"schemaVersion": "2021-03-18", "types": ["platform", "function"], "buffering": {"timeoutMs": 25},
    "destination": {"protocol": "TCP", "port": server.getsockname()[1]}}
say("answer", json.dumps(call("PUT", "/2020-08-15/logs", body, Lambda_Extension_Identifier=me)[::2]))
while next_event(me)["eventType"] != "SHUTDOWN": pass
"""
)
HANDLER = """
def handler(event, context):
    print("hello", event)
    if event == "json": print('{"a": [1]}')
    if event == "raise": raise ValueError("v")
    return event
"""


def said(bench: Bench, name: str, what: str) -> list[Any]:
    start = f"{name} {what} "
    return [msgspec.json.decode(line.removeprefix(start)) for line in bench.logs.lines if line.startswith(start)]


async def test_a_subscriber_gets_all(bench: Bench) -> None:
    bench.code.add("layer", layer(sub=SUBSCRIBER))
    environment = await bench.start("print('module')\n" + HANDLER, layers=("layer",), memory_mb=256)
    assert said(bench, "sub", "answer") == [[200, "OK"]]
    assert "TELEMETRY\tName: sub\tState: Subscribed\tTypes: [Platform, Function, Extension]\n" in bench.logs.lines
    response = await invoke(environment, "x", trace_id="Root=1", request_id="r1")
    report = await response.report()
    await ask(environment, "raise", request_id="r2")

    def got(kind: str) -> list[Any]:
        return [event["record"] for event in said(bench, "sub", "got") if event["type"] == kind]

    await wait_until(lambda: len(got("platform.report")) == 2)
    await environment.stop("spindown")
    kinds = [event["type"] for event in said(bench, "sub", "got")]
    assert kinds[0] == "platform.initStart", "what came before the subscription too"
    assert Counter(kind for kind in kinds if kind != "function") == Counter(
        {
            "platform.initStart": 1,
            "platform.telemetrySubscription": 1,
            "platform.initRuntimeDone": 1,
            "platform.extension": 1,
            "platform.initReport": 1,
            "platform.start": 2,
            "platform.runtimeDone": 2,
            "platform.report": 2,
        }
    )
    [start] = got("platform.initStart")
    assert (start["phase"], start["functionName"], start["instanceMaxMemory"]) == ("init", "f", 256 << 20)
    assert got("platform.extension") == [{"name": "sub", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}]
    assert got("platform.start")[0] == {
        "requestId": "r1",
        "version": "$LATEST",
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1"},
    }
    first, second = got("platform.runtimeDone")
    assert (first["status"], first["metrics"]["producedBytes"]) == ("success", 3)
    assert [span["name"] for span in first["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert sum(span["durationMs"] for span in first["spans"]) == pytest.approx(first["metrics"]["durationMs"], abs=1)
    assert [span["start"] for span in first["spans"]] == sorted(span["start"] for span in first["spans"])
    assert (second["status"], second["errorType"]) == ("error", "ValueError")
    assert got("platform.report")[0]["metrics"]["initDurationMs"] == round(report.init_duration_ms or 0, 3)
    lines = got("function")
    assert lines[:2] == ["module", "hello x"]
    assert any(line.startswith("[ERROR] ValueError: v") for line in lines)
    assert said(bench, "sub", "late")[0] == [
        403,
        {"errorMessage": "Telemetry API subscription is closed", "errorType": "Telemetry.SubscriptionClosed"},
    ]


@pytest.mark.parametrize(
    ("event", "status", "kind"), [("sleep", "timeout", "Sandbox.Timedout"), ("exit", "failure", "Runtime.ExitError")]
)
async def test_a_failed_event_is_told_before_the_end(bench: Bench, event: str, status: str, kind: str) -> None:
    bench.code.add("layer", layer(sub=SUBSCRIBER))
    source = "import sys, time\ndef handler(e, c): time.sleep(60) if e == 'sleep' else sys.exit(1)\n"
    environment = await bench.start(source, layers=("layer",))
    _, body = await ask(environment, event, timeout_s=0.3)
    assert body["errorType"] == kind
    [done] = [event["record"] for event in said(bench, "sub", "got") if event["type"] == "platform.runtimeDone"]
    assert (done["status"], done["errorType"]) == (status, kind)
    assert "spans" not in done, "there was no answer whose times could be told"
    assert bench.logs.text.count("END RequestId") == 1


async def test_the_logs_api_over_tcp(bench: Bench) -> None:
    bench.code.add("layer", layer(old=OLD_SUBSCRIBER))
    environment = await bench.start(HANDLER, layers=("layer",), log_format="JSON")
    assert said(bench, "old", "answer") == [[200, "OK"]]
    await ask(environment, "json", request_id="r1")
    await wait_until(lambda: any(event["type"] == "platform.report" for event in said(bench, "old", "got")))
    events = {event["type"]: event["record"] for event in said(bench, "old", "got") if event["type"] != "function"}
    assert list(events) == [
        "platform.logsSubscription",
        "platform.extension",
        "platform.start",
        "platform.runtimeDone",
        "platform.end",
        "platform.report",
    ]
    assert events["platform.end"] == {"requestId": "r1"}
    assert events["platform.runtimeDone"] == {"requestId": "r1", "status": "success"}
    assert events["platform.report"].keys() == {"requestId", "metrics"}
    lines = [event["record"] for event in said(bench, "old", "got") if event["type"] == "function"]
    assert {"a": [1]} in lines, "JSON lines are objects"


async def test_what_is_left_is_delivered_before_the_end(bench: Bench) -> None:
    patient = SUBSCRIBER.replace('"timeoutMs": 25', '"timeoutMs": 30000')
    bench.code.add("layer", layer(sub=patient))
    environment = await bench.start(HANDLER, layers=("layer",))
    await ask(environment, "x")
    assert said(bench, "sub", "got") == []
    await environment.stop("spindown")
    assert "platform.report" in [event["type"] for event in said(bench, "sub", "got")]


async def test_refusals(bench: Bench) -> None:
    source = CLIENT + (
        "me = register(['INVOKE'], name='inside')\n"
        "threading.Thread(target=next_event, args=(me,), daemon=True).start()\n"
        "put = lambda body, **headers: call('PUT', '/2022-07-01/telemetry', body, **headers)[::2]\n"
        "answers = [put({}), put({}, Lambda_Extension_Identifier='x'), put({}, Lambda_Extension_Identifier=me)]\n"
        "def handler(e, c): return answers\n"
    )
    environment = await bench.start(source)
    _, answers = await ask(environment)
    assert [(status, body["errorType"]) for status, body in answers] == [
        (403, "Extension.MissingExtensionIdentifier"),
        (403, "Extension.InvalidExtensionIdentifier"),
        (400, "ValidationError"),
    ]


GOOD = {
    "schemaVersion": "2022-12-13",
    "types": ["platform"],
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/a?b"},
}


def subscription(*, managed: bool = False, logs_api: bool = False, **changes: Any) -> Subscription:
    return parse(msgspec.json.encode(GOOD | changes), logs_api=logs_api, managed=managed)


def test_defaults() -> None:
    wanted = subscription()
    assert (wanted.max_items, wanted.max_bytes, wanted.timeout_s) == (10_000, 262_144, 1.0)
    assert (wanted.protocol, wanted.method, wanted.port, wanted.path) == ("HTTP", "POST", 8080, "/a?b")
    assert subscription(destination={"protocol": "HTTP", "URI": "http://sandbox"}).port == 80
    assert subscription(destination={"protocol": "TCP", "URI": "tcp://sandbox.localdomain:99"}).port == 99


@pytest.mark.parametrize(
    "changes",
    [
        {"schemaVersion": "2020-01-01"},
        {"schemaVersion": None},
        {"types": []},
        {"types": ["other"]},
        {"types": "platform"},
        {"buffering": {"maxItems": 999}},
        {"buffering": {"maxItems": 10_001}},
        {"buffering": {"maxBytes": 262_143}},
        {"buffering": {"timeoutMs": 24}},
        {"buffering": {"timeoutMs": 30_001}},
        {"buffering": {"timeoutMs": True}},
        {"buffering": []},
        {"destination": None},
        {"destination": {"protocol": "HTTP"}},
        {"destination": {"protocol": "HTTP", "URI": "http://127.0.0.1:80"}},
        {"destination": {"protocol": "HTTP", "URI": "https://sandbox.localdomain:80"}},
        {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:99999"}},
        {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:80/\u00e4"}},
        {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:80/", "method": "GET"}},
        {"destination": {"protocol": "TCP", "URI": "tcp://sandbox.localdomain"}},
        {"destination": {"protocol": "TCP", "port": 0}},
        {"destination": {"protocol": "UDP", "URI": "udp://sandbox.localdomain:80"}},
        {"managed": True},
        {"logs_api": True},
    ],
)
def test_what_is_not_valid(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        subscription(**changes)


def test_bodies_that_are_no_objects() -> None:
    for body in (b"", b"[]", b"{"):
        with pytest.raises(ValidationError):
            parse(body, logs_api=False, managed=False)


class Subscriber:
    """An HTTP server that keeps what it gets; `statuses` are its next answers, `held` keeps it from answering."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.statuses: list[int] = []
        self.held = asyncio.Event()
        self.held.set()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
        body = await reader.readexactly(size)
        await self.held.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.batches.append(msgspec.json.decode(body))
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        writer.close()

    async def connect(self, port: int) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return sock


@pytest.fixture
async def subscriber() -> Any:
    one = Subscriber()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    yield one
    server.close()


def delivery(subscriber: Subscriber, **buffering: int) -> Delivery:
    return Delivery(subscription(buffering=buffering), subscriber.connect, SystemClock())


async def test_events_are_collected_by_time(subscriber: Subscriber) -> None:
    one = delivery(subscriber, timeoutMs=100)
    started_s = time.monotonic()
    for number in range(50):
        one.add(b"%d" % number)
    await wait_until(lambda: subscriber.batches)
    assert time.monotonic() - started_s >= 0.1
    assert subscriber.batches == [list(range(50))]
    one.close()


@pytest.mark.parametrize(("count", "size"), [(1000, 10), (60, 5000)])
async def test_events_are_collected_by_number_and_size(subscriber: Subscriber, count: int, size: int) -> None:
    one = delivery(subscriber, timeoutMs=30_000, maxItems=1000)
    for _ in range(count):
        one.add(b'"%s"' % (b"x" * (size - 2)))
    await wait_until(lambda: subscriber.batches)
    assert len(subscriber.batches[0]) == min(count, 262_144 // size)
    one.close()


async def test_a_refusal_is_tried_again(subscriber: Subscriber) -> None:
    subscriber.statuses = [500, 503]
    one = delivery(subscriber, timeoutMs=25)
    one.add(b"1")
    await wait_until(lambda: subscriber.batches)
    assert subscriber.batches == [[1]]
    one.close()


async def test_what_nobody_takes_is_dropped_and_said(subscriber: Subscriber) -> None:
    one = delivery(subscriber, timeoutMs=25)
    subscriber.held.clear()
    one.add(b"0")
    await wait_until(lambda: one._task is not None)
    for _ in range(2000):
        one.add(b'"%s"' % bytes(b"x" * 1022))
    subscriber.held.set()
    await one.flush()
    [dropped] = [event for batch in subscriber.batches for event in batch if isinstance(event, dict)]
    kept = sum(len(batch) for batch in subscriber.batches) - 2
    assert dropped["type"] == "platform.logsDropped"
    assert dropped["record"]["droppedRecords"] == 2000 - kept == 2000 - 1024
    assert dropped["record"]["droppedBytes"] == (2000 - kept) * 1024
    assert all(len(batch) <= 257 for batch in subscriber.batches)
    one.close()
