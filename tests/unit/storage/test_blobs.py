from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lambent.storage import blobs
from lambent.storage.database import StorageError


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def content(store: blobs.BlobStore, name: str) -> bytes:
    return b"".join([chunk async for chunk in await store.read(name)])


def stored_files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


async def test_put_and_read(tmp_path: Path) -> None:
    store = blobs.BlobStore(tmp_path, 10_000_000)
    blob = await store.put(b"hello")
    assert blob == blobs.Blob(sha256=sha256(b"hello"), size_bytes=5)
    assert await content(store, blob.sha256) == b"hello"
    assert store.path(blob.sha256).read_bytes() == b"hello"
    big = [bytes([n]) * 700_000 for n in range(5)]
    streamed = await store.put(pieces(*big))
    assert streamed == blobs.Blob(sha256=sha256(b"".join(big)), size_bytes=3_500_000)
    assert await content(store, streamed.sha256) == b"".join(big)
    assert store.usage_bytes == 3_500_005
    assert (await store.put(b"")).size_bytes == 0
    assert await content(store, sha256(b"")) == b""


async def test_the_same_bytes_are_stored_once(tmp_path: Path) -> None:
    store = blobs.BlobStore(tmp_path, 100)
    results = await asyncio.gather(*(store.put(b"x" * 20) for _ in range(5)), return_exceptions=True)
    assert {result.sha256 for result in results if isinstance(result, blobs.Blob)} == {sha256(b"x" * 20)}
    await store.put(pieces(b"x" * 10, b"x" * 10))
    assert store.usage_bytes == 20
    assert stored_files(tmp_path) == [sha256(b"x" * 20)]


async def test_unknown_blobs(tmp_path: Path) -> None:
    store = blobs.BlobStore(tmp_path, 100)
    for name in ("0" * 64, "../../etc/passwd"):
        with pytest.raises(KeyError):
            store.path(name)
        with pytest.raises(KeyError):
            await store.read(name)
    await store.delete("0" * 64)


async def test_the_quota_counts_what_is_stored_and_arriving(tmp_path: Path) -> None:
    store = blobs.BlobStore(tmp_path, 100)
    await store.put(b"a" * 60)
    with pytest.raises(blobs.QuotaExceeded, match="100"):
        await store.put(b"b" * 41)
    with pytest.raises(blobs.QuotaExceeded):
        await store.put(pieces(b"b" * 30, b"c" * 30))
    await store.put(b"a" * 60)  # nothing new
    results = await asyncio.gather(store.put(b"c" * 30), store.put(b"d" * 30), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Blob", "QuotaExceeded"]
    assert store.usage_bytes == 90
    await store.delete(sha256(b"a" * 60))
    assert store.usage_bytes == 30
    await store.put(b"e" * 70)
    assert blobs.BlobStore(tmp_path, 100).usage_bytes == 100


async def test_a_failing_source_leaves_nothing(tmp_path: Path) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionResetError

    store = blobs.BlobStore(tmp_path, 10_000_000)
    with pytest.raises(ConnectionResetError):
        await store.put(breaks())
    assert stored_files(tmp_path) == []
    assert store.usage_bytes == 0


async def test_a_failing_disk_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store = blobs.BlobStore(tmp_path, 100)
    monkeypatch.setattr("lambent.storage.files.write_all", full)
    with pytest.raises(StorageError, match="No space"):
        await store.put(b"x")
    assert store.usage_bytes == 0
    monkeypatch.undo()
    await store.put(b"x")
    assert stored_files(tmp_path) == [sha256(b"x")]


async def test_a_cancelled_put_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lambent.storage import files

    write_all, loop = files.write_all, asyncio.get_running_loop()
    writing, may_write = asyncio.Event(), threading.Event()

    def slow(descriptor: int, data: bytes) -> None:
        loop.call_soon_threadsafe(writing.set)
        may_write.wait(10)
        write_all(descriptor, data)

    monkeypatch.setattr(files, "write_all", slow)
    store = blobs.BlobStore(tmp_path, 100)
    task = asyncio.create_task(store.put(b"x"))
    await writing.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done(), "the file must not be closed while the thread writes to it"
    may_write.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stored_files(tmp_path) == []
    assert store.usage_bytes == 0


async def test_leftovers_go_at_the_start(tmp_path: Path) -> None:
    blobs.BlobStore(tmp_path, 100)
    (tmp_path / "incoming" / "half").write_bytes(b"x")
    blobs.BlobStore(tmp_path, 100)
    assert stored_files(tmp_path) == []


async def test_collection_spares_what_was_just_put(tmp_path: Path) -> None:
    before = blobs.BlobStore(tmp_path, 1000)
    old, kept, again = (await before.put(b"old"), await before.put(b"kept"), await before.put(b"again"))
    store = blobs.BlobStore(tmp_path, 1000)
    fresh = await store.put(b"fresh")
    await store.put(b"again")
    assert await store.collect({kept.sha256}) == 3
    assert old.sha256 not in store
    assert all(blob.sha256 in store for blob in (kept, again, fresh))
    assert await store.collect({kept.sha256, fresh.sha256}) == 5
    assert again.sha256 not in store
    assert store.usage_bytes == 9
    assert stored_files(tmp_path) == sorted([kept.sha256, fresh.sha256])
