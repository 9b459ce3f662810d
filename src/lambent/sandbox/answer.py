"""The answer to one event on its way from the runtime to the caller."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from lambent.sandbox.protocol import InvocationReport, StreamBroken

# A stream's producer waits when so much has not been taken by the caller.
HIGH_WATER_BYTES = 256 * 1024


class Answer:
    """Implements `protocol.Response`; the environment fills it in.

    Either `whole` is called once, or `begin` and then `feed` until `finish` or `break_off`. `settle` gives the report.
    """

    def __init__(self, *, on_drained: Callable[[], None]) -> None:
        self.function_error: str | None = None
        self.content_type = "application/json"
        self.streaming = False
        self._on_drained = on_drained
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ended = False
        self._broken: StreamBroken | None = None
        self._discarding = False
        self._news: asyncio.Future[None] | None = None
        self._report: InvocationReport | None = None
        self._reported: asyncio.Future[InvocationReport] | None = None

    # For the environment.

    def whole(
        self, content_type: str, body: bytes, *, function_error: str | None = None, streaming: bool = False
    ) -> None:
        self.content_type = content_type
        self.function_error = function_error
        self.streaming = streaming
        self._chunks.append(body)
        self._ended = True

    def begin(self, content_type: str) -> None:
        self.content_type = content_type
        self.streaming = True

    def feed(self, data: bytes) -> bool:
        """Add to the stream; False when the producer should wait for `on_drained`."""
        if self._discarding or not data:
            return True
        self._chunks.append(data)
        self._waiting_bytes += len(data)
        self._wake()
        return self._waiting_bytes < HIGH_WATER_BYTES

    def finish(self) -> None:
        self._ended = True
        self._wake()

    def break_off(self, error_type: str, error_body: bytes) -> None:
        self._broken = StreamBroken(error_type, error_body)
        self.finish()

    def settle(self, report: InvocationReport) -> None:
        self._report = report
        if self._reported is not None and not self._reported.done():
            self._reported.set_result(report)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # For the caller.

    async def body(self) -> AsyncIterator[bytes]:
        """The bytes as they come, once. Raises StreamBroken when the stream ends with an error."""
        try:
            while True:
                while self._chunks:
                    chunk = self._chunks.popleft()
                    self._took(len(chunk))
                    yield chunk
                if self._ended:
                    break
                self._news = asyncio.get_running_loop().create_future()
                await self._news
        finally:
            # A caller that lost interest must not stop the runtime in the middle of its answer.
            self._discarding = True
            self._chunks.clear()
            self._took(self._waiting_bytes)
        if self._broken is not None:
            raise self._broken

    def _took(self, size_bytes: int) -> None:
        if self.streaming and self._waiting_bytes:
            was_full = self._waiting_bytes >= HIGH_WATER_BYTES
            self._waiting_bytes -= min(size_bytes, self._waiting_bytes)
            if was_full and self._waiting_bytes < HIGH_WATER_BYTES:
                self._on_drained()

    async def read(self) -> bytes:
        if self._ended and self._broken is None and len(self._chunks) == 1:
            return self._chunks.popleft()
        return b"".join([chunk async for chunk in self.body()])

    async def report(self) -> InvocationReport:
        if self._report is not None:
            return self._report
        if self._reported is None:
            self._reported = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._reported)
