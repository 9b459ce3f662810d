from __future__ import annotations

import asyncio
import io
import shutil
import zipfile
from pathlib import Path

import pytest

from lambent.core import archives
from lambent.storage import blobs, code_store


def package(**content: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture
def packages(tmp_path: Path) -> blobs.BlobStore:
    return blobs.BlobStore(tmp_path / "blobs", 1_000_000)


@pytest.fixture
def store(packages: blobs.BlobStore, tmp_path: Path) -> code_store.CodeStore:
    return code_store.CodeStore(packages, tmp_path / "code", boot_id="this")


async def test_unpacked_once_however_many_ask(
    packages: blobs.BlobStore, store: code_store.CodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    extract = archives.extract
    monkeypatch.setattr(archives, "extract", lambda *a, **k: (calls.append(a), extract(*a, **k))[1])
    blob = await packages.put(package(app="1"))
    folders = await asyncio.gather(*(store.folder(blob.sha256) for _ in range(20)))
    assert {folder / "app" for folder in folders} == {folders[0] / "app"}
    assert (folders[0] / "app").read_text() == "1"
    assert await store.folder(blob.sha256) == folders[0]
    assert len(calls) == 1


async def test_an_earlier_process_unpacked_it(
    packages: blobs.BlobStore, store: code_store.CodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await packages.put(package(app="1"))
    first = await store.check_and_unpack(blob.sha256)
    assert first == archives.ExtractedArchive(size_bytes=1, entries=1)
    monkeypatch.delattr(archives, "extract")
    again = code_store.CodeStore(packages, tmp_path / "code", boot_id="this")
    assert await again.check_and_unpack(blob.sha256) == first


async def test_after_another_boot_nothing_is_trusted(
    packages: blobs.BlobStore, store: code_store.CodeStore, tmp_path: Path
) -> None:
    blob = await packages.put(package(app="1"))
    (await store.folder(blob.sha256) / "app").write_text("")  # as a power cut leaves it
    after = code_store.CodeStore(packages, tmp_path / "code", boot_id="next")
    assert (await after.folder(blob.sha256) / "app").read_text() == "1"
    await after.collect({blob.sha256})
    assert sorted(path.name for path in (tmp_path / "code").iterdir()) == sorted(["boot-id", blob.sha256])


async def test_half_unpacked_folders_go(packages: blobs.BlobStore, store: code_store.CodeStore, tmp_path: Path) -> None:
    (tmp_path / "code" / "unfinished-1").mkdir()
    again = code_store.CodeStore(packages, tmp_path / "code", boot_id="this")
    await again.collect(set())
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["boot-id"]


async def test_unknown_and_bad_packages(packages: blobs.BlobStore, store: code_store.CodeStore, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        await store.folder("0" * 64)
    bad = await packages.put(b"not a zip")
    results = await asyncio.gather(*(store.folder(bad.sha256) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [archives.ArchiveError] * 2
    with pytest.raises(archives.ArchiveError):
        await store.check_and_unpack(bad.sha256)
    gone = await packages.put(package(app="1"))
    packages.path(gone.sha256).unlink()
    with pytest.raises(KeyError):
        await store.folder(gone.sha256)
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["boot-id"]


async def test_a_cancelled_caller_does_not_spoil_it_for_the_others(
    packages: blobs.BlobStore, store: code_store.CodeStore
) -> None:
    blob = await packages.put(package(app="1"))
    first, second = (asyncio.create_task(store.folder(blob.sha256)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second / "app").read_text() == "1"
    await store.close()


async def test_eviction(packages: blobs.BlobStore, store: code_store.CodeStore) -> None:
    one, two = await packages.put(package(app="1")), await packages.put(package(app="2"))
    folders = [await store.folder(blob.sha256) for blob in (one, two)]
    await store.collect({two.sha256})
    assert [folder.exists() for folder in folders] == [False, True]
    assert (await store.folder(one.sha256) / "app").read_text() == "1"


async def test_the_limit_on_unpacked_bytes(packages: blobs.BlobStore, tmp_path: Path) -> None:
    store = code_store.CodeStore(packages, tmp_path / "small", max_bytes=3)
    blob = await packages.put(package(app="1234"))
    with pytest.raises(archives.ArchiveError) as error:
        await store.folder(blob.sha256)
    assert error.value.reason is archives.ArchiveReason.TOO_LARGE


async def test_code_that_its_function_removed_is_unpacked_again(
    packages: blobs.BlobStore, store: code_store.CodeStore, tmp_path: Path
) -> None:
    blob = await packages.put(package(app="1"))
    shutil.rmtree(await store.folder(blob.sha256))
    assert ((await store.folder(blob.sha256)) / "app").read_text() == "1"
    shutil.rmtree(await store.folder(blob.sha256))
    later = code_store.CodeStore(packages, tmp_path / "code", boot_id="this")
    assert ((await later.folder(blob.sha256)) / "app").read_text() == "1"
    await later.collect(packages.all())
    assert sorted(path.name for path in (tmp_path / "code").iterdir()) == sorted(["boot-id", blob.sha256])
