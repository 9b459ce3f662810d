"""Lambent with tracemalloc for `soak --trace`: SIGUSR1 prints what has grown since the SIGUSR1 before, by line."""

from __future__ import annotations

import gc
import signal
import tracemalloc
from types import FrameType

from lambent.cli import main

_LINES = 25


class Growth:
    """The signal's handler; remembers the last snapshot."""

    def __init__(self) -> None:
        self._before: tracemalloc.Snapshot | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        gc.collect()
        now = tracemalloc.take_snapshot()
        if self._before is not None:
            for difference in now.compare_to(self._before, "lineno")[:_LINES]:
                print(difference, flush=True)
            size, peak = tracemalloc.get_traced_memory()
            print(f"traced {size / 1e6:.1f} MB, peak {peak / 1e6:.1f} MB", flush=True)
        self._before = now


if __name__ == "__main__":
    tracemalloc.start(1)
    signal.signal(signal.SIGUSR1, Growth())
    main()
