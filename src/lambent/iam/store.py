"""IAM's tables. Every function here runs inside a unit of work.

Names of one kind differ by more than case: `folded` is the name in lower case and unique in its account.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lambent.iam.model import Policy, PolicyVersion, Role
from lambent.storage.database import Transaction
from lambent.storage.migrations import Migration

MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        room="iam",
        version=1,
        statements=(
            """CREATE TABLE iam_roles (
                account TEXT NOT NULL, name TEXT NOT NULL, folded TEXT NOT NULL, path TEXT NOT NULL,
                boundary_arn TEXT, document TEXT NOT NULL,
                PRIMARY KEY (account, name))""",
            "CREATE UNIQUE INDEX iam_roles_folded ON iam_roles (account, folded)",
            "CREATE INDEX iam_roles_boundary ON iam_roles (account, boundary_arn) WHERE boundary_arn IS NOT NULL",
            """CREATE TABLE iam_role_policies (
                account TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
                PRIMARY KEY (account, role, name))""",
            """CREATE TABLE iam_attachments (
                account TEXT NOT NULL, role TEXT NOT NULL, policy_arn TEXT NOT NULL,
                PRIMARY KEY (account, role, policy_arn))""",
            "CREATE INDEX iam_attachments_policy ON iam_attachments (account, policy_arn)",
            """CREATE TABLE iam_policies (
                account TEXT NOT NULL, name TEXT NOT NULL, folded TEXT NOT NULL, arn TEXT NOT NULL,
                document TEXT NOT NULL,
                PRIMARY KEY (account, name))""",
            "CREATE UNIQUE INDEX iam_policies_folded ON iam_policies (account, folded)",
            """CREATE TABLE iam_policy_versions (
                account TEXT NOT NULL, policy TEXT NOT NULL, number INTEGER NOT NULL, document TEXT NOT NULL,
                PRIMARY KEY (account, policy, number))""",
        ),
    ),
)

_ROLE = msgspec.json.Decoder(Role)
_POLICY = msgspec.json.Decoder(Policy)
_VERSION = msgspec.json.Decoder(PolicyVersion)


def _encode(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _count(tx: Transaction, sql: str, parameters: Sequence[str]) -> int:
    row = tx.one(sql, tuple(parameters))
    return 0 if row is None else int(row[0])


# -- roles -------------------------------------------------------------------------------------------------------------


def get_role(tx: Transaction, account: str, name: str) -> Role | None:
    """The role of exactly this name."""
    row = tx.one("SELECT document FROM iam_roles WHERE account = ? AND name = ?", (account, name))
    return None if row is None else _ROLE.decode(row[0])


def role_name_taken(tx: Transaction, account: str, name: str) -> bool:
    """Whether a role has this name in any case."""
    return tx.one("SELECT 1 FROM iam_roles WHERE account = ? AND folded = ?", (account, name.lower())) is not None


def count_roles(tx: Transaction, account: str) -> int:
    return _count(tx, "SELECT COUNT(*) FROM iam_roles WHERE account = ?", (account,))


def save_role(tx: Transaction, account: str, role: Role) -> None:
    """Insert the role, or replace the one of its name."""
    tx.execute(
        "INSERT INTO iam_roles (account, name, folded, path, boundary_arn, document) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (account, name) DO UPDATE SET boundary_arn = excluded.boundary_arn, document = excluded.document",
        (account, role.name, role.name.lower(), role.path, role.boundary_arn, _encode(role)),
    )


def delete_role(tx: Transaction, account: str, name: str) -> None:
    tx.execute("DELETE FROM iam_roles WHERE account = ? AND name = ?", (account, name))


def list_roles(tx: Transaction, account: str, path_prefix: str, after: str, limit: int) -> list[Role]:
    """Up to `limit` roles beneath `path_prefix` whose names come after `after`, by name."""
    rows = tx.all(
        "SELECT document FROM iam_roles WHERE account = ? AND substr(path, 1, ?) = ? AND name > ? "
        "ORDER BY name LIMIT ?",
        (account, len(path_prefix), path_prefix, after, limit),
    )
    return [_ROLE.decode(row[0]) for row in rows]


# -- inline policies ---------------------------------------------------------------------------------------------------


def get_inline_policy(tx: Transaction, account: str, role: str, name: str) -> str | None:
    """The document."""
    row = tx.one(
        "SELECT document FROM iam_role_policies WHERE account = ? AND role = ? AND name = ?", (account, role, name)
    )
    return None if row is None else str(row[0])


def save_inline_policy(tx: Transaction, account: str, role: str, name: str, document: str) -> None:
    tx.execute(
        "INSERT INTO iam_role_policies (account, role, name, document) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (account, role, name) DO UPDATE SET document = excluded.document",
        (account, role, name, document),
    )


def delete_inline_policy(tx: Transaction, account: str, role: str, name: str) -> bool:
    """False when there was none."""
    sql = "DELETE FROM iam_role_policies WHERE account = ? AND role = ? AND name = ?"
    return tx.execute(sql, (account, role, name)) > 0


def inline_policies(tx: Transaction, account: str, role: str) -> dict[str, str]:
    """Name to document, by name."""
    rows = tx.all(
        "SELECT name, document FROM iam_role_policies WHERE account = ? AND role = ? ORDER BY name", (account, role)
    )
    return {row[0]: row[1] for row in rows}


# -- attachments -------------------------------------------------------------------------------------------------------


def attach(tx: Transaction, account: str, role: str, policy_arn: str) -> None:
    """Idempotent."""
    tx.execute(
        "INSERT INTO iam_attachments (account, role, policy_arn) VALUES (?, ?, ?) "
        "ON CONFLICT (account, role, policy_arn) DO NOTHING",
        (account, role, policy_arn),
    )


def detach(tx: Transaction, account: str, role: str, policy_arn: str) -> bool:
    """False when it was not attached."""
    sql = "DELETE FROM iam_attachments WHERE account = ? AND role = ? AND policy_arn = ?"
    return tx.execute(sql, (account, role, policy_arn)) > 0


def attached_policies(tx: Transaction, account: str, role: str) -> list[str]:
    """ARNs, sorted."""
    rows = tx.all(
        "SELECT policy_arn FROM iam_attachments WHERE account = ? AND role = ? ORDER BY policy_arn", (account, role)
    )
    return [row[0] for row in rows]


def attachment_counts(tx: Transaction, account: str) -> dict[str, int]:
    """How many roles each policy is attached to, by ARN; policies without any are absent."""
    rows = tx.all("SELECT policy_arn, COUNT(*) FROM iam_attachments WHERE account = ? GROUP BY policy_arn", (account,))
    return {row[0]: int(row[1]) for row in rows}


def boundary_counts(tx: Transaction, account: str) -> dict[str, int]:
    """How many roles each policy bounds, by ARN; policies without any are absent."""
    rows = tx.all(
        "SELECT boundary_arn, COUNT(*) FROM iam_roles WHERE account = ? AND boundary_arn IS NOT NULL "
        "GROUP BY boundary_arn",
        (account,),
    )
    return {row[0]: int(row[1]) for row in rows}


def roles_attached_to(tx: Transaction, account: str, policy_arn: str) -> list[Role]:
    """By name."""
    rows = tx.all(
        "SELECT r.document FROM iam_attachments a JOIN iam_roles r ON r.account = a.account AND r.name = a.role "
        "WHERE a.account = ? AND a.policy_arn = ? ORDER BY r.name",
        (account, policy_arn),
    )
    return [_ROLE.decode(row[0]) for row in rows]


def roles_bounded_by(tx: Transaction, account: str, policy_arn: str) -> list[Role]:
    """By name."""
    rows = tx.all(
        "SELECT document FROM iam_roles WHERE account = ? AND boundary_arn = ? ORDER BY name", (account, policy_arn)
    )
    return [_ROLE.decode(row[0]) for row in rows]


# -- customer managed policies -----------------------------------------------------------------------------------------


def get_policy(tx: Transaction, account: str, name: str) -> Policy | None:
    """The customer managed policy of exactly this name."""
    row = tx.one("SELECT document FROM iam_policies WHERE account = ? AND name = ?", (account, name))
    return None if row is None else _POLICY.decode(row[0])


def policy_name_taken(tx: Transaction, account: str, name: str) -> bool:
    """Whether a customer managed policy has this name in any case."""
    return tx.one("SELECT 1 FROM iam_policies WHERE account = ? AND folded = ?", (account, name.lower())) is not None


def save_policy(tx: Transaction, account: str, policy: Policy) -> None:
    """Insert the policy, or replace the one of its name."""
    tx.execute(
        "INSERT INTO iam_policies (account, name, folded, arn, document) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (account, name) DO UPDATE SET document = excluded.document",
        (account, policy.name, policy.name.lower(), policy.arn, _encode(policy)),
    )


def delete_policy(tx: Transaction, account: str, name: str) -> None:
    """Delete the policy with its versions."""
    tx.execute("DELETE FROM iam_policy_versions WHERE account = ? AND policy = ?", (account, name))
    tx.execute("DELETE FROM iam_policies WHERE account = ? AND name = ?", (account, name))


def list_policies(tx: Transaction, account: str) -> list[Policy]:
    """By name."""
    rows = tx.all("SELECT document FROM iam_policies WHERE account = ? ORDER BY name", (account,))
    return [_POLICY.decode(row[0]) for row in rows]


def save_version(tx: Transaction, account: str, policy: str, version: PolicyVersion) -> None:
    tx.execute(
        "INSERT INTO iam_policy_versions (account, policy, number, document) VALUES (?, ?, ?, ?)",
        (account, policy, version.number, _encode(version)),
    )


def delete_version(tx: Transaction, account: str, policy: str, number: int) -> None:
    tx.execute(
        "DELETE FROM iam_policy_versions WHERE account = ? AND policy = ? AND number = ?", (account, policy, number)
    )


def policy_versions(tx: Transaction, account: str, policy: str) -> list[PolicyVersion]:
    """Newest first."""
    rows = tx.all(
        "SELECT document FROM iam_policy_versions WHERE account = ? AND policy = ? ORDER BY number DESC",
        (account, policy),
    )
    return [_VERSION.decode(row[0]) for row in rows]
