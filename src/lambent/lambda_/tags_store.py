"""Tags of Lambda resources, by ARN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lambent.storage.database import Transaction
from lambent.storage.migrations import Migration

MIGRATIONS = (
    Migration(
        room="lambda.tags",
        version=1,
        statements=(
            """CREATE TABLE lambda_tags (
                arn TEXT NOT NULL,
                tag_key TEXT NOT NULL,
                tag_value TEXT NOT NULL,
                PRIMARY KEY (arn, tag_key)
            )""",
        ),
    ),
)


def tags_of(tx: Transaction, arn: str) -> dict[str, str]:
    """The resource's tags in key order; empty when it has none."""
    rows = tx.all("SELECT tag_key, tag_value FROM lambda_tags WHERE arn = ? ORDER BY tag_key", (arn,))
    return {row["tag_key"]: row["tag_value"] for row in rows}


def save_tags(tx: Transaction, arn: str, tags: Mapping[str, str]) -> None:
    """Add tags; a key that exists gets the new value."""
    for key, value in tags.items():
        tx.execute(
            "INSERT INTO lambda_tags (arn, tag_key, tag_value) VALUES (?, ?, ?) "
            "ON CONFLICT (arn, tag_key) DO UPDATE SET tag_value = excluded.tag_value",
            (arn, key, value),
        )


def remove_tags(tx: Transaction, arn: str, keys: Iterable[str]) -> None:
    """Remove tags; a key that the resource does not have is no error."""
    for key in keys:
        tx.execute("DELETE FROM lambda_tags WHERE arn = ? AND tag_key = ?", (arn, key))


def delete_tags(tx: Transaction, arn: str) -> None:
    """Remove every tag of the resource."""
    tx.execute("DELETE FROM lambda_tags WHERE arn = ?", (arn,))
