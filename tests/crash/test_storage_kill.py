"""Killing the storage room in the middle of everything, with the power staying on and with the power going."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lambent.storage import blobs, code_store, leases, opening

from . import power_loss, storage_load

ROOT = Path(__file__).parents[2]


def run_and_kill(
    data: Path, acknowledgements: int, *options: str, env: Mapping[str, str] | None = None, synchronous: str = "FULL"
) -> list[str]:
    """Load `data` in a child process, kill it after so many acknowledgements, and return all that it gave."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.storage_load", str(data), synchronous, *options],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=env or dict(os.environ),
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
        given = [child.stdout.readline() for _ in range(acknowledgements)]
        child.kill()
        given += child.stdout.readlines()
    child.wait()
    return [line.decode().strip() for line in given if line.endswith(b"\n")]


async def missing(data: Path, acknowledged: list[str]) -> list[str]:
    """What was acknowledged and is not there any more. Asserts that nothing is there by halves."""
    with leases.hold(data) as held:
        db = await opening.open_database(data / leases.CONTROL_NAME, storage_load.STEPS, lease=held.lease)
        debit = {row[0] for row in await db.read(lambda tx: tx.all("SELECT n FROM debit"))}
        credit = {row[0] for row in await db.read(lambda tx: tx.all("SELECT n FROM credit"))}
        check = await db.read(lambda tx: tx.one("PRAGMA integrity_check"))
        await db.close()
        packages = blobs.BlobStore(data / "blobs", 1 << 30)
    assert debit == credit
    assert check is not None
    assert check[0] == "ok"
    for path in packages.paths():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    there = {f"row {n}" for n in debit} | {f"blob {path.name}" for path in packages.paths()}
    return [line for line in acknowledged if line not in there]


@pytest.mark.slow
async def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged: list[str] = []
    for _ in range(24):
        acknowledged += run_and_kill(tmp_path / "data", chance.choice([0, 1, 10, chance.randrange(400)]))
        assert await missing(tmp_path / "data", acknowledged) == []
    assert len(acknowledged) > 300


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return power_loss.build_shim(tmp_path_factory.mktemp("shim"))


@pytest.mark.slow
@pytest.mark.parametrize("survivors", ["none", "some"])
async def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path, shim: Path, survivors: str) -> None:
    data, undo = tmp_path / "data", tmp_path / "undo"
    chance = random.Random(11)
    acknowledged: list[str] = []
    taken_back = 0
    for _ in range(8):
        env = power_loss.environment(shim, data, undo)
        acknowledged += run_and_kill(data, chance.choice([0, 5, 200, chance.randrange(4000)]), env=env)
        counted = power_loss.counters(undo)
        assert min(counted.writes, counted.syncs, counted.names) > 0
        loss = power_loss.lose_power(data, undo, chance=chance if survivors == "some" else None)
        taken_back += loss.writes
        assert await missing(data, acknowledged) == []
    assert taken_back > 0, "the kills hit nothing unsynced: this shows nothing"
    assert len(acknowledged) > 300


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
async def test_without_sync_a_power_cut_does_lose(tmp_path: Path, shim: Path, synchronous: str) -> None:
    """The tests above can fail: with commits unsynced, what was acknowledged is gone."""
    data, undo = tmp_path / "data", tmp_path / "undo"
    await missing(data, [])  # made in peace
    env = power_loss.environment(shim, data, undo)
    acknowledged = run_and_kill(data, 200, env=env, synchronous=synchronous)
    power_loss.lose_power(data, undo)
    lost = await missing(data, acknowledged)
    rows = [line for line in acknowledged if line.startswith("row")]
    assert lost == rows
    assert len(rows) > 20


async def test_without_directory_sync_a_power_cut_loses_blobs(tmp_path: Path, shim: Path) -> None:
    data, undo = tmp_path / "data", tmp_path / "undo"
    await missing(data, [])
    env = power_loss.environment(shim, data, undo)
    acknowledged = run_and_kill(data, 100, "no-directory-sync", env=env)
    power_loss.lose_power(data, undo)
    lost = await missing(data, acknowledged)
    assert any(line.startswith("blob") for line in lost)


SCRIPT = """
import os, sys
from pathlib import Path
d = Path(sys.argv[1])

def sync(path, flags=os.O_RDWR):
    fd = os.open(path, flags); os.fsync(fd); os.close(fd)

(d / "kept").write_bytes(b"0123456789"); sync(d / "kept")
(d / "old").write_bytes(b"old"); sync(d / "old")
(d / "gone").write_bytes(b"gone"); sync(d / "gone")
(d / "boot-id").write_text("this boot"); sync(d / "boot-id")
(d / "base-shm").write_bytes(b"shm")
sync(d, os.O_RDONLY)
# from here on nothing is synced
fd = os.open(d / "kept", os.O_RDWR)
os.pwrite(fd, b"XX", 2); os.pwritev(fd, [b"Y", b"Z"], 3); os.ftruncate(fd, 5); os.pwrite(fd, b"long" * 10, 8)
os.posix_fallocate(fd, 0, 4096)
with open(d / "kept", "ab", 0) as file: file.write(b"appended"); os.writev(file.fileno(), [b"a", b"b"])
(d / "new").write_bytes(b"never synced")
(d / "folder").mkdir()
(d / "folder" / "file").write_bytes(b"x"); sync(d / "folder" / "file"); sync(d / "folder", os.O_RDONLY)
(d / "renamed").write_bytes(b"replacement"); sync(d / "renamed")
os.rename(d / "renamed", d / "old")
(d / "gone").unlink()
(d / "again").write_bytes(b"an inode used again perhaps")
(d / "old").open("wb").close()
import shutil; shutil.copyfile("/proc/self/exe", d / "copy")
os.kill(os.getpid(), 9)
"""


def test_the_shim_forgets_exactly_what_was_not_synced(tmp_path: Path, shim: Path) -> None:
    data, undo = tmp_path / "data", tmp_path / "undo"
    subprocess.run([sys.executable, "-c", SCRIPT, str(data)], env=power_loss.environment(shim, data, undo), check=False)
    assert (data / "kept").stat().st_size >= 4096
    assert (data / "copy").stat().st_size > 0
    loss = power_loss.lose_power(data, undo)
    assert loss.writes == 7
    assert {path.name: path.read_bytes() for path in data.iterdir()} == {
        "kept": b"0123456789",
        "old": b"old",
        "gone": b"gone",
        code_store.BOOT_MARKER: b"another boot",
    }
    assert list(undo.iterdir()) == []


def test_the_shim_leaves_other_directories_alone(tmp_path: Path, shim: Path) -> None:
    data, undo = tmp_path / "data", tmp_path / "undo"
    other = tmp_path / "data-not"
    other.mkdir()
    program = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_bytes(b'x')"
    env = power_loss.environment(shim, data, undo)
    subprocess.run([sys.executable, "-c", program, str(other / "file")], env=env, check=True)
    assert power_loss.counters(undo).writes == 0
    assert power_loss.lose_power(data, undo) == power_loss.Loss(writes=0, names=0)
    assert (other / "file").read_bytes() == b"x"
