"""A streamed answer on its way to the caller.

A runtime that streams is held up while nobody takes its bytes. When the caller goes away in the middle, the function
runs on to its end as on AWS, so somebody must take the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from lambent.core.tasks import Supervisor
from lambent.sandbox.protocol import InvocationReport, Response, StreamBroken


class StreamedResult:
    """An `InvokeResult` whose body, once left, is read to its end by a task of `tasks`."""

    __slots__ = ("_response", "_source", "_tasks")

    def __init__(self, response: Response, tasks: Supervisor) -> None:
        self._response = response
        self._tasks = tasks
        self._source: AsyncIterator[bytes] | None = None

    @property
    def function_error(self) -> str | None:
        return self._response.function_error

    @property
    def content_type(self) -> str:
        return self._response.content_type

    @property
    def streaming(self) -> bool:
        return True

    async def report(self) -> InvocationReport:
        return await self._response.report()

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.body()])

    async def body(self) -> AsyncIterator[bytes]:
        """The bytes as they come; may be read once. Raises StreamBroken when the answer fails midway."""
        if self._source is not None:
            raise RuntimeError("an answer's body is read once")
        source = self._source = self._response.body()
        pending: asyncio.Task[bytes] | None = None
        complete = False
        try:
            while True:
                # A read that the caller's end would cancel midway would take the source down with it.
                pending = asyncio.ensure_future(_next(source))
                try:
                    chunk = await asyncio.shield(pending)
                except (_End, StreamBroken) as end:
                    complete = True
                    if isinstance(end, StreamBroken):
                        raise
                    return
                pending = None
                yield chunk
        finally:
            if not complete:
                self._tasks.spawn(_drain(source, pending), "drain")

    def abandon(self) -> None:
        """Nobody will ask for the body."""
        if self._source is None:
            self._source = self._response.body()
            self._tasks.spawn(_drain(self._source, None), "drain")


class _End(Exception):
    """The source is exhausted (a task cannot raise StopAsyncIteration's sibling through a future)."""


def _next(source: AsyncIterator[bytes]) -> Coroutine[Any, Any, bytes]:
    async def step() -> bytes:
        try:
            return await anext(source)
        except StopAsyncIteration:
            raise _End from None

    return step()


async def _drain(source: AsyncIterator[bytes], pending: asyncio.Task[bytes] | None) -> None:
    try:
        if pending is not None:
            await pending
        async for _ in source:
            pass
    except (_End, StreamBroken):
        pass
