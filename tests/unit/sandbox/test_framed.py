"""The framed socket against a runtime that the test plays."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core import limits
from lambent.sandbox.framed import FramedTransport, encode_invocation
from lambent.sandbox.lifecycle import RuntimeState
from lambent.sandbox.protocol import Invocation
from lambent.sandbox.session import Session
from tests.unit.sandbox.support import invocation
from tests.unit.sandbox.test_runtime_api import Heard as ApiHeard


class Heard(ApiHeard):
    def runtime_printed(self, data: bytes) -> None:
        self._add("printed", data)

    def runtime_logged(self, message: bytes) -> None:
        self._add("logged", message)


class Runtime:
    """The runtime's end."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.heard = Heard()
        self.session = Session(self.heard)
        self.violations = 0
        self.transport: FramedTransport | None = None

    def violated(self) -> None:
        self.violations += 1

    async def send(self, kind: bytes, body: bytes = b"") -> None:
        await self.raw(kind + len(body).to_bytes(4, "big") + body)

    async def raw(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def running(self) -> FramedTransport:
        assert self.transport is not None
        await self.send(b"R", peak(10))
        await self.heard.wait_for("ready")
        self.transport.deliver(invocation())
        await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        self.heard.events.clear()
        return self.transport


def peak(kib: int) -> bytes:
    return kib.to_bytes(4, "big")


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    one = Runtime(theirs)
    one.transport = await FramedTransport.open(one.session, ours, one.violated)
    yield one
    theirs.close()
    await one.transport.wait_closed()


@given(
    fields=st.tuples(*[st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) for _ in range(5)]),
    context=st.text(st.characters(exclude_categories=["Cs"])),
    payload=st.binary(),
    deadline=st.integers(0, 2**60),
)
def test_invocations(fields: tuple[str, ...], context: str, payload: bytes, deadline: int) -> None:
    request, arn, trace, tenant, identity = fields
    frame = encode_invocation(
        Invocation(
            request_id=request,
            payload=payload,
            invoked_function_arn=arn,
            deadline_ms=deadline,
            timeout_s=1,
            trace_id=trace,
            tenant_id=tenant,
            cognito_identity=identity,
            client_context=context,
        )
    )
    assert frame[:1] == b"I"
    assert int.from_bytes(frame[1:5], "big") == len(frame) - 5
    end = 9 + int.from_bytes(frame[5:9], "big")
    # As the runtime reads it: even a NUL in the client context harms no other field.
    assert frame[9:end].decode().split("\0", 7) == [
        request,
        str(deadline),
        arn,
        trace,
        tenant,
        "application/json",
        identity,
        context,
    ]
    assert frame[end:] == payload


async def test_answer_in_single_bytes(runtime: Runtime) -> None:
    await runtime.running()
    body = peak(4096) + text(b"a/b") + b"result"
    for byte in b"L\0\0\0\3logO\0\0\0\1xA" + len(body).to_bytes(4, "big") + body:
        await runtime.raw(bytes([byte]))
        await asyncio.sleep(0)
    await runtime.heard.wait_for("ready")
    assert runtime.heard.events == [("logged", b"log"), ("printed", b"x"), ("answered", "a/b", b"result"), ("ready",)]
    assert runtime.session.memory_peak_bytes == 4 << 20


async def test_stream(runtime: Runtime) -> None:
    transport = await runtime.running()
    await runtime.send(b"H", text(b"text/html"))
    await runtime.send(b"C", b"one")
    await runtime.heard.wait_for("chunk", b"one")
    assert runtime.session.state is RuntimeState.RESPONSE
    await runtime.send(b"C", b"two")
    await runtime.send(b"Z", peak(1))
    await runtime.heard.wait_for("ready")
    assert runtime.heard.events == [
        ("streams", "text/html"),
        ("chunk", b"one"),
        ("chunk", b"two"),
        ("stream ended",),
        ("ready",),
    ]
    transport.deliver(invocation())


async def test_broken_stream(runtime: Runtime) -> None:
    await runtime.running()
    await runtime.send(b"H", text(b"x"))
    await runtime.send(b"B", peak(1) + text(b"Function.Oops") + b"{}")
    await runtime.heard.wait_for("ready")
    assert runtime.heard.events[1] == ("failed", "Function.Oops", b"{}")


