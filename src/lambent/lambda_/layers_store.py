"""Layers and their versions. Every function here runs inside a unit of work.

A deleted version is gone from here; functions that use it keep what they need of it themselves.
"""

from __future__ import annotations

import msgspec

from lambent.core.arns import arn
from lambent.core.operations import Scope
from lambent.lambda_.model import Package
from lambent.storage.database import Row, Transaction
from lambent.storage.migrations import Migration

MIGRATIONS = (
    Migration(
        room="lambda.layers",
        version=1,
        statements=(
            # One row for each name ever used: version numbers are never given twice.
            """CREATE TABLE lambda_layers (
                account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
                last_version INTEGER NOT NULL,
                PRIMARY KEY (account, region, name))""",
            # `runtimes` and `architectures` are words between spaces, so that LIKE finds one.
            """CREATE TABLE lambda_layer_versions (
                account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
                description TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL,
                sha256 TEXT NOT NULL, zip_bytes INTEGER NOT NULL, unzipped_bytes INTEGER NOT NULL,
                runtimes TEXT, architectures TEXT, license_info TEXT,
                policy TEXT, policy_revision TEXT,
                PRIMARY KEY (account, region, name, version))""",
        ),
    ),
)


class LayerVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One published version of a layer. Lists are None where the publisher gave none."""

    scope: Scope
    name: str
    version: int
    package: Package
    created_at: float  # epoch seconds
    description: str = ""
    runtimes: tuple[str, ...] | None = None
    architectures: tuple[str, ...] | None = None
    license_info: str | None = None

    @property
    def layer_arn(self) -> str:
        return arn("lambda", self.scope, f"layer:{self.name}")

    @property
    def arn(self) -> str:
        """With the version number."""
        return f"{self.layer_arn}:{self.version}"


class LayerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A layer version's resource policy as JSON text."""

    document: str
    revision_id: str


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which layer versions a list shows: those that name the runtime and the architecture, where given."""

    runtime: str | None = None
    architecture: str | None = None


_COLUMNS = (
    "account, region, name, version, description, created_at, sha256, zip_bytes, unzipped_bytes, runtimes, "
    "architectures, license_info"
)
_LAYER = "account = ? AND region = ? AND name = ?"


def next_version(tx: Transaction, scope: Scope, name: str) -> int:
    """Use up the layer's next version number, from 1 and never again."""
    tx.execute(
        "INSERT INTO lambda_layers (account, region, name, last_version) VALUES (?, ?, ?, 1) "
        "ON CONFLICT (account, region, name) DO UPDATE SET last_version = lambda_layers.last_version + 1",
        (scope.account, scope.region, name),
    )
    row = tx.one(f"SELECT last_version FROM lambda_layers WHERE {_LAYER}", (scope.account, scope.region, name))
    assert row is not None
    return int(row["last_version"])


def insert_version(tx: Transaction, layer: LayerVersion) -> None:
    """Store a new version; its number must have come from `next_version`."""
    tx.execute(
        f"INSERT INTO lambda_layer_versions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            layer.scope.account,
            layer.scope.region,
            layer.name,
            layer.version,
            layer.description,
            layer.created_at,
            layer.package.sha256,
            layer.package.zip_bytes,
            layer.package.unzipped_bytes,
            _words(layer.runtimes),
            _words(layer.architectures),
            layer.license_info,
        ),
    )


def find_version(tx: Transaction, scope: Scope, name: str, version: int) -> LayerVersion | None:
    row = tx.one(
        f"SELECT {_COLUMNS} FROM lambda_layer_versions WHERE {_LAYER} AND version = ?",
        (scope.account, scope.region, name, version),
    )
    return None if row is None else _layer_version(row)


def delete_version(tx: Transaction, scope: Scope, name: str, version: int) -> None:
    """Delete the version with its policy; none is no error."""
    tx.execute(
        f"DELETE FROM lambda_layer_versions WHERE {_LAYER} AND version = ?",
        (scope.account, scope.region, name, version),
    )


