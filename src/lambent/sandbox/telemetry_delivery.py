"""Bringing events to one subscriber: collected as its subscription says, over HTTP or TCP, in order.

A subscriber that does not keep up, or cannot be reached, loses events, and is told how many (platform.logsDropped).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httptools
import msgspec

from lambent.core.clock import Clock
from lambent.sandbox.platform_lines import timestamp
from lambent.sandbox.telemetry_subscription import Subscription

log = logging.getLogger("lambent.sandbox")

# A connection to a port of the environment's own loopback interface. Raises OSError.
Connect = Callable[[int], Awaitable[socket.socket]]

# How much more than one delivery may wait.
_WAITING_DELIVERIES: Final = 4
_RETRY_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_READ_BYTES: Final = 65536
_FELL_BEHIND: Final = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."
_UNREACHABLE: Final = "Consumer could not be reached or did not accept logs."


def encode(now_s: float, kind: str, record: Any) -> bytes:
    """One event as JSON."""
    return msgspec.json.encode({"time": timestamp(now_s), "type": kind, "record": record})


class _Refused(Exception):
    """The subscriber did not answer with success."""


class Delivery:
    """Events on their way to one subscriber."""

    def __init__(self, subscription: Subscription, connect: Connect, clock: Clock) -> None:
        self._clock = clock
        self.subscription = subscription
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._events: list[bytes] = []
        self._size_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._dropped: dict[str, tuple[int, int]] = {}  # events and bytes, by reason
        self._flushing = False
        self._stream: socket.socket | None = None  # TCP's one connection
        self._closed = False

    def add(self, event: bytes) -> None:
        """Queue an event; never waits."""
        if self._closed:
            return
        subscription = self.subscription
        if (
            self._size_bytes + len(event) > _WAITING_DELIVERIES * subscription.max_bytes
            or len(self._events) >= _WAITING_DELIVERIES * subscription.max_items
        ):
            self._drop(_FELL_BEHIND, [event])
            return
        self._events.append(event)
        self._size_bytes += len(event)
        if self._task is not None:
            return
        if self._full:
            self._deliver_now()
        elif self._timer is None:
            self._timer = self._loop.call_later(subscription.timeout_s, self._deliver_now)

    @property
    def _full(self) -> bool:
        return self._size_bytes >= self.subscription.max_bytes or len(self._events) >= self.subscription.max_items

    async def flush(self) -> None:
        """Deliver all that is here; returns when that is done or cannot be."""
        self._flushing = True
        try:
            while not self._closed and (self._events or self._dropped or self._task is not None):
                if self._task is None:
                    self._deliver_now()
                if self._task is not None:
                    await asyncio.wait([self._task])
        finally:
            self._flushing = False

    def _deliver_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and not self._closed:
            self._task = self._loop.create_task(self._deliver())
            self._task.add_done_callback(self._delivered)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if self._closed or self._flushing or task.cancelled() or not self._events:
            return
        if self._full:
            self._deliver_now()
        else:
            self._timer = self._loop.call_later(self.subscription.timeout_s, self._deliver_now)

    async def _deliver(self) -> None:
        batch = self._take()
        for wait_s in (*_RETRY_S, None):
            try:
                await self._send(batch)
            except (OSError, _Refused, httptools.HttpParserError) as error:
                if wait_s is None:
                    log.debug("telemetry is dropped: %s", error)
                    self._drop(_UNREACHABLE, batch)
                    return
                await self._clock.sleep(wait_s)
            else:
                return

    def _take(self) -> list[bytes]:
        """The next delivery: no more events and bytes than were asked for, but one at least."""
        batch = [self._logs_dropped(reason, *counts) for reason, counts in self._dropped.items()]
        self._dropped.clear()
        size_bytes, count = 0, 0
        for event in self._events[: self.subscription.max_items]:
            if count and size_bytes + len(event) > self.subscription.max_bytes:
                break
            size_bytes += len(event)
            count += 1
        batch += self._events[:count]
        del self._events[:count]
        self._size_bytes -= size_bytes
        return batch

    def _drop(self, reason: str, events: list[bytes]) -> None:
        count, size_bytes = self._dropped.get(reason, (0, 0))
        self._dropped[reason] = (count + len(events), size_bytes + sum(map(len, events)))

    def _logs_dropped(self, reason: str, count: int, size_bytes: int) -> bytes:
        record = {"reason": reason, "droppedRecords": count, "droppedBytes": size_bytes}
        return encode(self._clock.now(), "platform.logsDropped", record)

    async def _send(self, batch: list[bytes]) -> None:
        if self.subscription.protocol == "TCP":
            if self._stream is None:
                self._stream = await self._connect(self.subscription.port)
            try:
                await self._loop.sock_sendall(self._stream, b"".join(event + b"\n" for event in batch))
            except OSError:
                self._close_stream()
                raise
            return
        with contextlib.closing(await self._connect(self.subscription.port)) as sock:
            body = b"[" + b",".join(batch) + b"]"
            head = (
                f"{self.subscription.method} {self.subscription.path} HTTP/1.1\r\n"
                f"Host: {self.subscription.host}:{self.subscription.port}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            await self._loop.sock_sendall(sock, head.encode() + body)
            status = await self._status(sock)
            if not 200 <= status < 300:
                raise _Refused(f"status {status}")

    async def _status(self, sock: socket.socket) -> int:
        """The status of the answer, once all of it is here."""
        answer = _AnswerEnd()
        parser = httptools.HttpResponseParser(answer)
        while not answer.over:
            data = await self._loop.sock_recv(sock, _READ_BYTES)
            if not data:
                if not answer.begun:
                    raise _Refused("no answer")
                break
            parser.feed_data(data)
        return int(parser.get_status_code())

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        """Give up; what is not delivered is lost. Idempotent."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            # The socket of a delivery under way is closed by its own task.
            self._task.cancel()
        self._close_stream()


class _AnswerEnd:
    """For httptools: whether the answer's head, and all of it, has come."""

    def __init__(self) -> None:
        self.begun = False
        self.over = False

    def on_headers_complete(self) -> None:
        self.begun = True

    def on_message_complete(self) -> None:
        self.over = True