@pytest.mark.parametrize(
    ("frames", "heard"),
    [
        ([(b"A", "typed", b"1")], ("answered", "x", b"1")),
        ([(b"E", "typed", b"{}")], ("failed", "x", b"{}")),
        ([(b"H", "text", b""), (b"Z", "peak", b"")], ("stream ended",)),
        ([(b"H", "text", b""), (b"B", "typed", b"{}")], ("failed", "x", b"{}")),
    ],
)
async def test_answer_of_a_runtime_that_stays_busy(
    runtime: Runtime, frames: list[tuple[bytes, str, bytes]], heard: tuple[object, ...]
) -> None:
    transport = await runtime.running()
    heads = {"typed": peak(1) + text(b"x"), "text": text(b"x"), "peak": peak(1)}
    *before, last = [(kind, heads[head] + body) for kind, head, body in frames]
    for kind, body in before:
        await runtime.send(kind, body)
    await runtime.send(b"K")
    await runtime.send(*last)
    await runtime.heard.wait_for(*heard)
    assert runtime.session.state is RuntimeState.RESPONSE_SENT
    assert ("ready",) not in runtime.heard.events
    await runtime.send(b"R", peak(1))
    await runtime.heard.wait_for("ready")
    # The next answer is an ordinary one again.
    transport.deliver(invocation())
    runtime.heard.events.clear()
    await runtime.send(b"A", peak(1) + text(b"x") + b"2")
    await runtime.heard.wait_for("ready")


async def test_slow_caller_pauses_the_stream(runtime: Runtime) -> None:
    transport = await runtime.running()
    await runtime.send(b"H", text(b"x"))
    runtime.heard.enough = True
    await runtime.send(b"C", b"1")
    await runtime.heard.wait_for("chunk", b"1")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(runtime.raw(b"C\0\x40\0\0" + bytes(0x400000)), 0.3)
    assert sum(event[0] == "chunk" for event in runtime.heard.events) == 1
    transport.resume()


async def test_error_and_init_error(runtime: Runtime) -> None:
    await runtime.send(b"X", text(b"Runtime.X") + b'{"e":1}')
    await runtime.heard.wait_for("init failed", "Runtime.X", b'{"e":1}')


async def test_oversized_results_are_thrown_away(runtime: Runtime) -> None:
    for size in (limits.LAMBDA_RESPONSE_BYTES + 1, 30 << 20):
        await runtime.running()
        await runtime.send(b"A", peak(1) + text(b"x") + bytes(size))
        await runtime.heard.wait_for("ready")
        assert runtime.heard.events[0][:2] == ("failed", "Function.ResponseSizeTooLarge")
        runtime.heard.events.clear()
        await runtime.send(b"L", b"still in step")
        await runtime.heard.wait_for("logged", b"still in step")
        # From ready to ready, for the next round.
        assert runtime.session.state is RuntimeState.READY
        runtime.heard.events.append(("ready",))
        runtime.transport.deliver(invocation())  # type: ignore[union-attr]
        await asyncio.get_running_loop().sock_recv(runtime.sock, 65536)
        await runtime.send(b"A", peak(1) + text(b"x") + b"ok")
        await runtime.heard.wait_for("answered", "x", b"ok")
        return


@pytest.mark.parametrize(
    "frame",
    [
        b"Q\0\0\0\0",  # no such type
        b"A\0\0\0\1x",  # an answer before there is an event
        b"C\0\0\0\1x",  # a chunk of nothing
        b"Z\0\0\0\4\0\0\0\1",
        b"L\xff\xff\xff\xff",  # four gigabytes
        b"X\0\0\0\2\xff\xff",  # a text that runs over
        b"X\0\0\0\3\0\1\xff",  # no UTF-8
        b"E\0\0\0\0",
    ],
)
async def test_violations_end_the_conversation(runtime: Runtime, frame: bytes) -> None:
    await runtime.raw(frame)
    async with asyncio.timeout(5):
        assert await asyncio.get_running_loop().sock_recv(runtime.sock, 10) == b""
    assert runtime.violations == 1


@given(frames=st.lists(st.binary(max_size=30)), cuts=st.lists(st.integers(1, 20)))
async def test_any_bytes_are_survived(frames: list[bytes], cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.setblocking(False)
    session = Session(Heard())
    transport = await FramedTransport.open(session, ours, lambda: None)
    data = b"".join(frames)
    for cut in cuts:
        transport.data_received(data[:cut])
        data = data[cut:]
    transport.data_received(data)
    transport.close()
    await transport.wait_closed()
