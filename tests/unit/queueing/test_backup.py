from __future__ import annotations

import asyncio
from pathlib import Path

from lambent.storage import backup, blobs

from .conftest import Bench


async def test_a_backup_has_the_body_of_every_message(bench: Bench, tmp_path: Path) -> None:
    q = await bench.create(visibility_timeout_s=0)
    stop = asyncio.Event()

    async def work() -> None:
        while not stop.is_set():
            await bench.send(q, "x" * 2000, "small")
            found = await bench.engine.receive(q, limit=3)
            await bench.engine.delete_messages(q.id, [each.handle for each in found[:2]])

    await bench.send(q, *["y" * 2000] * 20)
    working = asyncio.create_task(work())
    target = tmp_path / "copy"
    packages = blobs.BlobStore(tmp_path / "blobs", 1000)
    await backup.backup(target, [bench.database], packages, folders=[bench.engine.bodies])
    stop.set()
    await working
    copy = await Bench(target).open()
    copied = sum(await copy.counts(q))
    assert copied >= 20
    found = []
    while len(found) < copied:
        found += await copy.bodies(q, visibility_timeout_s=10)
    assert {len(body) for body in found} <= {2000, 5}
    await copy.close()
