"""SQS's tables: queues, names that were free only lately, and tasks that move messages. Messages are the engine's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from lambent.core.operations import Scope
from lambent.sqs.model import Queue, QueueKey, QueueSettings
from lambent.sqs.moves import MoveTask
from lambent.sqs.names import arn_of
from lambent.sqs.redrive import parse_policy
from lambent.storage.database import Row, Transaction
from lambent.storage.migrations import Migration

MIGRATIONS: Final = (
    Migration(
        room="sqs",
        version=1,
        statements=(
            """CREATE TABLE sqs_queues (
                id TEXT NOT NULL PRIMARY KEY,
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                name TEXT NOT NULL,
                created_s INTEGER NOT NULL,
                modified_s INTEGER NOT NULL,
                purged_s REAL,
                dead_letter_arn TEXT,
                settings BLOB NOT NULL,
                tags BLOB NOT NULL,
                UNIQUE (account, region, name)
            )""",
            "CREATE INDEX sqs_queues_by_dead_letters ON sqs_queues (dead_letter_arn, account, region, name) "
            "WHERE dead_letter_arn IS NOT NULL",
            """CREATE TABLE sqs_deleted (
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                name TEXT NOT NULL,
                deleted_s REAL NOT NULL,
                PRIMARY KEY (account, region, name)
            )""",
            """CREATE TABLE sqs_move_tasks (
                id TEXT NOT NULL PRIMARY KEY,
                source_arn TEXT NOT NULL,
                destination_arn TEXT,
                rate INTEGER,
                status TEXT NOT NULL,
                started_ms INTEGER NOT NULL,
                moved INTEGER NOT NULL,
                to_move INTEGER NOT NULL,
                failure TEXT
            )""",
            "CREATE INDEX sqs_move_tasks_by_source ON sqs_move_tasks (source_arn, started_ms)",
        ),
    ),
)

_WHERE: Final = "WHERE account = ? AND region = ? AND name = ?"
_SETTINGS: Final = msgspec.msgpack.Decoder(QueueSettings)
_TAGS: Final = msgspec.msgpack.Decoder(dict[str, str])


def find(tx: Transaction, key: QueueKey) -> Queue | None:
    row = tx.one(f"SELECT * FROM sqs_queues {_WHERE}", _key(key))
    return None if row is None else _queue(row)


def insert(tx: Transaction, queue: Queue) -> None:
    tx.execute(
        "INSERT INTO sqs_queues (id, account, region, name, created_s, modified_s, dead_letter_arn, settings, tags) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (queue.id, *_key(queue.key), queue.created_s, queue.modified_s, *_columns(queue)),
    )


def update(tx: Transaction, queue: Queue) -> None:
    """Store settings, tags and times of a queue that is there."""
    tx.execute(
        "UPDATE sqs_queues SET modified_s = ?, dead_letter_arn = ?, settings = ?, tags = ?, purged_s = ? WHERE id = ?",
        (queue.modified_s, *_columns(queue), queue.purged_s, queue.id),
    )


def delete(tx: Transaction, queue: Queue, now_s: float) -> None:
    """Remove the queue, and remember when its name was let go."""
    tx.execute("DELETE FROM sqs_queues WHERE id = ?", (queue.id,))
    tx.execute(
        "INSERT INTO sqs_deleted (account, region, name, deleted_s) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (account, region, name) DO UPDATE SET deleted_s = excluded.deleted_s",
        (*_key(queue.key), now_s),
    )


def deleted_since(tx: Transaction, key: QueueKey, since_s: float) -> bool:
    """Whether a queue of this name was deleted after `since_s`; forgets what is older."""
    tx.execute("DELETE FROM sqs_deleted WHERE deleted_s <= ?", (since_s,))
    return tx.one(f"SELECT 1 FROM sqs_deleted {_WHERE}", _key(key)) is not None


def names(tx: Transaction, scope: Scope, *, prefix: str, after: str, limit: int) -> list[str]:
    """Names of an account's queues in a region, in their order, that start with `prefix` and follow `after`."""
    rows = tx.all(
        "SELECT name FROM sqs_queues WHERE account = ? AND region = ? AND name > ? AND name >= ? AND name < ? "
        "ORDER BY name LIMIT ?",
        (scope.account, scope.region, after, prefix, prefix + "\U0010ffff", limit),
    )
    return [str(row["name"]) for row in rows]


