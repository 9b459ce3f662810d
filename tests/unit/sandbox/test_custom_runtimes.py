"""provided.* runtimes: bootstraps of any kind over the Runtime API, in whole environments."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from lambent.sandbox.protocol import Response, StreamBroken
from tests.unit.sandbox.support import Bench, ask, invocation, invoke, wait_until

# A runtime in plain sockets, so that streams are sent exactly as written here. `on(event)` answers an event.
HEAD = f"""#!{sys.executable} -Su
import json, os, socket, sys, time
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
sock = socket.create_connection((host, int(port)))
file = sock.makefile("rwb")
BASE = "/2018-06-01/runtime/"

def receive():
    status = int(file.readline().split()[1])
    headers = {{}}
    while True:
        line = file.readline().strip()
        if not line:
            break
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, file.read(int(headers.get("content-length", 0)))

def post(path, body, **headers):
    lines = ["POST " + BASE + path + " HTTP/1.1", "Host: x", "Content-Length: %d" % len(body)]
    lines += ["%s: %s" % (name.replace("_", "-"), value) for name, value in headers.items()]
    file.write(("\\r\\n".join(lines) + "\\r\\n\\r\\n").encode() + body)
    file.flush()
    return receive()

def stream(path, content_type="text/plain"):
    file.write((
        "POST " + BASE + path + " HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\\r\\nContent-Type: " + content_type + "\\r\\n\\r\\n"
    ).encode())
    file.flush()

def chunk(data):
    file.write(b"%x\\r\\n%s\\r\\n" % (len(data), data))
    file.flush()

def end(*trailers):
    file.write(b"0\\r\\n" + b"".join(line.encode() + b"\\r\\n" for line in trailers) + b"\\r\\n")
    file.flush()
    return receive()

