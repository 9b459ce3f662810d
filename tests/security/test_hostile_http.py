"""Clients that speak HTTP badly on purpose, or better than the server does: on raw sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambent.server import connection
from tests.api.endpoint_server import ServedEndpoint
from tests.api.test_endpoint_http import Answer, connect, head, invoke

UPGRADE = ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
HEALTH = head("GET", "/_lambent/health", signed=False)
LAST = head("GET", "/_lambent/health", "Connection: close", signed=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedEndpoint]:
    with ServedEndpoint(tmp_path_factory.mktemp("hostile")) as running:
        yield running


def everything(sock: socket.socket) -> bytes:
    """What comes until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            received += data
    return received


def test_trailers_do_not_become_headers(server: ServedEndpoint) -> None:
    body = b"2\r\n{}\r\n0\r\nHost: evil.example\r\nX-Trailer: 1\r\n\r\n"
    with connect(server) as sock:
        sock.sendall(invoke("echo", "Transfer-Encoding: chunked") + body)
        assert Answer(sock).status == 200
    assert "x-trailer" not in server.toys.contexts[-1].headers


@pytest.mark.parametrize("trailer", [b"X-%d: " + b"t" * 900 + b"\r\n", b"t" * 900])
def test_trailers_without_end(server: ServedEndpoint, trailer: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(invoke("echo", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\nX: 1\r\n")
        with contextlib.suppress(ConnectionError):
            for number in range(10_000):
                sock.sendall(trailer % number if b"%d" in trailer else trailer)
            pytest.fail("the server took 9 MB of trailers")
        # The reset may have overtaken the answer.
        assert everything(sock)[:12] in (b"", b"HTTP/1.1 400")


def test_a_body_of_small_chunks_is_not_taken_for_trailers(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(invoke("echo", "Transfer-Encoding: chunked"))
        for _ in range(40):
            sock.sendall(b"1;" + b"e" * 4000 + b"\r\n7\r\n")
        sock.sendall(b"0\r\n\r\n")
        assert Answer(sock).body == b"7" * 40


@pytest.mark.parametrize("framing", ["Content-Length: 7", "Transfer-Encoding: chunked"])
def test_an_offer_to_upgrade_is_passed_over(server: ServedEndpoint, framing: str) -> None:
    """As Java's HTTP client and `curl --http2` make it with every first request."""
    body = b'{"a":1}' if framing.startswith("Content") else b'7\r\n{"a":1}\r\n0\r\n\r\n'
    with connect(server) as sock:
        sock.sendall(invoke("echo", framing, *UPGRADE) + body)
        assert Answer(sock).body == b'{"a":1}'
        sock.sendall(invoke("echo", framing, *UPGRADE))
        sock.sendall(body)
        assert Answer(sock).body == b'{"a":1}'
        sock.sendall(HEALTH)
        assert Answer(sock).status == 200


def test_many_pipelined_offers_to_upgrade(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(head("GET", "/_lambent/health", *UPGRADE, signed=False) * 2000 + LAST)
        assert everything(sock).count(b"HTTP/1.1 200 OK\r\n") == 2001


def test_many_pipelined_requests(server: ServedEndpoint) -> None:
    """More than a head may have, in one piece."""
    with connect(server) as sock:
        sock.sendall(HEALTH * 5000 + LAST)
        assert everything(sock).count(b"HTTP/1.1 200 OK\r\n") == 5001


def test_connect_is_refused(server: ServedEndpoint) -> None:
    with connect(server) as sock:
        sock.sendall(head("CONNECT", "localhost:22", signed=False) + HEALTH)
        assert Answer(sock).status == 400
        assert everything(sock) == b""


def test_a_body_that_stops_coming_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_PAUSE_S", 0.2)
    with ServedEndpoint(tmp_path) as server:
        with connect(server) as sock:
            sock.sendall(invoke("echo", "Content-Length: 100") + b"half")
            assert everything(sock) == b""
        with connect(server) as sock:
            # Answered before its end: the connection is not kept for the rest for ever.
            sock.sendall(invoke("echo", "Content-Length: 900000") + b"half")
            assert Answer(sock).status == 413
            sock.sendall(b"more")
            assert everything(sock) == b""
        with connect(server) as sock:
            # A slow answer is no slow body.
            sock.sendall(invoke("wait", "Content-Length: 1") + b"7")
            assert server.toys.waiting.wait(10)
            sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            server.loop.call_soon_threadsafe(server.toys.release.set)
            sock.settimeout(20)
            assert Answer(sock).body == b"7"


def test_a_stranger_s_body_is_not_read(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("AKIA secret 123456789012\n")
    keys.chmod(0o600)
    with ServedEndpoint(tmp_path, auth_file=keys) as server, connect(server) as sock:
        sock.sendall(invoke("echo", "Content-Length: 100000", "Expect: 100-continue"))
        answer = Answer(sock)
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "UnrecognizedClientException")