def list_versions(
    tx: Transaction, scope: Scope, name: str, before: int, limit: int, matching: Filter
) -> list[LayerVersion]:
    """At most `limit` versions with numbers below `before`, newest first."""
    condition, parameters = _matching(matching)
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM lambda_layer_versions WHERE {_LAYER} AND version < ?{condition} "
        "ORDER BY version DESC LIMIT ?",
        (scope.account, scope.region, name, before, *parameters, limit),
    )
    return [_layer_version(row) for row in rows]


def list_layers(tx: Transaction, scope: Scope, after: str, limit: int, matching: Filter) -> list[LayerVersion]:
    """The newest matching version of at most `limit` layers with names after `after`, in the order of names."""
    condition, parameters = _matching(matching)
    newest = tx.all(
        "SELECT name, MAX(version) AS version FROM lambda_layer_versions "
        f"WHERE account = ? AND region = ? AND name > ?{condition} GROUP BY name ORDER BY name LIMIT ?",
        (scope.account, scope.region, after, *parameters, limit),
    )
    found = [find_version(tx, scope, row["name"], row["version"]) for row in newest]
    return [layer for layer in found if layer is not None]


def find_policy(tx: Transaction, scope: Scope, name: str, version: int) -> LayerPolicy | None:
    """The layer version's policy, None where it has none (or does not exist)."""
    row = tx.one(
        f"SELECT policy, policy_revision FROM lambda_layer_versions WHERE {_LAYER} AND version = ?",
        (scope.account, scope.region, name, version),
    )
    if row is None or row["policy"] is None:
        return None
    return LayerPolicy(document=row["policy"], revision_id=row["policy_revision"])


def save_policy(tx: Transaction, scope: Scope, name: str, version: int, policy: LayerPolicy | None) -> None:
    """Set the policy of a layer version that exists; None removes it."""
    document, revision = (None, None) if policy is None else (policy.document, policy.revision_id)
    tx.execute(
        f"UPDATE lambda_layer_versions SET policy = ?, policy_revision = ? WHERE {_LAYER} AND version = ?",
        (document, revision, scope.account, scope.region, name, version),
    )


def referenced_blobs(tx: Transaction) -> set[str]:
    """The hex SHA-256 of every layer version's package, of all scopes."""
    return {row["sha256"] for row in tx.all("SELECT DISTINCT sha256 FROM lambda_layer_versions")}


def total_zip_bytes(tx: Transaction, scope: Scope) -> int:
    """What the scope's layer versions count towards its code storage."""
    row = tx.one(
        "SELECT COALESCE(SUM(zip_bytes), 0) AS total FROM lambda_layer_versions WHERE account = ? AND region = ?",
        (scope.account, scope.region),
    )
    return 0 if row is None else int(row["total"])


def _matching(matching: Filter) -> tuple[str, tuple[str, ...]]:
    wanted = {"runtimes": matching.runtime, "architectures": matching.architecture}
    given = {column: word for column, word in wanted.items() if word is not None}
    return (
        "".join(f" AND {column} LIKE ?" for column in given),
        tuple(f"% {word} %" for word in given.values()),
    )


def _words(words: tuple[str, ...] | None) -> str | None:
    return None if words is None else f" {' '.join(words)} "


def _layer_version(row: Row) -> LayerVersion:
    return LayerVersion(
        scope=Scope(account=row["account"], region=row["region"]),
        name=row["name"],
        version=row["version"],
        package=Package(sha256=row["sha256"], zip_bytes=row["zip_bytes"], unzipped_bytes=row["unzipped_bytes"]),
        created_at=row["created_at"],
        description=row["description"],
        runtimes=None if row["runtimes"] is None else tuple(row["runtimes"].split()),
        architectures=None if row["architectures"] is None else tuple(row["architectures"].split()),
        license_info=row["license_info"],
    )
