"""Bringing a database file's tables to the versions that this code needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from lambent.core import errors
from lambent.storage import migrations

_TABLE = """
CREATE TABLE IF NOT EXISTS lambent_schema (
    room TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (room, version)
) WITHOUT ROWID
"""


def upgrade(connection: sqlite3.Connection, path: Path, steps: Iterable[migrations.Migration]) -> None:
    """Apply the `steps` that the database lacks, all in one transaction.

    Raises UserFacingError when the database was written by newer code (a room's version, or a room, that `steps` does
    not have), and ValueError when a room's versions do not count from 1 without gaps.
    """
    wanted = _by_room(steps)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_TABLE)
        present = dict(connection.execute("SELECT room, max(version) FROM lambent_schema GROUP BY room").fetchall())
        for room, version in present.items():
            known = len(wanted.get(room, ()))
            if version > known:
                raise errors.UserFacingError(
                    f"{path} was written by a newer Lambent (its {room!r} tables are at version {version}, this one "
                    f"knows {known or 'none'}): use that Lambent, or restore a backup made before the upgrade"
                )
        for room, room_steps in wanted.items():
            for step in room_steps[present.get(room, 0) :]:
                for statement in step.statements:
                    connection.execute(statement)
                connection.execute("INSERT INTO lambent_schema VALUES (?, ?)", (room, step.version))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _by_room(steps: Iterable[migrations.Migration]) -> dict[str, list[migrations.Migration]]:
    """The steps of each room in order of version; rooms in order of first appearance."""
    rooms: dict[str, list[migrations.Migration]] = {}
    for step in steps:
        rooms.setdefault(step.room, []).append(step)
    for room, room_steps in rooms.items():
        room_steps.sort(key=lambda step: step.version)
        versions = [step.version for step in room_steps]
        if versions != list(range(1, len(versions) + 1)):
            raise ValueError(f"migrations of {room!r} must count from 1 without gaps, got {versions}")
    return rooms
