from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lambent.core.errors import UserFacingError
from lambent.storage import backup, blobs, leases, opening
from lambent.storage.migrations import Migration

STEPS = [Migration(room="r", version=1, statements=("CREATE TABLE r (n INTEGER PRIMARY KEY, blob TEXT)",))]


async def test_a_running_server_is_copied_in_one_moment(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "backups" / "one"
    with leases.hold(data) as held:
        first = await opening.open_database(data / leases.CONTROL_NAME, STEPS, lease=held.lease)
        second = await opening.open_database(data / "other.db", STEPS)
        packages = blobs.BlobStore(data / "blobs", 1_000_000)
        stop, enough = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            """Each number goes into the second file only after the first has it, its blob before both."""
            n = 0
            while not stop.is_set():
                n += 1
                blob = await packages.put(b"%d" % n)
                for db in (first, second):
                    await db.run(lambda tx, n=n, s=blob.sha256: tx.execute("INSERT INTO r VALUES (?, ?)", (n, s)))  # type: ignore[misc]
                if n == 5:
                    enough.set()

        working = asyncio.create_task(work())
        await enough.wait()
        await backup.backup(target, [first, second], packages)
        stop.set()
        await working
        for db in (first, second):
            await db.close()

    with leases.hold(target) as held:
        assert held.lease.epoch == 2
        numbers = []
        for name in (leases.CONTROL_NAME, "other.db"):
            db = await opening.open_database(target / name, STEPS, lease=held.lease)
            rows = await db.read(lambda tx: tx.all("SELECT n, blob FROM r ORDER BY n"))
            numbers.append([row["n"] for row in rows])
            restored = blobs.BlobStore(target / "blobs", 1_000_000)
            assert all(row["blob"] in restored for row in rows)
            await db.run(lambda tx: tx.execute("INSERT INTO r VALUES (1000000, 'new')"))
            await db.close()
    assert numbers[0] == list(range(1, len(numbers[0]) + 1))
    assert len(numbers[0]) - 1 <= len(numbers[1]) <= len(numbers[0])
    assert len(numbers[1]) >= 4
    assert [path.name for path in target.parent.iterdir()] == ["one"]


async def test_an_empty_target_is_fine_and_another_is_refused(tmp_path: Path) -> None:
    packages = blobs.BlobStore(tmp_path / "blobs", 1000)
    await packages.put(b"x")
    target = tmp_path / "target"
    target.mkdir()
    await backup.backup(target, [], packages)
    assert len(list((target / "blobs").rglob("*"))) == 2
    for taken in (target, tmp_path / "file"):
        if taken != target:
            taken.write_text("")
        with pytest.raises(UserFacingError, match="not an empty directory"):
            await backup.backup(taken, [], packages)
    with pytest.raises(UserFacingError, match="cannot back up"):
        await backup.backup(tmp_path / "file" / "below", [], packages)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "file", "target"]


async def test_deletions_wait_for_a_backup(tmp_path: Path) -> None:
    packages = blobs.BlobStore(tmp_path / "blobs", 1000)
    blob = await packages.put(b"x")
    async with packages.undisturbed():
        deleting = asyncio.create_task(packages.delete(blob.sha256))
        await asyncio.sleep(0)
        assert packages.path(blob.sha256).exists()
        await packages.put(b"y")
    await deleting
    assert blob.sha256 not in packages
