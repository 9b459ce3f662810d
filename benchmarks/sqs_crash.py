"""`python -m benchmarks.sqs_crash [KILLS]`: the crash test of SQS, as many kills as one likes (1,000 by default)."""

from __future__ import annotations

import random
import sys
import time

from lambent.testing.server import ServerProcess
from tests.crash.sqs_load import Load

KILLS = 1000


def main(kills: int = KILLS) -> None:
    started = time.monotonic()
    with ServerProcess("--log-level", "warning") as server:
        load = Load(server)
        load.create()
        for number in range(1, kills + 1):
            load.hammer(random.uniform(0.05, 0.8))
            server.start()
            if number % 50 == 0 or number == kills:
                books = load.books
                print(
                    f"  {number} kills: {len(books.acknowledged)} acknowledged, {len(books.received)} received, "
                    f"{len(books.deleted_at)} deleted, {len(books.faults)} faults",
                    flush=True,
                )
        load.drain(timeout_s=600)
        losses = load.losses()
    print(f"  {kills} kills in {time.monotonic() - started:.0f} s: {len(losses)} losses")
    if losses:
        sys.exit("\n".join(losses[:50]))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
