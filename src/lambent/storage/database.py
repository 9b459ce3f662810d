"""The unit of work: how every room reads and writes durable state.

A unit of work is a plain synchronous function of a `Transaction`. It is bounded, free of side effects, and
may be run again. When `Database.run` returns, its effects are on disk (fsync done); when it raises, none are.
Reads see every unit of work that has returned. No unit spans two databases.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from lambent.core import errors

T = TypeVar("T")

Value = str | int | float | bytes | None
Parameters = Sequence[Value] | Mapping[str, Value]


class Row(Protocol):
    """One result row, by position or by column name."""

    def __getitem__(self, key: int | str, /) -> Any: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


class Transaction(Protocol):
    """The statements of one unit of work. SQL is the common ground of SQLite and PostgreSQL, with `?` or `:name`."""

    def execute(self, sql: str, parameters: Parameters = (), /) -> int:
        """Run a statement for its effect; the number of rows changed."""

    def many(self, sql: str, rows: Iterable[Sequence[Value]], /) -> None:
        """Run a statement for its effect with each of `rows`."""

    def one(self, sql: str, parameters: Parameters = (), /) -> Row | None:
        """The first row, or None."""

    def all(self, sql: str, parameters: Parameters = (), /) -> list[Row]:
        """Every row."""


class Database(Protocol):
    """One database file (or schema)."""

    @property
    def generation(self) -> int:
        """Another number after every commit, from before the commit's callers learn of it."""

    async def run(self, work: Callable[[Transaction], T], *, key: Hashable | None = None) -> T:
        """Run `work` and return its result once that is durable.

        `key` names the aggregate that is written; a database with concurrent writers serialises units of one key.
        Raises whatever `work` raises (nothing of it is kept) and `StorageError` when the disk fails.
        """

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run a unit that only reads."""

    async def close(self) -> None:
        """Finish the units under way, then close."""


class StorageError(errors.MachineFault):
    """The disk is full or failing; nothing of the unit was kept and the caller may try again."""


class ConstraintViolated(Exception):
    """A UNIQUE, NOT NULL, CHECK or FOREIGN KEY constraint refused the statement. The unit must not go on after it."""
