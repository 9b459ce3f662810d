"""Log groups: their rows, and the rules on them. Every function here runs inside a unit of work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from lambent.core.arns import arn
from lambent.core.operations import Scope
from lambent.logs import store
from lambent.logs.errors import ResourceAlreadyExists, no_such_group
from lambent.storage.database import Row, Transaction

DAY_MS: Final = 86_400_000

# CloudWatch Logs API reference, "PutRetentionPolicy".
RETENTION_DAYS: Final = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip


class LogGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One log group. Without `retention_days` its events never expire."""

    id: int
    name: str
    created_ms: int
    stored_bytes: int
    retention_days: int | None
    tags: Mapping[str, str]

    def expired_before_ms(self, now_ms: int) -> int:
        """Events before this time have expired."""
        return 0 if self.retention_days is None else now_ms - self.retention_days * DAY_MS


def group_arn(scope: Scope, name: str) -> str:
    """Without the `:*` that IAM policies have at its end."""
    return arn("logs", scope, f"log-group:{name}")


_GROUP: Final = "SELECT id, name, created_ms, stored_bytes, retention_days, tags FROM log_groups"


def find(tx: Transaction, scope: Scope, name: str) -> LogGroup | None:
    row = tx.one(f"{_GROUP} WHERE account = ? AND region = ? AND name = ?", (scope.account, scope.region, name))
    return None if row is None else _group(row)


def require(tx: Transaction, scope: Scope, name: str) -> LogGroup:
    """The group. Raises ResourceNotFound."""
    group = find(tx, scope, name)
    if group is None:
        raise no_such_group()
    return group


def create(tx: Transaction, scope: Scope, name: str, tags: Mapping[str, str], now_ms: int) -> None:
    """Raises ResourceAlreadyExists."""
    if find(tx, scope, name) is not None:
        raise ResourceAlreadyExists("The specified log group already exists")
    tx.execute(
        "INSERT INTO log_groups (id, account, region, name, created_ms, stored_bytes, tags)"
        " VALUES (?, ?, ?, ?, ?, 0, ?)",
        (store.take_id(tx), scope.account, scope.region, name, now_ms, _encoded(tags)),
    )


def delete(tx: Transaction, scope: Scope, name: str) -> None:
    """The group is gone at once; its chunks go in slices, later. Raises ResourceNotFound."""
    group = require(tx, scope, name)
    tx.execute("DELETE FROM log_groups WHERE id = ?", (group.id,))
    tx.execute("INSERT INTO log_removals (group_id, stream_id) VALUES (?, 0)", (group.id,))


def set_retention(tx: Transaction, scope: Scope, name: str, days: int | None) -> None:
    """Raises ResourceNotFound."""
    group = require(tx, scope, name)
    tx.execute("UPDATE log_groups SET retention_days = ? WHERE id = ?", (days, group.id))


def set_tags(tx: Transaction, group: LogGroup, tags: Mapping[str, str]) -> None:
    tx.execute("UPDATE log_groups SET tags = ? WHERE id = ?", (_encoded(tags), group.id))


def page(
    tx: Transaction, scope: Scope, *, prefix: str = "", pattern: str = "", after: str = "", limit: int
) -> list[LogGroup]:
    """Groups by name: those that start with `prefix` and hold `pattern`, after the name `after`."""
    rows = tx.all(
        f"{_GROUP} WHERE account = ? AND region = ? AND name >= ? AND name < ? AND name > ? AND instr(name, ?) > 0"
        " ORDER BY name LIMIT ?",
        (scope.account, scope.region, prefix, f"{prefix}\x7f", after, pattern, limit),
    )
    return [_group(row) for row in rows]


def with_retention(tx: Transaction) -> list[LogGroup]:
    """The groups, of every account and region, whose events expire."""
    return [_group(row) for row in tx.all(f"{_GROUP} WHERE retention_days IS NOT NULL")]


def _encoded(tags: Mapping[str, str]) -> str:
    return msgspec.json.encode(tags).decode()


def _group(row: Row) -> LogGroup:
    return LogGroup(
        id=row["id"],
        name=row["name"],
        created_ms=row["created_ms"],
        stored_bytes=row["stored_bytes"],
        retention_days=row["retention_days"],
        tags=msgspec.json.decode(row["tags"], type=dict[str, str]),
    )
