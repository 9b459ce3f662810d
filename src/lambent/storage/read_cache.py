"""Answers to reads that are asked again and again, kept until anything at all is written.

A waiter, a dashboard or a Terraform refresh reads what has not changed. The cache is emptied by every commit of its
database, so it needs no knowledge of what depends on what, and never serves what a returned unit of work changed.
It relies on this process being the only writer, which the lease makes sure of.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

from lambent.storage.database import Database, Transaction

T = TypeVar("T")

_ENTRIES: Final = 1024


class ReadCache:
    """Keeps up to 1,024 results of reads. A result must be treated as immutable: everybody gets the same object."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._generation = database.generation
        self._results: dict[Hashable, Any] = {}

    async def read(self, key: Hashable, work: Callable[[Transaction], T]) -> T:
        """As `Database.read`. `key` must tell apart all reads that may differ in their result; errors are not kept."""
        generation = self._database.generation
        if generation != self._generation:
            self._generation = generation
            self._results.clear()
        try:
            known: T = self._results[key]
        except KeyError:
            pass
        else:
            return known
        result = await self._database.read(work)
        if generation == self._database.generation:  # nothing was committed while we read
            if len(self._results) >= _ENTRIES:
                self._results.clear()
            self._results[key] = result
        return result
