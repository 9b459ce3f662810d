"""The way out of sandboxes: where it leads, and that it does not lead back to this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from lambent.sandbox.isolation import egress, probe
from lambent.sandbox.isolation.launcher import SandboxLauncher
from tests.security.sandbox_attacks import ATTACKS
from tests.unit.sandbox.support import Bench

ELSEWHERE = """
import socket, sys
listener = socket.create_server(("10.213.77.2", 8080))
print("ready", flush=True)
while True:
    accepted, _ = listener.accept()
    data = b""
    while True:
        part = accepted.recv(65536)
        if not part:
            break
        data += part
    accepted.sendall(b"%d bytes from elsewhere" % len(data))
    accepted.close()
"""
TALK = """
import errno, socket
def handler(event, context):
    try:
        sock = socket.create_connection(tuple(event[:2]), timeout=5)
        if len(event) > 2:
            sock.sendall(bytes(event[2]))
            sock.shutdown(socket.SHUT_WR)
        data = b""
        while True:
            part = sock.recv(65536)
            if not part:
                return data.decode()
            data += part
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
"""


@pytest.fixture(scope="module", autouse=True)
def _able() -> None:
    ability = asyncio.run(probe.probe())
    if ability.lack is not None:
        pytest.skip(f"no sandboxes on this machine: {ability.lack.what}")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Another machine, as far as this one can tell: a network namespace behind a pair of interfaces."""
    if shutil.which("ip") is None:
        pytest.skip("needs iproute2")
    name, link = f"lt{os.getpid()}", f"lt{os.getpid()}v"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    ip("netns", "add", name)
    try:
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", "10.213.77.1/30", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", name, "addr", "add", "10.213.77.2/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        command = ["ip", "netns", "exec", name, "python3", "-c", ELSEWHERE]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield "10.213.77.2"
            server.kill()
    finally:
        ip("netns", "del", name)


async def _bench(tmp_path: Path, **options: Any) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, launcher=SandboxLauncher(prepared=0, **options), sandboxed=True)
    yield bench
    await bench.sandbox.close()


@pytest.fixture
async def open_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async for bench in _bench(tmp_path / "on"):
        yield bench


@pytest.fixture
async def closed_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async for bench in _bench(tmp_path / "off", egress=False):
        yield bench


async def test_it_leads_outside_and_carries_both_ways(open_bench: Bench, elsewhere: str) -> None:
    error, answer = await open_bench.call(TALK, [elsewhere, 8080, 3_000_000])
    assert (error, answer) == (None, "3000000 bytes from elsewhere")


async def test_off_is_off(closed_bench: Bench, elsewhere: str) -> None:
    assert await closed_bench.call(TALK, [elsewhere, 8080, 1]) == (None, "ENETUNREACH")


async def test_it_does_not_lead_to_this_machine(open_bench: Bench, elsewhere: str) -> None:
    """Not by loopback, and not by an address that the machine has on another interface."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this machine")
        writer.close()

    async with await asyncio.start_server(answer, "0.0.0.0", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await open_bench.call(TALK, ["127.0.0.1", port]) == (None, "ECONNREFUSED")
        assert await open_bench.call(TALK, ["10.213.77.1", port]) in [(None, "ECONNRESET"), (None, "")]
        assert await open_bench.call(TALK, ["169.254.169.254", 80]) == (None, "ECONNREFUSED")


async def test_without_the_rule_this_machine_would_be_reached(
    open_bench: Bench, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this machine")
        writer.close()

    monkeypatch.setattr(egress.Egress, "forbids", lambda self, address: False)
    async with await asyncio.start_server(answer, "0.0.0.0", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await open_bench.call(TALK, ["10.213.77.1", port]) == (None, "this machine")


async def test_the_sandboxes_own_services_still_answer(open_bench: Bench) -> None:
    """What a function serves for itself on its loopback interface is not carried away."""
    source = (
        "import socket, threading\n"
        "def handler(event, context):\n"
        "    listener = socket.create_server(('127.0.0.1', 8080))\n"
        "    client = socket.create_connection(('127.0.0.1', 8080))\n"
        "    listener.accept()[0].send(b'mine')\n"
        "    return client.recv(10).decode()\n"
    )
    assert await open_bench.call(source) == (None, "mine")


async def test_a_function_cannot_take_the_way_out_apart(open_bench: Bench) -> None:
    """The BPF program belongs to process 1, and the calls that could replace it are refused."""
    error, answer = await open_bench.call(ATTACKS, ["syscall", 321, 0, 0, 0])
    assert (error, answer) == (None, ["refused", "EPERM"])


@pytest.mark.parametrize(
    ("host", "forbidden"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("169.254.169.254", True),
        ("0.0.0.0", True),
        ("0.1.2.3", True),
        ("224.0.0.1", True),
        ("255.255.255.255", True),
        ("240.0.0.1", True),
        ("192.0.2.7", False),
        ("10.0.0.1", False),
        ("1.1.1.1", False),
        ("10.9.9.9", True),
    ],
)
def test_forbidden_addresses(host: str, forbidden: bool) -> None:
    assert egress.is_forbidden(host, lambda address: address == "10.9.9.9") is forbidden


def test_own_addresses() -> None:
    assert egress.is_own("127.0.0.1")
    assert not egress.is_own("192.0.2.7")


def test_name_servers() -> None:
    text = "# c\nnameserver 10.0.0.2\nsearch x\nnameserver fe80::1\nnameserver 127.0.0.53\n"
    assert egress.name_servers(text) == ["10.0.0.2", "127.0.0.53"]
