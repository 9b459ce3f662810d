"""Killing the queue engine in the middle of everything, with the power staying on and with the power going."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lambent.core.clock import SystemClock
from lambent.queueing.engine import QueueEngine
from lambent.queueing.model import NewMessage, QueueConfig
from lambent.queueing.schema import MIGRATIONS
from lambent.storage import leases, opening
from lambent.storage.database import StorageError

from . import engine_load, power_loss

ROOT = Path(__file__).parents[2]


class Books:
    """What the killed processes said."""

    def __init__(self) -> None:
        self.sent: set[str] = set()
        self.deleting: set[str] = set()
        self.deleted: set[str] = set()

    def note(self, lines: list[str]) -> None:
        for line in lines:
            what, _, body = line.partition(" ")
            {"sent": self.sent, "deleting": self.deleting, "deleted": self.deleted}[what].add(body)


def run_and_kill(
    data: Path, events: int, *options: str, env: Mapping[str, str] | None = None, synchronous: str = "FULL"
) -> list[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.engine_load", str(data), synchronous, *options],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=env or dict(os.environ),
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
        given = [child.stdout.readline() for _ in range(events)]
        child.kill()
        given += child.stdout.readlines()
    child.wait()
    return [line.decode().strip() for line in given if line.endswith(b"\n")]


async def left(data: Path) -> dict[str, list[str]]:
    """The bodies in each queue, in their order. Asserts that the tables, the counts and the files agree."""
    connection = sqlite3.connect(data / "queues.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    found: dict[str, list[str]] = {}
    with leases.hold(data) as held:
        engine = await engine_load.open_engine(data, held, "OFF")
        database = engine._database
        while engine.pending:  # noqa: ASYNC110 - it looks for files that no message has
            await asyncio.sleep(0.001)
        rows = await database.read(
            lambda tx: tx.all(
                "SELECT q.id, b.body, b.file FROM queueing_messages m JOIN queueing_queues q ON q.shard = m.shard "
                "LEFT JOIN queueing_bodies b ON b.id = m.body ORDER BY m.shard, m.seq"
            )
        )
        files = {path.name for path in (data / "bodies").iterdir()}
        assert files == {row["file"] for row in rows if row["file"] is not None}
        for queue_id, body, file in rows:
            whole = body if file is None else (data / "bodies" / file).read_bytes()
            assert file is None or len(whole) == engine_load.FILE_BYTES
            found.setdefault(queue_id, []).append(whole.decode().strip())
        numbers = await database.read(lambda tx: tx.one("SELECT count(*) FROM queueing_bodies"))
        assert numbers is not None
        assert numbers[0] == len(rows)
        for config in (engine_load.DEAD, engine_load.STANDARD, engine_load.FIFO):
            counts = await engine.counts(config)
            assert sum(counts[:3]) == len(found.get(config.id, []))
        await engine.close()
        await database.close()
    return found


def check(books: Books, found: dict[str, list[str]]) -> set[str]:
    """What was acknowledged and is not there. Asserts order, and that nothing deleted came back or is there twice."""
    bodies = [body for queue in found.values() for body in queue]
    assert len(bodies) == len(set(bodies))
    assert not books.deleted & set(bodies)
    for group in "ab":
        numbers = [int(body[2:]) for body in found.get("fifo", []) if body[0] == group]
        assert numbers == sorted(numbers)
    return books.sent - books.deleting - set(bodies)


@pytest.mark.slow
async def test_kill_9_loses_nothing_and_brings_nothing_back(tmp_path: Path) -> None:
    books, chance = Books(), random.Random(3)
    for _ in range(12):
        books.note(run_and_kill(tmp_path / "data", chance.choice([0, 1, 50, chance.randrange(1500)])))
        assert check(books, await left(tmp_path / "data")) == set()
    assert len(books.deleted) > 50


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return power_loss.build_shim(tmp_path_factory.mktemp("shim"))


@pytest.mark.slow
@pytest.mark.parametrize("survivors", ["none", "some"])
async def test_a_power_cut_loses_nothing_and_brings_nothing_back(tmp_path: Path, shim: Path, survivors: str) -> None:
    data, undo = tmp_path / "data", tmp_path / "undo"
    books, chance = Books(), random.Random(5)
    taken_back = 0
    for _ in range(5):
        env = power_loss.environment(shim, data, undo)
        books.note(run_and_kill(data, chance.choice([0, 200, chance.randrange(2500)]), env=env))
        loss = power_loss.lose_power(data, undo, chance=chance if survivors == "some" else None)
        taken_back += loss.writes + loss.names
        assert check(books, await left(data)) == set()
    assert taken_back > 0, "the kills hit nothing unsynced: this shows nothing"
    assert len(books.deleted) > 50


@pytest.mark.slow
async def test_without_sync_a_power_cut_does_lose(tmp_path: Path, shim: Path) -> None:
    """The test above can fail."""
    data, undo = tmp_path / "data", tmp_path / "undo"
    with leases.hold(data) as held:
        engine = await engine_load.open_engine(data, held, "FULL")
        await engine.close()
        await engine._database.close()
    books = Books()
    env = power_loss.environment(shim, data, undo)
    books.note(run_and_kill(data, 300, env=env, synchronous="OFF"))
    power_loss.lose_power(data, undo)
    there = {body for queue in (await left(data)).values() for body in queue}
    assert len(books.sent - books.deleting - there) > 20


async def test_without_directory_sync_a_power_cut_loses_large_bodies(tmp_path: Path, shim: Path) -> None:
    data, undo = tmp_path / "data", tmp_path / "undo"
    with leases.hold(data) as held:
        engine = await engine_load.open_engine(data, held, "FULL")
        await engine.close()
        await engine._database.close()
    env = power_loss.environment(shim, data, undo)
    run_and_kill(data, 300, "no-directory-sync", env=env)
    power_loss.lose_power(data, undo)
    with pytest.raises(AssertionError):
        await left(data)


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB; tests skip where it cannot be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("size", [500, 100_000])
async def test_a_full_disk_refuses_and_recovers(small_disk: Path, size: int) -> None:
    """Whether rows or files find it full: nothing of what was refused is there, all else is, and it goes on."""
    config = QueueConfig(id="q", name="q")
    database = await opening.open_database(small_disk / "queues.db", MIGRATIONS)
    engine = await QueueEngine.open(database, small_disk / "bodies", SystemClock(), file_bytes=50_000)
    await database.run(lambda tx: engine.create(tx, config))
    kept, refused = [], 0
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2_000_000))
    for number in range(20_000):
        body = str(number).encode().ljust(size)
        try:
            await engine.send(config, [NewMessage(body=body)])
        except StorageError:
            refused += 1
            if refused == 3:
                break
        else:
            kept.append(body)
    assert refused == 3
    assert (await engine.counts(config))[:3] == (len(kept), 0, 0)
    with contextlib.suppress(StorageError):
        await engine.receive(config)
    ballast.unlink()
    await engine.send(config, [NewMessage(body=b"after".ljust(size))])
    await engine.close()
    await database.close()
    database = await opening.open_database(small_disk / "queues.db", MIGRATIONS)
    engine = await QueueEngine.open(database, small_disk / "bodies", SystemClock(), file_bytes=50_000)
    rows = await database.read(lambda tx: tx.all("SELECT body, file FROM queueing_bodies ORDER BY id"))
    bodies = [row[0] if row[1] is None else (small_disk / "bodies" / row[1]).read_bytes() for row in rows]
    assert bodies == [*kept, b"after".ljust(size)]
    assert len(list((small_disk / "bodies").iterdir())) == (len(bodies) if size >= 50_000 else 0)
    await engine.close()
    await database.close()