def loop(on):
    while True:
        file.write(b"GET " + BASE.encode() + b"invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        file.flush()
        status, headers, body = receive()
        on(json.loads(body), headers, "invocation/" + headers["lambda-runtime-aws-request-id"] + "/")
"""

ECHO = (
    HEAD
    + """
print("starting in", os.getcwd())
def on(event, headers, path):
    print("got", event)
    if event == "exit":
        sys.exit(7)
    if event == "sleep":
        time.sleep(60)
    if event == "error":
        post(path + "error", b'{"errorType":"Mine","errorMessage":"m","anything":[1,  2]}')
    elif event == "linger":
        post(path + "response", b'"answered"')
        time.sleep(0.2)
        print("lingered")
    elif event == "linger forever":
        post(path + "response", b'"answered"')
        time.sleep(60)
    elif event == "env":
        post(path + "response", json.dumps(dict(os.environ)).encode())
    else:
        post(path + "response", json.dumps(event).encode())
loop(on)
"""
)

STREAM = (
    HEAD
    + """
import base64
def on(event, headers, path):
    if event == "early":
        post(path + "error", b'{"errorMessage":"before the first byte"}')
        return
    stream(path + "response")
    for i in range(event.get("chunks", 3)):
        chunk(b"chunk %d;" % i)
        while event.get("flag") and not os.path.exists(event["flag"] + str(i)):
            time.sleep(0.005)
    if event.get("big"):
        for _ in range(event["big"]):
            chunk(bytes(1 << 20))
    if event.get("fail"):
        body = base64.b64encode(b'{"errorMessage":"mid"}').decode()
        end("Lambda-Runtime-Function-Error-Type: Function.Mid", "Lambda-Runtime-Function-Error-Body: " + body)
    elif event.get("die"):
        os._exit(9)
    else:
        end()
loop(on)
"""
)


async def custom(bench: Bench, bootstrap: str | bytes, **options: object) -> object:
    return await bench.start({"bootstrap": bootstrap}, **{"runtime": "provided.al2023", **options})


@pytest.mark.parametrize("runtime", ["provided.al2023", "provided.al2"])
async def test_echo(bench: Bench, runtime: str) -> None:
    environment = await bench.start({"bootstrap": ECHO}, runtime=runtime, memory_mb=256)
    for payload in ({"a": [1]}, "x", None):
        assert await ask(environment, payload) == (None, payload)
    _, seen = await ask(environment, "env")
    assert "AWS_EXECUTION_ENV" not in seen
    assert seen["_HANDLER"] == "h.handler"
    assert seen["LAMBDA_TASK_ROOT"] in bench.logs.text  # printed as the working directory
    assert bench.logs.text.count("INIT_START Runtime Version: provided:") == 1
    report = await (await invoke(environment)).report()
    assert 3 < report.max_memory_used_mb < 100


async def test_error_is_passed_byte_for_byte(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": ECHO}, runtime="provided.al2023")
    response = await invoke(environment, "error")
    assert response.function_error == "Unhandled"
    assert await response.read() == b'{"errorType":"Mine","errorMessage":"m","anything":[1,  2]}'
    await response.report()
    assert await ask(environment, 1) == (None, 1)


async def test_exit_and_timeout(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": ECHO}, runtime="provided.al2023")
    _, body = await ask(environment, "exit")
    assert body["errorMessage"].endswith("Error: Runtime exited with error: exit status 7")
    _, body = await ask(environment, "sleep", timeout_s=0.3)
    assert body["errorType"] == "Sandbox.Timedout"
    assert await ask(environment, 1) == (None, 1)


async def test_work_after_the_answer_belongs_to_the_event(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": ECHO}, runtime="provided.al2023")
    response = await invoke(environment, "linger")
    assert await response.read() == b'"answered"'
    assert "lingered\n" not in bench.logs.lines
    report = await response.report()
    assert report.duration_ms >= 200
    assert b"lingered\n" in report.log_tail
    response = await invoke(environment, "linger forever", timeout_s=0.5)
    assert (response.function_error, await response.read()) == (None, b'"answered"')
    report = await response.report()
    assert report.log_tail.endswith(b"Status: timeout\n")
    assert await ask(environment, 1) == (None, 1)


async def test_bootstrap_of_a_layer(bench: Bench) -> None:
    bench.code.add("layer", {"bootstrap": ECHO})
    environment = await bench.start({"other": ""}, runtime="provided.al2023", layers=("layer",))
    assert await ask(environment, 1) == (None, 1)


async def test_no_bootstrap(bench: Bench) -> None:
    environment = await bench.start({"other": ""}, runtime="provided.al2023")
    sent = invocation()
    response = await environment.invoke(sent)
    assert response.function_error == "Unhandled"
    assert msgspec.json.decode(await response.read()) == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": f"RequestId: {sent.request_id} Error: "
        "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
    }


async def test_bootstrap_that_may_not_be_executed(bench: Bench) -> None:
    bench.code.add("x", {"bootstrap": ECHO}).joinpath("bootstrap").chmod(0o644)
    environment = await bench.sandbox.start(bench.spec("x", runtime="provided.al2023"))
    _, body = await ask(environment)
    assert body["errorType"] == "Runtime.InvalidEntrypoint"
    assert body["errorMessage"].endswith("Error: fork/exec /var/task/bootstrap: permission denied")


@pytest.mark.parametrize(
    ("bootstrap", "reason"),
    [("no program", "exec format error"), ("#!/nothing/here\n", "no such file or directory")],
)
async def test_bootstrap_that_cannot_be_executed(bench: Bench, bootstrap: str, reason: str) -> None:
    environment = await bench.start({"bootstrap": bootstrap}, runtime="provided.al2023")
    _, body = await ask(environment)
    assert body["errorType"] == "Runtime.InvalidEntrypoint"
    assert body["errorMessage"].endswith(f"Error: fork/exec /var/task/bootstrap: {reason}")


async def test_init_error(bench: Bench) -> None:
    bootstrap = HEAD + 'post(\'init/error\', b\'{"errorMessage":"not today","errorType":"X"}\'); time.sleep(60)\n'
    environment = await bench.start({"bootstrap": bootstrap}, runtime="provided.al2023")
    response = await invoke(environment)
    assert (response.function_error, await response.read()) == (
        "Unhandled",
        b'{"errorMessage":"not today","errorType":"X"}',
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_the_shell_runtime_of_the_documentation(bench: Bench) -> None:
    bootstrap = """#!/bin/sh
set -eu
while true; do
  HEADERS="$(mktemp)"
  EVENT=$(curl -sS -LD "$HEADERS" "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/next")
  REQUEST_ID=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$HEADERS" | tr -d '[:space:]' | cut -d: -f2)
  curl -sS "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/$REQUEST_ID/response" -d "$EVENT" >/dev/null
done
"""
    environment = await bench.start({"bootstrap": bootstrap}, runtime="provided.al2023")
    assert await ask(environment, {"a": 1}) == (None, {"a": 1})
    assert await ask(environment, "x" * 100_000) == (None, "x" * 100_000)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
async def test_runtime_in_c(bench: Bench, tmp_path: Path) -> None:
    source = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char buffer[65536];
int main(void) {
    char host[64]; int port; char id[128];
    sscanf(getenv("AWS_LAMBDA_RUNTIME_API"), "%63[^:]:%d", host, &port);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) return 1;
    printf("from C\n"); fflush(stdout);
    for (;;) {
        dprintf(fd, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
        ssize_t n = read(fd, buffer, sizeof buffer - 1);
        if (n <= 0) return 0;
        buffer[n] = 0;
        sscanf(strstr(buffer, "Lambda-Runtime-Aws-Request-Id: "), "%*s %127s", id);
        char *body = strstr(buffer, "\r\n\r\n") + 4;
        dprintf(fd, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\n"
                "Content-Length: %zu\r\n\r\n%s", id, strlen(body), body);
        if (read(fd, buffer, sizeof buffer) <= 0) return 0;
    }
}
"""
    (tmp_path / "runtime.c").write_text(source)
    compiler = await asyncio.create_subprocess_exec("cc", "-o", str(tmp_path / "runtime"), str(tmp_path / "runtime.c"))
    assert await compiler.wait() == 0
    program = (tmp_path / "runtime").read_bytes()
    environment = await bench.start({"bootstrap": program}, runtime="provided.al2023")
    for n in range(20):
        assert await ask(environment, n) == (None, n)
    assert "from C\n" in bench.logs.lines


async def test_stream_as_it_comes(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": STREAM}, runtime="provided.al2023", memory_mb=256)
    flag = str(bench.root / "flag")
    response = await invoke(environment, {"flag": flag}, streaming=True)
    assert (response.streaming, response.function_error, response.content_type) == (True, None, "text/plain")
    body = response.body()
    for i in range(3):
        assert await anext(body) == b"chunk %d;" % i  # before the runtime goes on, which waits for the flag
        Path(flag + str(i)).touch()
    assert [chunk async for chunk in body] == []
    assert (await response.report()).duration_ms > 0


async def _take(response: Response, into: list[bytes]) -> None:
    async for chunk in response.body():
        into.append(chunk)


async def test_stream_that_fails_midway(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": STREAM}, runtime="provided.al2023")
    response = await invoke(environment, {"fail": True}, streaming=True)
    taken: list[bytes] = []
    with pytest.raises(StreamBroken) as broken:
        await _take(response, taken)
    assert b"".join(taken) == b"chunk 0;chunk 1;chunk 2;"
    assert (broken.value.error_type, broken.value.error_body) == ("Function.Mid", b'{"errorMessage":"mid"}')
    await response.report()
    # A caller that wants it whole gets the error alone.
    assert await ask(environment, {"fail": True}) == ("Unhandled", {"errorMessage": "mid"})


async def test_runtime_that_dies_while_streaming(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": STREAM}, runtime="provided.al2023")
    response = await invoke(environment, {"die": True}, streaming=True)
    with pytest.raises(StreamBroken) as broken:
        await response.read()
    assert broken.value.error_type in ("Runtime.TruncatedResponse", "Runtime.ExitError")
    await response.report()
    response = await invoke(environment, {}, streaming=True)
    assert await response.read() == b"chunk 0;chunk 1;chunk 2;"


async def test_error_instead_of_a_stream(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": STREAM}, runtime="provided.al2023")
    response = await invoke(environment, "early", streaming=True)
    assert (response.function_error, response.streaming) == ("Unhandled", False)
    assert await response.read() == b'{"errorMessage":"before the first byte"}'


async def test_stream_for_a_caller_that_wants_it_whole(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": STREAM}, runtime="provided.al2023")
    response = await invoke(environment, {})
    assert (response.streaming, await response.read()) == (True, b"chunk 0;chunk 1;chunk 2;")
    await response.report()
    _, body = await ask(environment, {"big": 7})
    assert body["errorType"] == "Function.ResponseSizeTooLarge"


async def test_slow_and_lost_callers_of_a_stream(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": STREAM}, runtime="provided.al2023")
    response = await invoke(environment, {"big": 20}, streaming=True)
    await asyncio.sleep(0.2)
    size = 0
    async for chunk in response.body():
        size += len(chunk)
    assert size == 24 + (20 << 20)
    await response.report()
    response = await invoke(environment, {"big": 20}, streaming=True)
    body = response.body()
    await anext(body)
    await body.aclose()  # type: ignore[attr-defined]
    # The event still comes to its end, and the environment is free for the next one.
    await asyncio.wait_for(response.report(), 10)
    assert await (await invoke(environment, {}, streaming=True)).read() == b"chunk 0;chunk 1;chunk 2;"


async def test_timeout_while_streaming(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": STREAM}, runtime="provided.al2023")
    response = await invoke(environment, {"flag": "/nothing"}, streaming=True, timeout_s=0.3)
    with pytest.raises(StreamBroken) as broken:
        await response.read()
    assert broken.value.error_type == "Sandbox.Timedout"


async def test_a_killed_runtime_is_not_reached_by_its_old_connections(bench: Bench) -> None:
    environment = await bench.start({"bootstrap": ECHO}, runtime="provided.al2023")
    await ask(environment, "sleep", timeout_s=0.2)
    await ask(environment, 1)
    await environment.stop("spindown")
    assert not environment.alive
    await wait_until(lambda: not list((bench.work_dir / "environments").glob("*/environment-*")))
