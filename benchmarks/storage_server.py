"""An HTTP server that stores each request's body in one unit of work.

    python -m benchmarks.storage_server VARIANT DATABASE WORK

WORK rounds of `interpret` precede each unit, standing for the parsing and checking of an AWS request.
`GET /lag` tells how late a 1 ms timer of the loop came, in milliseconds: how long anybody held it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks import storage_variants


class App:
    def __init__(self, variant: storage_variants.Variant | None, work: int) -> None:
        self._variant = variant
        self._work = work
        self._lags_ms: list[float] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "GET":
            ordered = sorted(self._lags_ms)
            answer = json.dumps({"p99": ordered[int(len(ordered) * 0.99)], "max": ordered[-1]}).encode()
        else:
            message = await receive()
            interpret(self._work)
            answer = b"0" if self._variant is None else b"%d" % await self._variant.send(message["body"])
        length = b"%d" % len(answer)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": answer})

    async def watch_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.001
            await asyncio.sleep(0.001)
            self._lags_ms.append((loop.time() - due) * 1000)


def interpret(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        total += number % 7
    return total


def rounds_per_us() -> float:
    """How much of `interpret` this machine does in a microsecond."""
    started = time.perf_counter()
    interpret(200_000)
    return 200_000 / (time.perf_counter() - started) / 1e6


async def main(name: str, path: Path, work: int) -> None:
    variant = None if name == "floor" else await storage_variants.open_variant(name, path)
    app = App(variant, work)
    watching = asyncio.create_task(app.watch_lag())
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="off", log_level="error", access_log=False)
    print(f"ready http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])
    watching.cancel()
    if variant is not None:
        await variant.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
