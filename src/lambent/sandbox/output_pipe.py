"""The pipe that catches what a process writes to its descriptors 1 and 2."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_READ_BYTES = 65536


class OutputPipe:
    """Reads as long as there is something; `write_end` is for the process, `close_write_end` when it has it.

    `read_end` is that of a pipe that a process has already; without it, the pipe is made.
    """

    def __init__(self, on_data: Callable[[bytes], None], read_end: int | None = None) -> None:
        self._on_data = on_data
        self._loop = asyncio.get_running_loop()
        self._read_due: asyncio.Handle | None = None
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC) if read_end is None else (read_end, -1)
        os.set_blocking(self._read_end, False)
        self._loop.add_reader(self._read_end, self._readable)

    def close_write_end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def _readable(self) -> None:
        # Frames that are ready in the same turn of the loop were sent first as a rule: let them be handled first.
        if self._read_due is None:
            self._read_due = self._loop.call_soon(self.drain)

    def drain(self) -> None:
        """Take in what is in the pipe now."""
        if self._read_due is not None:
            self._read_due.cancel()
            self._read_due = None
        while self._read_end >= 0:
            try:
                data = os.read(self._read_end, _READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._close_read_end()
                return
            self._on_data(data)
            if len(data) < _READ_BYTES:
                return

    def _close_read_end(self) -> None:
        if self._read_end >= 0:
            self._loop.remove_reader(self._read_end)
            os.close(self._read_end)
            self._read_end = -1

    def close(self) -> None:
        """Idempotent."""
        self.close_write_end()
        self._close_read_end()
        if self._read_due is not None:
            self._read_due.cancel()
            self._read_due = None
