"""Which HTTP server carries the endpoint, and how (docs/decisions/0001-http-server.md).

Every variant reads the same signed POST and answers the same constant on one port of its own. They are loaded in
turns, several rounds of each, and the medians count: a busy moment of the machine hits all of them. The processor
time that a server spends on a request depends least on what else the machine does.

granian is not one of our dependencies: install it anywhere and name that interpreter in GRANIAN_PYTHON.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
from typing import Any

ROUNDS = 5
SECONDS = 2
ANSWER = b'{"statusCode": 200, "body": "a constant answer of some length"}'
HEADERS = (("content-type", "application/json"), ("x-amzn-requestid", "0" * 36))
SCRIPT = """
wrk.method = "POST"
wrk.path = "/2015-03-31/functions/echo/invocations"
wrk.body = '{"key": "value", "number": 12345}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Amz-Date"] = "20260101T000000Z"
wrk.headers["User-Agent"] = "Boto3/1.44 md/Botocore#1.44 ua/2.1 os/linux md/arch#x86_64 lang/python#3.13"
"""

OURS = "lambent's connection"
VARIANTS = {
    "httptools alone": "bare",
    "uvicorn, defaults": "uvicorn-default",
    "uvicorn, nothing optional": "uvicorn-lean",
    "uvicorn's protocol, embedded": "uvicorn-embedded",
    OURS: "connection",
    "lambent's endpoint, an operation": "endpoint",
    "granian, ASGI": "granian-asgi",
    "granian, RSGI": "granian-rsgi",
    "granian, RSGI, embedded": "granian-embedded",
}


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """The constant as an ASGI application."""
    if scope["type"] != "http":
        raise RuntimeError(scope["type"])
    while (await receive()).get("more_body"):
        pass
    headers = [(name.encode(), value.encode()) for name, value in HEADERS]
    headers.append((b"content-length", b"%d" % len(ANSWER)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def rsgi(scope: Any, protocol: Any) -> None:
    """The constant in granian's own interface."""
    await protocol()
    protocol.response_bytes(200, list(HEADERS), ANSWER)


def serve(variant: str) -> None:
    """Run one variant on a free port; prints `ready URL`."""
    if variant in {"granian-asgi", "granian-rsgi"}:
        import granian

        port = _free_port()
        target = f"benchmarks.http_servers:{variant.rpartition('-')[2]}"
        _ready(port)
        granian.Granian(
            target, port=port, interface=variant.rpartition("-")[2], websockets=False, log_enabled=False
        ).serve()
        return
    import uvloop

    if variant == "granian-embedded":
        uvloop.run(_granian_embedded())
    elif variant in {"uvicorn-default", "uvicorn-lean"}:
        import uvicorn

        port = _free_port()
        lean: dict[str, Any] = {
            "access_log": False,
            "proxy_headers": False,
            "server_header": False,
            "date_header": False,
        }
        settings = {} if variant == "uvicorn-default" else {**lean, "lifespan": "off", "ws": "none", "log_config": None}
        _ready(port)
        # Nobody reads on after the ready line; the access log must not block on a full pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        uvicorn.run(asgi, port=port, **settings)  # type: ignore[arg-type]
    else:
        uvloop.run(
            {"bare": _bare, "uvicorn-embedded": _embedded, "connection": connection, "endpoint": _endpoint}[variant]()
        )


async def _granian_embedded() -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    port = _free_port()
    server = Server(rsgi, port=port, interface=Interfaces.RSGI, websockets=False, log_enabled=False)
    _ready(port)
    await server.serve()


