"""The Runtime API's answers, byte by byte, against a session without an environment."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest

from lambent.core import limits
from lambent.sandbox.api_server import ApiServer
from lambent.sandbox.lifecycle import RuntimeState
from lambent.sandbox.runtime_api import RuntimeApi, error_type
from lambent.sandbox.session import Session
from tests.unit.sandbox.support import invocation, wait_until

BASE = "/2018-06-01"
NEXT = BASE + "/runtime/invocation/next"


class Heard:
    """A listener that writes down what it hears; `enough` makes chunks ask for a pause."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []
        self.enough = False
        self.news = asyncio.Event()

    def _add(self, *event: object) -> None:
        self.events.append(event)
        self.news.set()

    def runtime_ready(self) -> None:
        self._add("ready")

    def runtime_init_failed(self, error_type: str, body: bytes) -> None:
        self._add("init failed", error_type, body)

    def runtime_answered(self, content_type: str, body: bytes) -> None:
        self._add("answered", content_type, body)

    def runtime_failed(self, error_type: str, body: bytes) -> None:
        self._add("failed", error_type, body)

    def runtime_streams(self, content_type: str) -> None:
        self._add("streams", content_type)

    def runtime_chunk(self, data: bytes) -> bool:
        self._add("chunk", data)
        return not self.enough

    def runtime_stream_ended(self) -> None:
        self._add("stream ended")

    def runtime_printed(self, data: bytes) -> None:
        raise AssertionError

    def runtime_logged(self, message: bytes) -> None:
        raise AssertionError

    async def wait_for(self, *event: object) -> None:
        async with asyncio.timeout(5):
            while event not in self.events:
                self.news.clear()
                await self.news.wait()


