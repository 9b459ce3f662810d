"""The endpoint as an HTTP server, on raw sockets: bodies, keep-alive, lost clients, shutdown."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambent.core.errors import UserFacingError
from lambent.server import connection, http
from lambent.server.wire import WireResponse
from tests.api.endpoint_server import ServedEndpoint

SIGNED = (
    "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
    "SignedHeaders=host, Signature=00\r\n"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServedEndpoint]:
    with ServedEndpoint(tmp_path) as running:
        yield running


@contextlib.contextmanager
def connect(server: ServedEndpoint) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.endpoint.port), timeout=20) as sock:
        yield sock


def head(method: str, path: str, *lines: str, signed: bool = True) -> bytes:
    more = "".join(line + "\r\n" for line in lines)
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{SIGNED if signed else ''}{more}\r\n".encode()


def invoke(name: str, *lines: str) -> bytes:
    return head("POST", f"/2015-03-31/functions/{name}/invocations", *lines)


class Answer:
    """One response read from a socket."""

    def __init__(self, sock: socket.socket, *, bodiless: bool = False) -> None:
        self._file = sock.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers: dict[str, str] = {}
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.body = b""
        if not bodiless and "content-length" in self.headers:
            self.body = self._file.read(int(self.headers["content-length"]))


def test_keep_alive_and_pipelining(server: ServedEndpoint) -> None:
    request = head("GET", "/_lambent/health", signed=False)
    with connect(server) as sock:
        file = sock.makefile("rb")
        sock.sendall(request * 3)
        for _ in range(3):
            assert file.readline() == b"HTTP/1.1 200 OK\r\n"
            lines = dict(line.decode().rstrip().split(": ", 1) for line in iter(file.readline, b"\r\n"))
            assert json.loads(file.read(int(lines["content-length"])))["status"] == "ok"


def test_head(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(head("HEAD", "/_lambent/health", signed=False))
        answer = Answer(sock, bodiless=True)
        assert (answer.status, int(answer.headers["content-length"]) > 0) == (200, True)
        sock.sendall(head("GET", "/_lambent/health", signed=False))
        assert Answer(sock).status == 200


def test_prefix_routes(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(head("GET", "/_lambent/files/a%2Fb/c?x=1", signed=False))
        assert json.loads(Answer(sock).body)["rest"] == "a%2Fb/c"
        sock.sendall(head("GET", "/_lambent/nowhere", signed=False))
        answer = Answer(sock)
        assert (answer.status, json.loads(answer.body)["__type"]) == (404, "ResourceNotFoundException")


def test_chunked_request_body(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(invoke("echo", "Transfer-Encoding: chunked") + b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n')
        answer = Answer(sock)
        assert (answer.status, answer.body) == (200, b'{"a":1}')


def test_expect_continue(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(invoke("echo", "Content-Length: 2", "Expect: 100-continue"))
        file = sock.makefile("rb")
        assert file.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert file.readline() == b"\r\n"
        sock.sendall(b"{}")
        assert file.readline() == b"HTTP/1.1 200 OK\r\n"


def test_expect_continue_is_not_granted_to_a_body_over_the_limit(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(invoke("echo", "Content-Length: 900000", "Expect: 100-continue"))
        answer = Answer(sock)
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert sock.recv(1) == b""


@pytest.mark.parametrize("framing", ["Content-Length: 900000", "Transfer-Encoding: chunked"])
def test_connection_survives_a_body_over_the_limit(server: ServedEndpoint, framing: str) -> None:
    body = b"x" * 900_000
    if framing.startswith("Transfer"):
        body = b"".join(
            b"%x\r\n%s\r\n" % (len(body[i : i + 9000]), body[i : i + 9000]) for i in range(0, 900_000, 9000)
        )
        body += b"0\r\n\r\n"
    with connect(server) as sock:
        sock.sendall(invoke("echo", framing) + body)
        assert Answer(sock).status == 413
        sock.sendall(invoke("echo", "Content-Length: 4") + b"true")
        assert Answer(sock).body == b"true"


def _wait_until_in_flight(server: ServedEndpoint, wanted: int) -> None:
    deadline = time.monotonic() + 10
    while server.endpoint.in_flight != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.endpoint.in_flight == wanted


def test_a_lost_client_cancels_the_handler(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(invoke("wait", "Content-Length: 2") + b"{}")
        assert server.toys.waiting.wait(10)
        assert server.endpoint.in_flight == 1
    assert server.toys.cancelled.wait(10)


def test_a_client_that_leaves_in_the_middle_of_its_body(
    server: ServedEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(server) as sock:
        sock.sendall(invoke("echo", "Content-Length: 100") + b"half")
        with connect(server) as other:
            other.sendall(head("GET", "/_lambent/health", signed=False))
            Answer(other)
        _wait_until_in_flight(server, 1)  # the other's request is over, ours is not
    _wait_until_in_flight(server, 0)
    assert not server.toys.params
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_stream_waits_for_its_reader_and_ends_with_it(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(head("GET", "/_lambent/endless", signed=False))
        assert sock.recv(12) == b"HTTP/1.1 200"
        # The socket's buffers fill up; then the generator must stand still.
        before = -1
        deadline = time.monotonic() + 20
        while before != server.toys.streamed and time.monotonic() < deadline:
            before = server.toys.streamed
            time.sleep(0.3)
        assert server.toys.streamed == before
        assert before * 65536 < 64 * 1024 * 1024
        assert not server.toys.closed.is_set()
    assert server.toys.closed.wait(10)


def test_a_stream_that_breaks_is_seen_to_be_incomplete(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(head("GET", "/_lambent/breaks", signed=False))
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(4096):
                received += data
    assert b"0\r\n\r\n" not in received
    assert b"secret" not in received


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"not http\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * connection.MAX_HEAD_BYTES,
    ],
)
def test_what_is_not_http_gets_400_and_the_door(server: ServedEndpoint, request_bytes: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(request_bytes)
        assert Answer(sock).status == 400
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""


@pytest.mark.parametrize("path", ["/2015-03-31/functions/%FF/invocations", "/2015-03-31/nothing", "/%zz", "//", "*"])
def test_odd_paths_are_answered(server: ServedEndpoint, path: str) -> None:
    with connect(server) as sock:
        sock.sendall(head("POST", path, "Content-Length: 0"))
        answer = Answer(sock)
        assert 400 <= answer.status < 500
        assert "x-amzn-requestid" in answer.headers


def test_half_a_head_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.2)
    with ServedEndpoint(tmp_path) as server, connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert sock.recv(1) == b""


def test_an_idle_connection_is_closed_and_a_used_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "KEEP_ALIVE_S", 0.3)
    with ServedEndpoint(tmp_path) as server, connect(server) as sock:
        started_s = time.monotonic()
        while time.monotonic() - started_s < 0.6:  # longer than the limit, but never idle for as long
            sock.sendall(head("GET", "/_lambent/health", signed=False))
            assert Answer(sock).status in {200, 404}
        assert sock.recv(1) == b""


@pytest.mark.parametrize(
    ("name", "value"), [("x-a", "b\r\nx-c: d"), ("x-a: b\r\nx-c", "d"), ("x a", "b"), ("x-a", "b\x00")]
)
def test_no_header_gets_out_that_would_be_another(tmp_path: Path, name: str, value: str) -> None:
    with ServedEndpoint(tmp_path) as server, connect(server) as sock:

        async def answer(_: object) -> WireResponse:
            return WireResponse(status=200, headers=[(name, value)], body=b"body")

        server.endpoint.add_route("GET", "/_lambent/odd", answer, anonymous=True)
        sock.sendall(head("GET", "/_lambent/odd", signed=False))
        assert sock.recv(1) == b""


def test_shutdown_finishes_what_is_under_way(tmp_path: Path) -> None:
    with ServedEndpoint(tmp_path) as server, connect(server) as busy, connect(server) as idle:
        idle.sendall(head("GET", "/_lambent/health", signed=False))
        Answer(idle)
        busy.sendall(invoke("wait", "Content-Length: 1") + b"7")
        assert server.toys.waiting.wait(10)
        port = server.endpoint.port
        stopping = threading.Thread(target=lambda: server.run(lambda: server.endpoint.stop(20.0)))
        stopping.start()
        assert idle.recv(1) == b""  # an idle keep-alive connection ends at once
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        server.loop.call_soon_threadsafe(server.toys.release.set)
        answer = Answer(busy)
        assert (answer.status, answer.body, answer.headers["connection"]) == (200, b"7", "close")
        stopping.join(10)
        assert not stopping.is_alive()


def test_shutdown_cuts_off_what_takes_too_long(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ServedEndpoint(tmp_path) as server, connect(server) as busy:
        busy.sendall(invoke("wait", "Content-Length: 1") + b"7")
        assert server.toys.waiting.wait(10)
        server.run(lambda: server.endpoint.stop(0.1))
        assert server.toys.cancelled.wait(10)
        with contextlib.suppress(ConnectionError):
            assert busy.recv(1) == b""
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_taken_port_is_one_clear_line(server: ServedEndpoint, tmp_path: Path) -> None:
    port = server.endpoint.port
    other = ServedEndpoint(tmp_path, port=port)
    with pytest.raises(UserFacingError) as caught, other:
        pass
    assert str(caught.value) == (
        f"Port {port} on 127.0.0.1 is taken: stop what listens there, or choose another with --port"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_beyond_loopback_needs_an_auth_file(tmp_path: Path, host: str) -> None:
    other = ServedEndpoint(tmp_path, host=host)
    with pytest.raises(UserFacingError, match="give --auth FILE"), other:
        pass