async def _bare() -> None:
    """What any server on httptools must do, and nothing else: the floor."""
    import httptools

    loop = asyncio.get_running_loop()
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS).encode()

    class Bare(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.parser = httptools.HttpRequestParser(self)

        def data_received(self, data: bytes) -> None:
            self.parser.feed_data(data)

        def on_message_begin(self) -> None:
            self.url, self.body = b"", b""
            self.headers: list[tuple[bytes, bytes]] = []

        def on_url(self, url: bytes) -> None:
            self.url += url

        def on_header(self, name: bytes, value: bytes) -> None:
            self.headers.append((name.lower(), value))

        def on_body(self, body: bytes) -> None:
            self.body += body

        def on_message_complete(self) -> None:
            self.task = loop.create_task(self.answer())

        async def answer(self) -> None:
            length = b"content-length: %d\r\n\r\n" % len(ANSWER)
            self.transport.write(b"".join([b"HTTP/1.1 200 OK\r\n", head, length, ANSWER]))

    await _forever(await loop.create_server(Bare, "127.0.0.1", 0))


async def _embedded() -> None:
    """uvicorn's protocol class in our loop, as it is."""
    from uvicorn.config import Config
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    from uvicorn.server import ServerState

    config, state = Config(asgi, **_CONFIG), ServerState()  # type: ignore[arg-type]
    config.load()
    loop = asyncio.get_running_loop()
    await _forever(await loop.create_server(lambda: HttpToolsProtocol(config, state, {}), "127.0.0.1", 0))


async def connection() -> None:
    """The endpoint's HTTP layer around a constant: what "the same HTTP server" means in the other benchmarks."""
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from lambent.core.clock import SystemClock
    from lambent.server.asgi import Application, Incoming
    from lambent.server.connection import Connection
    from lambent.server.wire import WireResponse

    async def constant(incoming: Incoming) -> WireResponse:
        await incoming.read(1_000_000)
        return WireResponse(status=200, headers=HEADERS, body=ANSWER)

    config, state = Config(Application(constant, SystemClock()), **_CONFIG), ServerState()  # type: ignore[arg-type]
    config.load()
    loop = asyncio.get_running_loop()
    await _forever(await loop.create_server(lambda: Connection(config, state, loop), "127.0.0.1", 0))


async def _endpoint() -> None:
    """Everything between the socket and an operation's handler: gate, claim, routing, parsing, rendering."""
    from pathlib import Path

    from lambent.core.clock import SystemClock
    from lambent.core.config import ServerConfig
    from lambent.core.operations import Operation, Output, Params, RequestContext, Service
    from lambent.server.credentials import Credentials
    from lambent.server.http import Endpoint
    from lambent.server.registry import OperationRegistry

    async def invoke(context: RequestContext, params: Params) -> Output:
        return {"Payload": ANSWER}

    clock, registry = SystemClock(), OperationRegistry()
    enforced = ("FunctionName", "Payload", "InvocationType", "LogType", "Qualifier")
    registry.add(Operation(service=Service(name="lambda"), name="Invoke", handler=invoke, enforced=enforced))
    config = ServerConfig(data=Path(), port=0)
    endpoint = Endpoint(config=config, registry=registry, credentials=Credentials(clock=clock), clock=clock)
    await endpoint.start()
    _ready(endpoint.port)
    await asyncio.Event().wait()


_CONFIG = {
    "interface": "asgi3",
    "loop": "none",
    "ws": "none",
    "lifespan": "off",
    "log_config": None,
    "access_log": False,
    "proxy_headers": False,
}


async def _forever(server: asyncio.Server) -> None:
    _ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _ready(port: int) -> None:
    print(f"ready http://127.0.0.1:{port}", flush=True)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _has_granian(python: str) -> bool:
    check = subprocess.run([python, "-c", "import granian, uvloop"], capture_output=True, check=False)
    return check.returncode == 0


def main() -> None:
    """Measure all variants and print each beside httptools alone."""
    import time

    from benchmarks import harness

    harness.heading("HTTP servers answering a constant to a signed POST")
    granian = os.environ.get("GRANIAN_PYTHON", sys.executable)
    variants = dict(VARIANTS)
    if not _has_granian(granian):
        print("  granian is skipped: it is not installed (name an interpreter that has it in GRANIAN_PYTHON)")
        variants = {name: key for name, key in variants.items() if not key.startswith("granian")}
    loads: dict[tuple[str, int], list[harness.Load]] = {}
    spent_us: dict[tuple[str, int], list[float]] = {}
    with contextlib.ExitStack() as running:
        servers = {}
        for name, key in variants.items():
            python = granian if key.startswith("granian") else sys.executable
            command = [python, "-m", "benchmarks.http_servers", "serve", key]
            servers[name] = running.enter_context(harness.process(command, r"ready (http://\S+)"))
        time.sleep(1.5)  # some of them say ready before they listen
        for _ in range(ROUNDS):
            for connections in (1, 16):
                for name, (process, url) in servers.items():
                    before_s = _processor_s(process)
                    load = harness.wrk(url, connections=connections, seconds=SECONDS, script=SCRIPT)
                    loads.setdefault((name, connections), []).append(load)
                    requests = max(1.0, load.rate * SECONDS)
                    spent_us.setdefault((name, connections), []).append(
                        (_processor_s(process) - before_s) / requests * 1e6
                    )
    for connections in (1, 16):
        floor = statistics.median(spent_us["httptools alone", connections])
        for name in variants:
            runs = loads[name, connections]
            failures = sum(load.failures for load in runs)
            p50 = statistics.median(load.p50_ms for load in runs)
            rate = statistics.median(load.rate for load in runs)
            what = f"{name}, {connections} conn." + (f", {failures} FAILED" if failures else "")
            spent = statistics.median(spent_us[name, connections])
            harness.report(what, spent, "us CPU", floor=floor, floor_is=f"p50 {p50:.3f} ms, {rate:,.0f} req/s here")


def _processor_s(process: Any) -> float:
    """Seconds of processor time of a server and the workers that it has started."""
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        main()