class Client:
    """A connection that sends what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: x"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))
        await self.writer.drain()

    async def receive(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            return (
                int(status.split()[1]),
                headers,
                await self.reader.readexactly(int(headers.get("content-length", "0"))),
            )

    async def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        await self.send(method, path, body, **headers)
        status, _, answer = await self.receive()
        return status, answer


class Api:
    def __init__(self, heard: Heard, session: Session, server: ApiServer) -> None:
        self.heard = heard
        self.session = session
        self.server = server
        self.api = RuntimeApi(session)
        server.serve({}, default=self.api)
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        host, port = self.server.address.split(":")
        client = Client(*await asyncio.open_connection(host, int(port)))
        self.clients.append(client)
        return client

    async def running(self) -> tuple[Client, str]:
        """A client that has been given an event, and the path prefix for answering it."""
        client = await self.connect()
        await client.send("GET", NEXT)
        await self.heard.wait_for("ready")
        sent = invocation({"a": 1})
        self.api.deliver(sent)
        assert (await client.receive())[2] == b'{"a":1}'
        return client, f"{BASE}/runtime/invocation/{sent.request_id}"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    heard = Heard()
    session = Session(heard)
    one = Api(heard, session, await ApiServer.open())
    yield one
    for client in one.clients:
        client.writer.close()
    one.server.close()
    await one.api.wait_closed()


def refusal(kind: str, message: str) -> bytes:
    return msgspec.json.encode({"errorMessage": message, "errorType": kind}) + b"\n"


async def test_an_event_and_its_answer(api: Api) -> None:
    client = await api.connect()
    assert api.session.state is RuntimeState.STARTED
    await client.send("GET", NEXT)
    await api.heard.wait_for("ready")
    sent = invocation(
        b"payload", trace_id="Root=1", client_context='{"a":\n"ü"}', cognito_identity="{}", tenant_id="blue"
    )
    api.api.deliver(sent)
    status, headers, body = await client.receive()
    assert (status, body) == (200, b"payload")
    assert headers == {
        "content-type": "application/json",
        "content-length": "7",
        "lambda-runtime-aws-request-id": sent.request_id,
        "lambda-runtime-deadline-ms": str(sent.deadline_ms),
        "lambda-runtime-invoked-function-arn": sent.invoked_function_arn,
        "lambda-runtime-trace-id": "Root=1",
        "lambda-runtime-client-context": '{"a": "ü"}',
        "lambda-runtime-cognito-identity": "{}",
        "lambda-runtime-aws-tenant-id": "blue",
    }
    path = f"{BASE}/runtime/invocation/{sent.request_id}/response"
    assert await client.ask("POST", path, b"result", Content_Type="text/x") == (202, b'{"status":"OK"}\n')
    assert api.heard.events[1:] == [("answered", "text/x", b"result")]
    assert api.session.state is RuntimeState.RESPONSE_SENT
    await client.send("GET", NEXT)
    await wait_until(lambda: api.session.state is RuntimeState.READY, 5)


async def test_error_report(api: Api) -> None:
    client, path = await api.running()
    body = b'{"errorMessage":"m","errorType":"T","odd":[1]}'
    status, _ = await client.ask("POST", path + "/error", body, Lambda_Runtime_Function_Error_Type="Function.Oops")
    assert status == 202
    assert api.heard.events[-1] == ("failed", "Function.Oops", body)


@pytest.mark.parametrize(
    ("reported", "counts"),
    [
        ("Runtime.Exit", "Runtime.Exit"),
        ("Function.Bad", "Function.Bad"),
        ("Function.bad", "Function.Unknown"),
        ("Function.", "Function.Unknown"),
        ("Runtime.a", "Runtime.Unknown"),
        ("ValueError", "Runtime.Unknown"),
        ("", "Runtime.Unknown"),
    ],
)
def test_error_types(reported: str, counts: str) -> None:
    assert error_type(reported) == counts


async def test_answers_out_of_turn(api: Api) -> None:
    client = await api.connect()
    other = f"{BASE}/runtime/invocation/other/response"
    text = "State transition from {} to {} failed for runtime. Error: State transition is not allowed"
    assert await client.ask("POST", other, b"{}") == (
        403,
        refusal("InvalidStateTransition", text.format("Started", "InvocationResponse")),
    )
    client, path = await api.running()
    assert await client.ask("POST", other, b"{}") == (400, refusal("InvalidRequestID", "Invalid request ID"))
    assert await client.ask("GET", NEXT) == (
        403,
        refusal("InvalidStateTransition", text.format("Running", "Ready")),
    )
    assert await client.ask("POST", BASE + "/runtime/init/error", b"{}") == (
        403,
        refusal("InvalidStateTransition", text.format("Running", "InitError")),
    )
    assert (await client.ask("POST", path + "/response", b"1"))[0] == 202
    for what, state in (("response", "InvocationResponse"), ("error", "InvocationErrorResponse")):
        assert await client.ask("POST", f"{path}/{what}", b"2") == (
            403,
            refusal("InvalidStateTransition", text.format("ResponseSent", state)),
        )
    assert [event for event in api.heard.events if event[0] == "answered"] == [("answered", "application/json", b"1")]


async def test_answer_to_an_event_that_is_over(api: Api) -> None:
    client, path = await api.running()
    await client.ask("POST", path + "/response", b"1")
    await client.send("GET", NEXT)
    second = await api.connect()
    await wait_until(lambda: api.session.state is RuntimeState.READY, 5)
    assert await second.ask("POST", path + "/response", b"1") == (
        400,
        refusal("InvalidRequestID", "Invalid request ID"),
    )


async def test_init_error(api: Api) -> None:
    client = await api.connect()
    body = b'{"errorMessage":"no","errorType":"X"}'
    path = BASE + "/runtime/init/error"
    assert (await client.ask("POST", path, body, Lambda_Runtime_Function_Error_Type="Runtime.No"))[0] == 202
    assert api.heard.events == [("init failed", "Runtime.No", body)]
    assert (await client.ask("POST", path, body))[0] == 403
    assert (await client.ask("GET", NEXT))[0] == 403


async def test_too_large_a_result(api: Api) -> None:
    client, path = await api.running()
    body = bytes(limits.LAMBDA_RESPONSE_BYTES + 1)
    assert await client.ask("POST", path + "/response", body) == (
        413,
        refusal("RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes)."),
    )


async def test_stream(api: Api) -> None:
    client, path = await api.running()
    await client.send(
        "POST",
        path + "/response",
        Lambda_Runtime_Function_Response_Mode="streaming",
        Transfer_Encoding="chunked",
        Content_Type="application/vnd.awslambda.http-integration-response",
        Trailer="Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
    )
    await api.heard.wait_for("streams", "application/vnd.awslambda.http-integration-response")
    client.writer.write(b"3\r\none\r\n")
    await api.heard.wait_for("chunk", b"one")  # passed on before the next one exists
    client.writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
    assert (await client.receive())[0] == 202
    assert api.heard.events[-2:] == [("chunk", b"two"), ("stream ended",)]


async def test_stream_with_error_trailers(api: Api) -> None:
    client, path = await api.running()
    error = b'{"errorMessage":"mid","errorType":"Oops"}'
    await client.send(
        "POST", path + "/response", Lambda_Runtime_Function_Response_Mode="streaming", Transfer_Encoding="chunked"
    )
    client.writer.write(
        b"3\r\none\r\n0\r\nLambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
        b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(error) + b"\r\n\r\n"
    )
    assert (await client.receive())[0] == 202
    assert api.heard.events[-2:] == [("chunk", b"one"), ("failed", "Runtime.StreamError", error)]


@pytest.mark.parametrize("mode", ["streaming", ""])
async def test_body_that_breaks_off(api: Api, mode: str) -> None:
    client, path = await api.running()
    headers = {"Lambda-Runtime-Function-Response-Mode": mode} if mode else {}
    await client.send("POST", path + "/response", Transfer_Encoding="chunked", **headers)
    client.writer.write(b"3\r\none\r\n")
    await client.writer.drain()
    client.writer.close()
    async with asyncio.timeout(5):
        while not any(event[0] == "failed" for event in api.heard.events):
            api.heard.news.clear()
            await api.heard.news.wait()
    assert api.heard.events[-1][1] == "Runtime.TruncatedResponse"


async def test_unknown_response_mode(api: Api) -> None:
    client, path = await api.running()
    assert await client.ask("POST", path + "/response", b"1", Lambda_Runtime_Function_Response_Mode="fancy") == (
        400,
        refusal("InvalidFunctionResponseMode", "Invalid function response mode"),
    )
    assert api.heard.events[-1][:2] == ("failed", "Runtime.InvalidResponseModeHeader")


async def test_a_slow_caller_pauses_the_runtime(api: Api) -> None:
    client, path = await api.running()
    api.heard.enough = True
    await client.send(
        "POST", path + "/response", Lambda_Runtime_Function_Response_Mode="streaming", Transfer_Encoding="chunked"
    )
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    sent = 0
    async with asyncio.timeout(10):
        while True:
            client.writer.write(chunk)
            sent += 1
            try:
                async with asyncio.timeout(0.2):
                    await client.writer.drain()
            except TimeoutError:
                break
    taken = sum(len(event[1]) for event in api.heard.events if event[0] == "chunk")  # type: ignore[arg-type]
    assert taken < sent * 65536
    api.heard.enough = False
    api.api.resume()
    client.writer.write(b"0\r\n\r\n")
    assert (await client.receive())[0] == 202
    assert sum(len(event[1]) for event in api.heard.events if event[0] == "chunk") == sent * 65536  # type: ignore[arg-type]


async def test_poll_that_broke_is_followed_by_another(api: Api) -> None:
    first = await api.connect()
    await first.send("GET", NEXT)
    await api.heard.wait_for("ready")
    first.writer.close()
    await first.writer.wait_closed()
    second = await api.connect()
    assert (await second.ask("GET", "/ping"))[0] == 200  # by now the server has seen the first one go
    api.api.deliver(invocation(b"event"))
    assert (await second.ask("GET", NEXT))[1] == b"event"
    assert api.heard.events == [("ready",)]


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/2018-06-01/ping", 200, b"pong"),
        ("GET", "/2018-06-01/runtime/restore/next", 404, b"404 page not found\n"),
        ("GET", "/elsewhere", 404, b"404 page not found\n"),
        ("POST", "/2018-06-01/runtime/invocation/next", 404, b"404 page not found\n"),
    ],
)
async def test_other_paths(api: Api, method: str, path: str, status: int, body: bytes) -> None:
    client = await api.connect()
    assert await client.ask(method, path, b"" if method != "GET" else None) == (status, body)


async def test_expect_continue(api: Api) -> None:
    client, path = await api.running()
    await client.send("POST", path + "/response", Content_Length="2", Expect="100-continue")
    assert (await client.receive())[0] == 100
    client.writer.write(b"{}")
    assert (await client.receive())[0] == 202


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET " + NEXT.encode() + b" HTTP/1.1\r\n\r\n" + b"GET /ping HTTP/1.1\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nx: " + b"y" * (3 << 20) + b"\r\n\r\n",
    ],
)
async def test_what_is_no_request_ends_the_connection(api: Api, data: bytes) -> None:
    client = await api.connect()
    client.writer.write(data)
    with contextlib.suppress(ConnectionResetError):
        assert (await asyncio.wait_for(client.reader.read(), 5)).startswith(b"HTTP/1.1 400 ")
