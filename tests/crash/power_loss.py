"""Cutting the power of a process: what it did not sync is gone.

    shim = build_shim(tmp_path)
    child = Popen(..., env=environment(shim, data_dir, undo_dir))
    child.kill(); child.wait()
    lose_power(data_dir, undo_dir)

Everything of `unsynced.c`'s journals is applied; what those do not model is said there.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lambent.storage import code_store

_RECORD = struct.Struct("=3Q")
_COUNTERS = struct.Struct("=4Q")
_SOURCE = Path(__file__).with_name("unsynced.c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What the shim has seen since the journals were last applied."""

    writes: int
    syncs: int
    names: int
    directory_syncs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a power cut took back."""

    writes: int
    names: int


def build_shim(tmp: Path) -> Path:
    """Compile the shim into `tmp`; skips the test where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler to build the shim that forgets unsynced writes")
    shim = tmp / "unsynced.so"
    subprocess.run(
        [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", str(shim), str(_SOURCE), "-lpthread"], check=True
    )
    return shim


def environment(shim: Path, data_dir: Path, undo_dir: Path) -> dict[str, str]:
    """The variables under which a process below `shim` journals its writes to `data_dir`, added to our own.

    `undo_dir` must be on the same file system as `data_dir` and outside it.
    """
    for path in (data_dir, undo_dir):
        path.mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "LD_PRELOAD": str(shim),
        "LAMBENT_UNSYNCED_DIR": str(data_dir.resolve()),
        "LAMBENT_UNDO_DIR": str(undo_dir.resolve()),
    }


def counters(undo_dir: Path) -> Counters:
    """What the shim counted. Raises FileNotFoundError when it never ran."""
    writes, syncs, names, directory_syncs = _COUNTERS.unpack((undo_dir / "counters").read_bytes())
    return Counters(writes=writes, syncs=syncs, names=names, directory_syncs=directory_syncs)


def lose_power(data_dir: Path, undo_dir: Path, *, chance: random.Random | None = None) -> Loss:
    """Turn `data_dir` into what a power cut at the kill would have left, and empty `undo_dir`.

    Nothing unsynced survives; with `chance`, of each file's unsynced writes a random number of the first survive (a
    disk may have written some). The next start is another boot: SQLite's -shm files go and boot markers change.
    """
    names = _undo_names(undo_dir)
    writes = 0
    for path in _files(data_dir):
        status = path.stat()
        writes += _undo_writes(path, undo_dir, f"{status.st_dev}-{status.st_ino}", chance)
    for path in _files(data_dir):
        if path.name.endswith("-shm"):
            path.unlink()
        elif path.name == code_store.BOOT_MARKER:
            path.write_text("another boot")
    shutil.rmtree(undo_dir)
    undo_dir.mkdir()
    return Loss(writes=writes, names=names)


def _files(data_dir: Path) -> list[Path]:
    return [path for path in data_dir.rglob("*") if path.is_file() and not path.is_symlink()]


def _undo_writes(path: Path, undo_dir: Path, inode: str, chance: random.Random | None) -> int:
    journal = undo_dir / f"{inode}.undo"
    # Put aside by syncs that never ended, oldest first; then what came after them.
    aside = sorted(undo_dir.glob(f"{inode}.undo.*"), key=lambda each: int(each.suffix[1:]))
    records = [record for each in [*aside, journal] if each.exists() for record in _records(each.read_bytes())]
    if chance is not None:
        records = records[chance.randint(0, len(records)) :]
    with path.open("r+b") as file:
        for offset, old, old_size in reversed(records):
            file.seek(offset)
            file.write(old)
            file.truncate(old_size)
    return len(records)


def _records(journal: bytes) -> Iterator[tuple[int, bytes, int]]:
    at = 0
    while at + _RECORD.size <= len(journal):
        offset, kept, old_size = _RECORD.unpack_from(journal, at)
        at += _RECORD.size
        if at + kept > len(journal):
            return  # killed while journalling: the write never happened
        yield offset, journal[at : at + kept], old_size
        at += kept


def _undo_names(undo_dir: Path) -> int:
    changes: list[tuple[int, str, list[str]]] = []
    for journal in undo_dir.glob("*.names*"):
        texts = journal.read_bytes().decode("utf-8", "surrogateescape").split("\0")
        for at in range(0, len(texts) - 4, 4):
            sequence, kind = texts[at].split(" ")
            changes.append((int(sequence), kind, texts[at + 1 : at + 4]))
    for _, kind, (first, second, third) in sorted(changes, reverse=True):
        if kind == "C":
            _remove(Path(first))
        elif kind == "R" and os.path.lexists(second) and not os.path.lexists(first):
            if Path(first).parent.is_dir():
                os.rename(second, first)
            else:
                _remove(Path(second))
            if third:
                os.rename(third, second)
        elif kind == "U" and not os.path.lexists(first) and Path(first).parent.is_dir():
            os.rename(second, first)
    return len(changes)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
