"""The three places where statements could run, for the measurement behind decision 3. Only `loop` is the product's.

`thread` gives whole units to a writer thread. `process` sends the name and arguments of units that a writer process
knows (closures cannot travel): what is left of that idea when everything else is free.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from lambent.storage import opening, sqlite
from lambent.storage.database import Transaction
from lambent.storage.migrations import Migration

STEPS = (
    Migration(
        room="bench",
        version=1,
        statements=(
            "CREATE TABLE queues (name TEXT PRIMARY KEY, messages INTEGER NOT NULL)",
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, queue TEXT, visible_at INTEGER, body BLOB)",
            "INSERT INTO queues VALUES ('q', 0)",
        ),
    ),
)
BATCH_UNITS = 512


def send(tx: Transaction, body: bytes) -> int:
    """A unit like SendMessage: look the queue up, insert, count."""
    row = tx.one("SELECT messages FROM queues WHERE name = ?", ("q",))
    assert row is not None
    tx.execute("INSERT INTO messages (queue, visible_at, body) VALUES (?, ?, ?)", ("q", 0, body))
    tx.execute("UPDATE queues SET messages = messages + 1 WHERE name = ?", ("q",))
    return int(row[0])


class Variant(Protocol):
    async def send(self, body: bytes) -> int: ...
    async def close(self) -> None: ...


class OnLoop:
    def __init__(self, database: Any) -> None:
        self._database = database

    async def send(self, body: bytes) -> int:
        result: int = await self._database.run(lambda tx: send(tx, body))
        return result

    async def close(self) -> None:
        await self._database.close()


class OnThread:
    """Every statement on one writer thread, in batches of whatever has queued up."""

    def __init__(self, writer: sqlite3.Connection) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[Callable[[Transaction], Any], asyncio.Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    async def send(self, body: bytes) -> int:
        future: asyncio.Future[int] = self._loop.create_future()
        self._queue.put((lambda tx: send(tx, body), future))
        return await future

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < BATCH_UNITS:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    self._queue.put(None)
                    break
                batch.append(following)
            results = run_batch(self._writer, [work for work, _ in batch])
            waiters = [future for _, future in batch]
            self._loop.call_soon_threadsafe(self._tell, waiters, results)

    @staticmethod
    def _tell(waiters: list[asyncio.Future[Any]], results: list[Any]) -> None:
        for waiter, result in zip(waiters, results, strict=True):
            waiter.set_result(result)

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._writer.close()


class InProcess:
    """Every statement in a writer process; batches travel over a socket pair."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.storage_variants", str(path), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._socket = ours
        ours.setblocking(False)
        self._waiting: deque[tuple[bytes, asyncio.Future[int]]] = deque()
        self._event = asyncio.Event()
        self._task = asyncio.create_task(self._pump())

    async def send(self, body: bytes) -> int:
        future: asyncio.Future[int] = self._loop.create_future()
        self._waiting.append((body, future))
        self._event.set()
        return await future

    async def _pump(self) -> None:
        while True:
            await self._event.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_UNITS))]
            message = msgspec.msgpack.encode([body for body, _ in batch])
            await self._loop.sock_sendall(self._socket, struct.pack("<L", len(message)) + message)
            (size,) = struct.unpack("<L", await self._exactly(4))
            results = msgspec.msgpack.decode(await self._exactly(size), type=list[int])
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)
            if not self._waiting:
                self._event.clear()

    async def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await self._loop.sock_recv(self._socket, size - len(data))
        return data

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._socket.close()
        await asyncio.to_thread(self._child.wait)


def run_batch(writer: sqlite3.Connection, units: list[Callable[[Transaction], Any]]) -> list[Any]:
    """What all variants do for a batch, one savepoint a unit."""
    results = []
    writer.execute("BEGIN IMMEDIATE")
    for unit in units:
        writer.execute("SAVEPOINT unit")
        results.append(unit(sqlite.SqliteTransaction(writer)))
        writer.execute("RELEASE unit")
    writer.execute("COMMIT")
    return results


async def open_variant(name: str, path: Path) -> Variant:
    database = await opening.open_database(path, STEPS)
    if name == "loop":
        return OnLoop(database)
    await database.close()
    if name == "thread":
        return OnThread(sqlite.connect(path))
    return InProcess(path)


def serve_batches(path: Path, descriptor: int) -> None:
    """The writer process."""
    writer = sqlite.connect(path)
    with socket.socket(fileno=descriptor) as peer, peer.makefile("rwb") as stream:
        while head := stream.read(4):
            bodies = msgspec.msgpack.decode(stream.read(struct.unpack("<L", head)[0]), type=list[bytes])
            results = run_batch(writer, [lambda tx, body=body: send(tx, body) for body in bodies])  # type: ignore[misc]
            message = msgspec.msgpack.encode(results)
            stream.write(struct.pack("<L", len(message)) + message)
            stream.flush()
    writer.close()


if __name__ == "__main__":
    serve_batches(Path(sys.argv[1]), int(sys.argv[2]))
