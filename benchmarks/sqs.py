"""SQS over HTTP: sends, batches, receives with deletion, big messages, waiting receivers; each beside its floor.

`python -m benchmarks sqs` runs everything. The floor is the same HTTP server answering a constant to the same requests.
"""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks import harness

ROUNDS = 3
SECONDS = 4
MIB = 1024 * 1024
BODY = "x" * 300
WAITERS = 5000
WAIT_S = 60

# A consumer in Lua: it receives ten messages, deletes those ten, and so on.
CONSUMER = """
local handle = '"ReceiptHandle":"([^"]+)"'
local function request_of(target, body)
  wrk.headers["X-Amz-Target"] = "AmazonSQS." .. target
  return wrk.format("POST", "/", wrk.headers, body)
end
local receive = '{"QueueUrl":"%(url)s","MaxNumberOfMessages":10}'
local pending = {}
request = function()
  local body = table.remove(pending)
  if body then
    return request_of("DeleteMessageBatch", body)
  end
  return request_of("ReceiveMessage", receive)
end
response = function(status, headers, body)
  local entries, count = {}, 0
  for found in string.gmatch(body, handle) do
    count = count + 1
    entries[count] = '{"Id":"' .. count .. '","ReceiptHandle":"' .. found .. '"}'
  end
  if count > 0 then
    pending[#pending + 1] = '{"QueueUrl":"%(url)s","Entries":[' .. table.concat(entries, ",") .. "]}"
  end
end
"""


def main() -> None:
    harness.heading("SQS")
    server = harness.lambent("--isolation", "process", "--log-level", "warning")
    with server as (process, endpoint), harness.floor() as constant:
        sqs = harness.client("sqs", endpoint)
        _sends(sqs, process, endpoint, constant)
        _consumers(sqs, process, endpoint, constant)
        _big_messages(sqs, endpoint, constant)
        _wakes(sqs, endpoint)
        _waiters(sqs, process, endpoint)


def post(target: str, parameters: dict[str, Any]) -> str:
    """wrk's script for one and the same request, again and again."""
    body = json.dumps(parameters).replace("\\", "\\\\").replace("'", "\\'")
    return (
        f"wrk.method = 'POST'\nwrk.body = '{body}'\n"
        'wrk.headers["Content-Type"] = "application/x-amz-json-1.0"\n'
        f'wrk.headers["X-Amz-Target"] = "AmazonSQS.{target}"\n'
    )


