"""Small clients of two debuggers: debugpy, over the Debug Adapter Protocol, and Node's inspector, over a WebSocket."""

from __future__ import annotations

import base64
import itertools
import json
import os
import socket
import struct
import urllib.request
from collections.abc import Callable
from typing import Any

TIMEOUT_S = 30.0


class _Client:
    """Sends numbered requests and waits for messages; those that nobody waits for are kept."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.stream = self.socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._seen: list[dict[str, Any]] = []

    def next_number(self) -> int:
        return next(self._numbers)

    def receive(self) -> dict[str, Any]:
        raise NotImplementedError

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for message in self._seen:
            if wanted(message):
                self._seen.remove(message)
                return message
        while not wanted(message := self.receive()):
            self._seen.append(message)
        return message

    def close(self) -> None:
        self.stream.close()
        self.socket.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DapClient(_Client):
    """What an editor is to debugpy."""

    def send(self, command: str, **arguments: Any) -> int:
        number = self.next_number()
        request = {"type": "request", "seq": number, "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return number

    def receive(self) -> dict[str, Any]:
        length = 0
        while (line := self.stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            length = int(value) if name == b"Content-Length" else length
        if not length:
            raise EOFError("debugpy has closed the connection")
        message: dict[str, Any] = json.loads(self.stream.read(length))
        return message

    def answer(self, number: int) -> dict[str, Any]:
        message = self.wait_for(lambda one: one["type"] == "response" and one["request_seq"] == number)
        assert message["success"], message
        body: dict[str, Any] = message.get("body", {})
        return body

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self.answer(self.send(command, **arguments))

    def event(self, name: str) -> dict[str, Any]:
        message = self.wait_for(lambda one: one["type"] == "event" and one["event"] == name)
        body: dict[str, Any] = message.get("body", {})
        return body

    def attach(self, local: str, remote: str, file: str, line: int) -> None:
        """As VS Code does: attach, set one breakpoint in `file` of the local folder, let the program go on."""
        self.ask("initialize", clientID="test", adapterID="debugpy", pathFormat="path", linesStartAt1=True)
        attaching = self.send("attach", pathMappings=[{"localRoot": local, "remoteRoot": remote}], justMyCode=True)
        self.event("initialized")
        found = self.ask("setBreakpoints", source={"path": f"{local}/{file}"}, breakpoints=[{"line": line}])
        assert len(found["breakpoints"]) == 1
        self.ask("configurationDone")
        self.answer(attaching)

    def stopped(self) -> tuple[int, int, dict[str, str]]:
        """Thread, line and local variables of the breakpoint that is hit next."""
        thread = self.event("stopped")["threadId"]
        frame = self.ask("stackTrace", threadId=thread)["stackFrames"][0]
        scope = self.ask("scopes", frameId=frame["id"])["scopes"][0]
        variables = self.ask("variables", variablesReference=scope["variablesReference"])["variables"]
        return thread, frame["line"], {one["name"]: one["value"] for one in variables}


class InspectorClient(_Client):
    """What an editor is to Node's inspector."""

    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=TIMEOUT_S) as answer:
            url = json.load(answer)[0]["webSocketDebuggerUrl"]
        address, _, path = url.removeprefix("ws://").partition("/")
        assert address == f"127.0.0.1:{port}", "the URL leads elsewhere"
        super().__init__(port)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /{path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b" 101 " in self.stream.readline()
        while self.stream.readline() != b"\r\n":
            pass

    def send(self, method: str, **params: Any) -> int:
        number = self.next_number()
        data = json.dumps({"id": number, "method": method, "params": params}).encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        # Masked with zeros: the rule is kept, the data stay as they are.
        self.socket.sendall(b"\x81" + size + bytes(4) + data)
        return number

    def receive(self) -> dict[str, Any]:
        first, size = self.stream.read(2)
        assert first == 0x81, "a frame that is not one whole text"
        if size == 126:
            (size,) = struct.unpack(">H", self.stream.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.stream.read(8))
        message: dict[str, Any] = json.loads(self.stream.read(size))
        return message

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = self.send(method, **params)
        message = self.wait_for(lambda one: one.get("id") == number)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def event(self, method: str) -> dict[str, Any]:
        params: dict[str, Any] = self.wait_for(lambda one: one.get("method") == method)["params"]
        return params
