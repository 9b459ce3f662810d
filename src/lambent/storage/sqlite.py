"""Connections to SQLite files, and the statements of a unit of work on one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar

from lambent.core import errors
from lambent.storage import database

T = TypeVar("T")

Synchronous = Literal["FULL", "NORMAL", "OFF"]

# The codes that say "the disk" rather than "the statement". After any of them SQLite may have rolled the whole
# transaction back by itself, so the whole batch is given up. READONLY is a file system that was remounted.
_DISK_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
    }
)
_PRIMARY_CODE: Final = 0xFF
_CACHED_STATEMENTS: Final = 1024  # every statement of every room stays prepared
_CHECKPOINT_PAGES: Final = 1000
_WAL_KEPT_BYTES: Final = 16 * 1024 * 1024


def connect(path: Path, *, synchronous: Synchronous = "FULL", read_only: bool = False) -> sqlite3.Connection:
    """Open (or create) a database file in WAL mode, in autocommit: transactions are begun by hand.

    Raises UserFacingError when `path` is no database or cannot be opened.
    """
    try:
        if not read_only:
            # Functions' code and secrets are nobody else's business; SQLite gives -wal and -shm the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS, timeout=5.0
        )
    except (OSError, sqlite3.Error) as error:
        raise errors.UserFacingError(f"cannot open the database {path}: {error}") from error
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}").fetchone()
        connection.execute(f"PRAGMA journal_size_limit={_WAL_KEPT_BYTES}").fetchone()
        if read_only:
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, error) from error
    return connection


def unusable(path: Path, error: sqlite3.Error) -> errors.UserFacingError:
    """What to tell the person who starts the server about a file that cannot be opened."""
    return errors.UserFacingError(
        f"cannot open the database {path}: {error}; restore it from a backup or use another data directory"
    )


def is_disk_failure(error: sqlite3.Error) -> bool:
    """Whether the disk (or a lock) failed, rather than the statement being wrong."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & _PRIMARY_CODE) in _DISK_CODES


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds the write lock."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & _PRIMARY_CODE) == sqlite3.SQLITE_BUSY


class SqliteTransaction:
    """The statements of one unit of work. Unusable once the unit has ended.

    `failure` is set by the first statement that hit a failing disk, whatever the unit makes of the exception.
    """

    __slots__ = ("_connection", "failure")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | None = connection
        self.failure: database.StorageError | None = None

    def execute(self, sql: str, parameters: database.Parameters = (), /) -> int:
        cursor = self._cursor(sql, parameters)
        if cursor.description is not None:
            cursor.fetchall()  # RETURNING: the count is known once every row is taken
        return max(0, cursor.rowcount)

    def many(self, sql: str, rows: Iterable[Sequence[database.Value]], /) -> None:
        if self._connection is None:
            raise RuntimeError("the unit of work has ended")
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def one(self, sql: str, parameters: database.Parameters = (), /) -> database.Row | None:
        cursor = self._cursor(sql, parameters)
        try:
            row: database.Row | None = cursor.fetchone()
        except sqlite3.Error as error:
            raise self._translated(error) from error
        finally:
            cursor.close()  # an unfinished SELECT would hold its snapshot
        return row

    def all(self, sql: str, parameters: database.Parameters = (), /) -> list[database.Row]:
        cursor = self._cursor(sql, parameters)
        try:
            return cursor.fetchall()
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def end(self) -> None:
        """Refuse every further statement."""
        self._connection = None

    def _cursor(self, sql: str, parameters: database.Parameters) -> sqlite3.Cursor:
        if self._connection is None:
            raise RuntimeError("the unit of work has ended")
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error) -> Exception:
        if is_disk_failure(error):
            self.failure = database.StorageError(str(error))
            return self.failure
        if isinstance(error, sqlite3.IntegrityError):
            return database.ConstraintViolated(str(error))
        return error


def run_reading(connection: sqlite3.Connection, work: Callable[[database.Transaction], T]) -> T:
    """Run `work` on one snapshot of a read-only connection."""
    transaction = SqliteTransaction(connection)
    try:
        connection.execute("BEGIN")
        return work(transaction)
    except sqlite3.Error as error:
        if is_disk_failure(error):
            raise database.StorageError(str(error)) from error
        raise
    finally:
        transaction.end()
        if connection.in_transaction:
            connection.execute("ROLLBACK")