def _compared(
    what: str,
    url: str,
    constant: str,
    process: psutil.Process,
    *,
    script: str,
    connections: int,
    each: int = 1,
    promise: str = "",
) -> harness.Load:
    """Load both in turn; print the medians, in units of which a request holds `each`, and the processor's time."""
    loads, floors, spent = [], [], []
    for _ in range(ROUNDS):
        floors.append(harness.wrk(constant, connections=connections, seconds=SECONDS, service="sqs", script=script))
        before = process.cpu_times()
        load = harness.wrk(url, connections=connections, seconds=SECONDS, service="sqs", script=script)
        after = process.cpu_times()
        loads.append(load)
        spent.append((after.user + after.system - before.user - before.system) / (load.rate * SECONDS) * 1e6)
    load = sorted(loads, key=lambda each_load: each_load.rate)[ROUNDS // 2]
    floor = sorted(floors, key=lambda each_load: each_load.rate)[ROUNDS // 2]
    harness.report(what, load.rate * each, "/s", floor=floor.rate * each, floor_is="constant", promise=promise)
    print(
        f"  {'':<52} p50 {load.p50_ms:.2f} ms, p99 {load.p99_ms:.2f} ms, "
        f"{statistics.median(spent):.0f} us of processor a request, failures {sum(one.failures for one in loads)}"
    )
    return load


def _sends(sqs: Any, process: psutil.Process, endpoint: str, constant: str) -> None:
    url = sqs.create_queue(QueueName="sends")["QueueUrl"]
    script = post("SendMessage", {"QueueUrl": url, "MessageBody": BODY})
    _compared("SendMessage 300 B, 1 connection", endpoint, constant, process, script=script, connections=1,
              promise="p50 < 1 ms")  # fmt: skip
    _compared("SendMessage 300 B, 32 connections", endpoint, constant, process, script=script, connections=32,
              promise=">= 4,500/s, ratio >= 0.3, p99 < 20 ms")  # fmt: skip
    entries = [{"Id": str(number), "MessageBody": BODY} for number in range(10)]
    script = post("SendMessageBatch", {"QueueUrl": url, "Entries": entries})
    _compared("SendMessageBatch(10), messages, 32 connections", endpoint, constant, process, script=script,
              connections=32, each=10, promise=">= 20,000/s")  # fmt: skip


def _consumers(sqs: Any, process: psutil.Process, endpoint: str, constant: str) -> None:
    """Each message costs a tenth of a receive and a tenth of a deletion, so two requests are ten messages."""
    url = sqs.create_queue(QueueName="consumed", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    entries = [{"Id": str(number), "MessageBody": BODY} for number in range(10)]
    fill = post("SendMessageBatch", {"QueueUrl": url, "Entries": entries})
    harness.wrk(endpoint, connections=16, seconds=SECONDS * ROUNDS * 3, service="sqs", script=fill)
    script = post("ReceiveMessage", {"QueueUrl": url}) + CONSUMER % {"url": url}
    _compared("Receive(10)+DeleteBatch(10), messages, 32 connections", endpoint, constant, process, script=script,
              connections=32, each=5, promise=">= 10,000/s")  # fmt: skip
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    print(f"  {'':<52} {left['ApproximateNumberOfMessages']} messages were left")


def _big_messages(sqs: Any, endpoint: str, constant: str) -> None:
    url = sqs.create_queue(QueueName="big", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    script = post("SendMessage", {"QueueUrl": url, "MessageBody": "x" * MIB})
    floor = harness.wrk(constant, connections=4, seconds=SECONDS, service="sqs", script=script)
    load = harness.wrk(endpoint, connections=4, seconds=SECONDS, service="sqs", script=script)
    harness.report("1 MiB messages in", load.rate * MIB / 1e6, "MB/s", floor=floor.rate * MIB / 1e6,
                   floor_is="constant", promise=">= 80 MB/s")  # fmt: skip
    script = post("ReceiveMessage", {"QueueUrl": url})
    load = harness.wrk(endpoint, connections=4, seconds=SECONDS, service="sqs", script=script)
    harness.report("1 MiB messages out", load.rate * MIB / 1e6, "MB/s", floor=floor.rate * MIB / 1e6,
                   floor_is="constant, in", promise=">= 150 MB/s")  # fmt: skip


def _wakes(sqs: Any, endpoint: str) -> None:
    """How long after a send's answer the receiver that waits has its message."""
    url = sqs.create_queue(QueueName="wakes")["QueueUrl"]
    late_ms, answers_ms = [], []
    for _ in range(50):
        got: list[float] = []
        waiter = threading.Thread(target=_wait_for_one, args=(endpoint, url, got))
        waiter.start()
        time.sleep(0.1)  # the receiver is waiting by then
        started = time.perf_counter()
        _raw(endpoint, "SendMessage", {"QueueUrl": url, "MessageBody": "b"})
        answered = time.perf_counter()
        waiter.join()
        late_ms.append((got[0] - started) * 1000)
        answers_ms.append((answered - started) * 1000)
    harness.report("long poll woken, p50 after the send was begun", statistics.median(late_ms), "ms",
                   floor=statistics.median(answers_ms), floor_is="the send's own answer", promise="< 5 ms")  # fmt: skip


def _waiters(sqs: Any, process: psutil.Process, endpoint: str) -> None:
    """What receivers that wait for nothing cost."""
    url = sqs.create_queue(QueueName="idle")["QueueUrl"]
    time.sleep(2)  # the server settles
    memory_before = process.memory_info().rss
    idle = _spent(process, WAIT_S / 6)
    request = _request(endpoint, "ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": 20})
    host, port = urlsplit(endpoint).netloc.split(":")
    sockets = []
    for _ in range(WAITERS):
        connection = socket.create_connection((host, int(port)))
        connection.sendall(request)
        sockets.append(connection)
    time.sleep(1)
    memory = (process.memory_info().rss - memory_before) / 1e6
    spent = _spent(process, 15)  # all of them wait through this
    harness.report(f"{WAITERS} waiting receivers, memory", memory, "MB", floor=100, floor_is="promise",
                   promise="< 100 MB")  # fmt: skip
    harness.report(f"{WAITERS} waiting receivers, share of a core", spent * 100, "%", floor=idle * 100,
                   floor_is="none waiting", promise="< 0.2 %")  # fmt: skip
    for connection in sockets:
        connection.close()


def _spent(process: psutil.Process, seconds: float) -> float:
    """The share of a core that a process takes over some seconds."""
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds


def _wait_for_one(endpoint: str, url: str, got: list[float]) -> None:
    answer = _raw(endpoint, "ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": 20})
    got.append(time.perf_counter())
    assert b'"Messages"' in answer


def _raw(endpoint: str, target: str, parameters: dict[str, Any]) -> bytes:
    """An answer without a client's own cost."""
    host, port = urlsplit(endpoint).netloc.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(_request(endpoint, target, parameters))
        return connection.recv(65536)


def _request(endpoint: str, target: str, parameters: dict[str, Any]) -> bytes:
    body = json.dumps(parameters).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {urlsplit(endpoint).netloc}\r\n"
        f"Authorization: {harness.AUTHORIZATION.format(service='sqs')}\r\n"
        f"X-Amz-Target: AmazonSQS.{target}\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    main()
