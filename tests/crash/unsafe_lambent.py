"""Lambent with its databases at synchronous=OFF: what the power-cut test must see fail."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lambent.cli import main
from lambent.storage import sqlite

_connect = sqlite.connect


def careless(path: Path, *, synchronous: sqlite.Synchronous = "FULL", read_only: bool = False) -> sqlite3.Connection:
    return _connect(path, synchronous="OFF", read_only=read_only)


if __name__ == "__main__":
    sqlite.connect = careless
    main()