def everything(tx: Transaction) -> list[Queue]:
    """Every queue there is."""
    return [_queue(row) for row in tx.all("SELECT * FROM sqs_queues")]


def sources(tx: Transaction, dead_letter_arn: str, *, after: str = "", limit: int = 1) -> list[QueueKey]:
    """Queues whose dead letters go to this one; same account and region, so their names tell them apart."""
    rows = tx.all(
        "SELECT account, region, name FROM sqs_queues WHERE dead_letter_arn = ? AND name > ? "
        "ORDER BY account, region, name LIMIT ?",
        (dead_letter_arn, after, limit),
    )
    return [QueueKey(account=row["account"], region=row["region"], name=row["name"]) for row in rows]


def save_task(tx: Transaction, task: MoveTask) -> None:
    """Store a task in place of what was known of it."""
    tx.execute(
        "INSERT INTO sqs_move_tasks (id, source_arn, destination_arn, rate, status, started_ms, moved, to_move, "
        "failure) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status, "
        "moved = excluded.moved, failure = excluded.failure",
        (
            task.id, task.source_arn, task.destination_arn, task.rate, task.status, task.started_ms, task.moved,
            task.to_move, task.failure,
        ),
    )  # fmt: skip


def tasks_of(tx: Transaction, source_arn: str, limit: int) -> list[MoveTask]:
    """A source's tasks, the newest first."""
    rows = tx.all(
        "SELECT * FROM sqs_move_tasks WHERE source_arn = ? ORDER BY started_ms DESC, rowid DESC LIMIT ?",
        (source_arn, limit),
    )
    return [_task(row) for row in rows]


def find_task(tx: Transaction, task_id: str) -> MoveTask | None:
    row = tx.one("SELECT * FROM sqs_move_tasks WHERE id = ?", (task_id,))
    return None if row is None else _task(row)


def active_tasks(tx: Transaction) -> list[MoveTask]:
    """Tasks that the last process did not end."""
    return [_task(row) for row in tx.all("SELECT * FROM sqs_move_tasks WHERE status IN ('RUNNING', 'CANCELLING')")]


def forget_tasks(tx: Transaction, source_arn: str, *, keep: int) -> None:
    """Remove a source's oldest ended tasks but for the newest `keep`."""
    tx.execute(
        "DELETE FROM sqs_move_tasks WHERE source_arn = ? AND status NOT IN ('RUNNING', 'CANCELLING') AND id NOT IN "
        "(SELECT id FROM sqs_move_tasks WHERE source_arn = ? ORDER BY started_ms DESC, rowid DESC LIMIT ?)",
        (source_arn, source_arn, keep),
    )


def _key(key: QueueKey) -> tuple[str, str, str]:
    return key.account, key.region, key.name


def _columns(queue: Queue) -> Sequence[str | bytes | None]:
    policy = queue.settings.redrive_policy
    return (
        None if policy is None else arn_of(parse_policy(policy).target),
        msgspec.msgpack.encode(queue.settings),
        msgspec.msgpack.encode(queue.tags),
    )


def _queue(row: Row) -> Queue:
    return Queue(
        id=row["id"],
        key=QueueKey(account=row["account"], region=row["region"], name=row["name"]),
        created_s=row["created_s"],
        modified_s=row["modified_s"],
        purged_s=row["purged_s"],
        settings=_SETTINGS.decode(row["settings"]),
        tags=_TAGS.decode(row["tags"]),
    )


def _task(row: Row) -> MoveTask:
    return MoveTask(
        id=row["id"],
        source_arn=row["source_arn"],
        destination_arn=row["destination_arn"],
        rate=row["rate"],
        status=row["status"],
        started_ms=row["started_ms"],
        moved=row["moved"],
        to_move=row["to_move"],
        failure=row["failure"],
    )
