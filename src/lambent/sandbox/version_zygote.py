"""SnapStart's snapshot of a published version: its runtime, initialised once, that environments are forked from.

It lives in a cell of its own, is never invoked, and is stopped whenever it is not being forked. Environments that were
forked from it may end after it was dropped, so it is closed with the last of them: their processes lie below its own.
"""

from __future__ import annotations

import asyncio
import marshal
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from lambent.sandbox import failures
from lambent.sandbox.failures import Failure
from lambent.sandbox.framed import FramedTransport
from lambent.sandbox.generation import Generation
from lambent.sandbox.initialisation import InitError, Initialisation, Parts
from lambent.sandbox.launcher import RUNTIME, Cell, Exit, describe_exit, describe_start_error

NOT_SNAPSHOTTABLE: Final = "Lambent.NotSnapshottable"
VARIABLE: Final = "_LAMBENT_SNAPSHOT"
# Libraries whose pools of threads would keep a process from being forked; a function's own values take precedence.
POOL_SIZES: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# A version that is being restored often is not stopped in between.
_STOP_AFTER_S: Final = 0.25
_END_S: Final = 5.0
_MARSHAL_VERSION: Final = 2


class VersionZygote:
    """Hears its own process (`generation.GenerationListener`), and forks it on request (`launcher.RestoreSource`)."""

    def __init__(self, parts: Parts, *, on_closed: Callable[[], None]) -> None:
        self._parts = parts
        self._on_closed = on_closed
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._init: Initialisation | None = None
        self._generation: Generation | None = None
        self._channel: socket.socket | None = None
        self._stopped = False
        self._stop_timer: asyncio.TimerHandle | None = None
        self._users = 0
        self._dropped = False
        self.lack = ""  # why it cannot be forked

    @property
    def cell(self) -> Cell:
        return self._parts.cell

    @property
    def ready(self) -> bool:
        """Whether environments can be forked from it."""
        return self._channel is not None and not self._dropped

    async def initialise(self) -> InitError | None:
        """Run the function's init and its before-snapshot hooks. The error when they fail.

        Afterwards it is `ready`, or `lack` says what the function does that forbids forking it.
        """
        parts = self._parts
        parts.log.write(parts.plan.warnings)
        init = self._init = Initialisation(parts, "init", self)
        generation = self._generation = init.generation
        if generation is not None:
            generation.ended.add_done_callback(lambda ended: self._ended(ended.result()))
        try:
            async with asyncio.timeout(parts.time_limit_s):
                error = await init.run()
        except TimeoutError:
            await self._end()
            error = init.timed_out()
        finally:
            self._init = None
            parts.log.flush()
        if error is not None and error.error_type == NOT_SNAPSHOTTABLE:
            self.lack = (error.body or b"").decode("utf-8", "replace")
            return None
        if error is None:
            self._begin_serving()
        return error

    def _begin_serving(self) -> None:
        generation = self._generation
        assert generation is not None
        assert generation.runtime is not None
        transport = generation.runtime.transport
        assert isinstance(transport, FramedTransport)
        self._channel = transport.duplicate()
        self._parts.cell.watch(False)
        self._parts.cell.release()
        self._stop()

    # launcher.RestoreSource

    def ask(self, message: tuple[Any, ...], descriptors: Sequence[int]) -> None:
        """Fork. Raises OSError when the process is not there any more."""
        if self._channel is None:
            raise ConnectionResetError("the version's initialised process has ended")
        if self._stopped:
            self._stopped = False
            self._parts.cell.signal(RUNTIME, signal.SIGCONT)
        data = marshal.dumps(message, _MARSHAL_VERSION)
        data = len(data).to_bytes(4, "big") + data
        sent = socket.send_fds(self._channel, [data], list(descriptors))
        if sent < len(data):  # so much is unread that the process must be stuck
            raise BlockingIOError("the version's initialised process does not take requests")
        if self._stop_timer is not None:
            self._stop_timer.cancel()
        self._stop_timer = self._loop.call_later(_STOP_AFTER_S, self._stop)

    def _stop(self) -> None:
        self._stop_timer = None
        if self._channel is not None:
            self._stopped = True
            self._parts.cell.signal(RUNTIME, signal.SIGSTOP)

    # Its life.

    def take(self) -> None:
        """An environment is being forked from it."""
        self._users += 1

    def give_back(self) -> None:
        """One of those has ended."""
        self._users -= 1
        self._close_if_unused()

    def drop(self) -> None:
        """Fork no more. It ends with the last environment that was forked from it."""
        self._dropped = True
        self._lose_channel()
        self._close_if_unused()

    def close(self) -> None:
        """End it, and every environment that was forked from it."""
        if self.closed:
            return
        self.closed = True
        self._lose_channel()
        self._parts.cell.close()
        if self._generation is not None:
            self._generation.close()
        self._parts.log.end_lines()
        self._parts.log.flush()
        self._on_closed()

    def _close_if_unused(self) -> None:
        if self._dropped and not self._users:
            self.close()

    def _lose_channel(self) -> None:
        if self._stop_timer is not None:
            self._stop_timer.cancel()
            self._stop_timer = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def _end(self) -> None:
        if self._generation is not None:
            self._generation.end("timeout")
            await asyncio.wait([self._generation.ended], timeout=_END_S)

    def _ended(self, how: Exit | None) -> None:
        self._generation = None
        self._lose_channel()
        if self._init is not None and self._init.undecided:
            self._init.ended(self._explain(how))
        self._parts.log.end_lines()
        self._parts.log.flush()

    def _explain(self, how: Exit | None) -> Failure:
        if how is not None and how.errno:
            return failures.cannot_execute(self._parts.plan.entrypoint, describe_start_error(how.errno))
        return failures.exited("signal: killed" if how is None else describe_exit(how))

    # generation.GenerationListener: what the process does.

    def runtime_ready(self) -> None:
        if self._init is not None and self._init.runtime_ready():
            self._init.settle()

    def runtime_init_failed(self, error_type: str, body: bytes) -> None:
        if self._init is not None:
            self._init.runtime_failed(error_type, body)

    def runtime_printed(self, data: bytes) -> None:
        self._parts.log.printed(data)

    def runtime_piped(self, data: bytes) -> None:
        self._parts.log.piped(data)

    def runtime_logged(self, message: bytes) -> None:
        self._parts.log.record(message)

    def runtime_lost(self, how: Exit) -> None:
        return

    def runtime_answered(self, content_type: str, body: bytes) -> None:
        return  # it has no events

    def runtime_failed(self, error_type: str, body: bytes) -> None:
        return

    def runtime_streams(self, content_type: str) -> None:
        return

    def runtime_chunk(self, data: bytes) -> bool:
        return True

    def runtime_stream_ended(self) -> None:
        return

    def extension_changed(self) -> None:
        return  # it has no external ones; internal ones register anew in each environment

    def extension_failed(self, name: str, failure: Failure) -> None:
        return

    def extension_printed(self, name: str, data: bytes) -> None:
        return

    def extension_ended(self, name: str) -> None:
        return
