"""What hangs on a function beside its versions and aliases: tags, policies, concurrency, event invoke configs.

They live and die with the function, in the same unit of work, without functions knowing their tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lambent.core.operations import Scope
from lambent.storage.database import Transaction


class Attachments(Protocol):
    """Called inside the unit of work that creates, reads or deletes a function."""

    def tag(self, tx: Transaction, scope: Scope, name: str, tags: Mapping[str, str]) -> None:
        """Store CreateFunction's tags. Raises InvalidParameterValue when they break a rule of tags."""

    def tags(self, tx: Transaction, scope: Scope, name: str) -> Mapping[str, str]:
        """The function's tags; empty when it has none."""

    def reserved_concurrency(self, tx: Transaction, scope: Scope, name: str) -> int | None:
        """The function's reserved concurrent executions, None when none are reserved."""

    def qualifier_deleted(self, tx: Transaction, scope: Scope, name: str, qualifier: str) -> None:
        """A version or alias is gone: forget what hangs on that qualifier."""

    def alias_moved(self, tx: Transaction, scope: Scope, name: str, alias: str) -> None:
        """An alias points at another version now: forget what belonged to the one before."""

    async def after_qualifier_changed(self, scope: Scope, name: str) -> None:
        """A moved alias, or the deletion of a version or alias, is on disk: undo what was told to running parts."""

    def function_deleted(self, tx: Transaction, scope: Scope, name: str) -> None:
        """The whole function is gone: forget everything that hangs on it."""

    def after_function_deleted(self, scope: Scope, name: str) -> None:
        """The deletion is on disk: undo what was told to running parts (the engine's concurrency)."""
