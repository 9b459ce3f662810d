from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lambent.core.errors import UserFacingError
from lambent.storage import leases, opening
from lambent.storage.migrations import Migration

A1 = Migration(room="a", version=1, statements=("CREATE TABLE a (x INTEGER)", "INSERT INTO a VALUES (1)"))
A2 = Migration(room="a", version=2, statements=("ALTER TABLE a ADD COLUMN y TEXT", "UPDATE a SET y = 'old'"))
B1 = Migration(room="b", version=1, statements=("CREATE TABLE b (x INTEGER)",))


async def rows(path: Path, steps: list[Migration], sql: str) -> list[tuple[object, ...]]:
    db = await opening.open_database(path, steps)
    try:
        return [tuple(row) for row in await db.read(lambda tx: tx.all(sql))]  # type: ignore[arg-type]
    finally:
        await db.close()


async def test_an_upgrade_runs_only_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "db"
    assert await rows(path, [A1], "SELECT * FROM a") == [(1,)]
    assert await rows(path, [A1], "SELECT * FROM a") == [(1,)]
    assert await rows(path, [B1, A2, A1], "SELECT * FROM a") == [(1, "old")]
    assert await rows(path, [A1, A2, B1], "SELECT * FROM lambent_schema ORDER BY 1, 2") == [
        ("a", 1),
        ("a", 2),
        ("b", 1),
    ]


async def test_a_downgrade_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await rows(path, [A1, A2, B1], "SELECT 1")
    with pytest.raises(
        UserFacingError, match=r"newer Lambent .*'a' tables are at version 2, this one knows 1"
    ) as error:
        await rows(path, [A1, B1], "SELECT 1")
    assert "\n" not in str(error.value)
    with pytest.raises(UserFacingError, match="'b' tables are at version 1, this one knows none"):
        await rows(path, [A1, A2], "SELECT 1")
    assert await rows(path, [A1, A2, B1], "SELECT * FROM a") == [(1, "old")]


async def test_a_failing_upgrade_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await rows(path, [A1], "SELECT 1")
    broken = Migration(room="a", version=2, statements=("ALTER TABLE a ADD COLUMN y TEXT", "NONSENSE"))
    with pytest.raises(Exception, match="NONSENSE"):
        await rows(path, [A1, broken], "SELECT 1")
    assert await rows(path, [A1, A2], "SELECT * FROM a") == [(1, "old")]


async def test_versions_must_have_no_gaps(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without gaps"):
        await rows(tmp_path / "db", [A2], "SELECT 1")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(UserFacingError, match="cannot open the database"):
        await rows(tmp_path / "db", [A1], "SELECT 1")
    with pytest.raises(UserFacingError, match="cannot open the database"):
        await rows(tmp_path / "no" / "db", [A1], "SELECT 1")


async def test_database_files_are_private(tmp_path: Path) -> None:
    db = await opening.open_database(tmp_path / "db", [A1])
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    await db.close()


def test_a_second_holder_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    data = tmp_path / "data"
    program = (
        "import sys, pathlib; from lambent.storage import leases;"
        "held = leases.hold(pathlib.Path(sys.argv[1])); print(held.lease.epoch, flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "1\n"
        with pytest.raises(UserFacingError, match=rf"in use by another Lambent server \(pid {child.pid}\)") as error:
            leases.hold(data)
        assert "\n" not in str(error.value)
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    with leases.hold(data, new_holder=lambda: "me") as held:
        assert (held.lease.epoch, held.lease.holder) == (2, "me")
        with pytest.raises(UserFacingError, match=rf"pid {os.getpid()}"):
            leases.hold(data)
    with leases.hold(data) as held:
        assert held.lease.epoch == 3
    assert data.stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserFacingError, match="cannot use the data directory"):
        leases.hold(tmp_path / "file")
