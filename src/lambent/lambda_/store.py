"""The tables of functions, versions and aliases. Every function here runs inside a unit of work."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lambent.core.operations import Scope
from lambent.lambda_.model import LATEST_NUMBER, Alias, Function, Version
from lambent.lambda_.names import version_number
from lambent.lambda_.service import LATEST
from lambent.storage.database import Row, Transaction
from lambent.storage.migrations import Migration

MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        room="lambda",
        version=1,
        statements=(
            """CREATE TABLE lambda_functions (
                account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
                last_number INTEGER NOT NULL,
                PRIMARY KEY (account, region, name))""",
            # `document` is a model.Version; `serving` the one that invokes run while an update is in progress.
            # `changing` finds what a restart interrupted; `blobs` lists the packages that the row needs.
            """CREATE TABLE lambda_versions (
                account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL,
                document TEXT NOT NULL, serving TEXT, changing INTEGER NOT NULL, blobs TEXT NOT NULL,
                PRIMARY KEY (account, region, name, number))""",
            "CREATE INDEX lambda_versions_changing ON lambda_versions (changing) WHERE changing = 1",
            """CREATE TABLE lambda_aliases (
                account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, alias TEXT NOT NULL,
                function_version TEXT NOT NULL, document TEXT NOT NULL,
                PRIMARY KEY (account, region, name, alias))""",
        ),
    ),
)

_VERSION = msgspec.json.Decoder(Version)
_ALIAS = msgspec.json.Decoder(Alias)


def _encode(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


# -- functions ---------------------------------------------------------------------------------------------------------


def find_function(tx: Transaction, scope: Scope, name: str) -> Function | None:
    """The function, or None."""
    row = tx.one(
        "SELECT v.document, v.serving, f.last_number FROM lambda_functions f JOIN lambda_versions v "
        "ON v.account = f.account AND v.region = f.region AND v.name = f.name AND v.number = 0 "
        "WHERE f.account = ? AND f.region = ? AND f.name = ?",
        (scope.account, scope.region, name),
    )
    if row is None:
        return None
    serving = None if row[1] is None else _VERSION.decode(row[1])
    return Function(latest=_VERSION.decode(row[0]), serving=serving, last_number=row[2])


def function_exists(tx: Transaction, scope: Scope, name: str) -> bool:
    """Whether there is such a function, without reading its documents."""
    return (
        tx.one(
            "SELECT 1 FROM lambda_functions WHERE account = ? AND region = ? AND name = ?",
            (scope.account, scope.region, name),
        )
        is not None
    )


def insert_function(tx: Transaction, latest: Version) -> None:
    """Store a new function; it must not exist."""
    tx.execute(
        "INSERT INTO lambda_functions (account, region, name, last_number) VALUES (?, ?, ?, 0)",
        (latest.scope.account, latest.scope.region, latest.name),
    )
    save_version(tx, latest)


def delete_function(tx: Transaction, scope: Scope, name: str) -> bool:
    """Delete the function with its versions and aliases; False when there was none."""
    key = (scope.account, scope.region, name)
    tx.execute("DELETE FROM lambda_aliases WHERE account = ? AND region = ? AND name = ?", key)
    tx.execute("DELETE FROM lambda_versions WHERE account = ? AND region = ? AND name = ?", key)
    return tx.execute("DELETE FROM lambda_functions WHERE account = ? AND region = ? AND name = ?", key) > 0


def list_functions(tx: Transaction, scope: Scope, after: str, limit: int) -> list[Version]:
    """`$LATEST` of up to `limit` functions whose names come after `after`, in the order of their names."""
    rows = tx.all(
        "SELECT document FROM lambda_versions WHERE account = ? AND region = ? AND number = 0 AND name > ? "
        "ORDER BY name LIMIT ?",
        (scope.account, scope.region, after, limit),
    )
    return [_VERSION.decode(row[0]) for row in rows]


def count_functions(tx: Transaction, scope: Scope) -> int:
    """How many functions the scope has."""
    row = tx.one(
        "SELECT COUNT(*) FROM lambda_functions WHERE account = ? AND region = ?", (scope.account, scope.region)
    )
    return 0 if row is None else int(row[0])


# -- versions ----------------------------------------------------------------------------------------------------------


def find_version(tx: Transaction, scope: Scope, name: str, number: int) -> Version | None:
    """A published version (or, with LATEST_NUMBER, `$LATEST`), or None."""
    row = tx.one(
        "SELECT document FROM lambda_versions WHERE account = ? AND region = ? AND name = ? AND number = ?",
        (scope.account, scope.region, name, number),
    )
    return None if row is None else _VERSION.decode(row[0])


def save_version(tx: Transaction, version: Version, serving: Version | None = None) -> None:
    """Insert or replace a version. `serving` is what invokes run instead until the update is complete."""
    blobs = {version.package.sha256, *(layer.sha256 for layer in version.configuration.layers)}
    if serving is not None:
        blobs |= {serving.package.sha256, *(layer.sha256 for layer in serving.configuration.layers)}
    tx.execute(
        "INSERT INTO lambda_versions (account, region, name, number, document, serving, changing, blobs) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, region, name, number) DO UPDATE SET "
        "document = excluded.document, serving = excluded.serving, "
        "changing = excluded.changing, blobs = excluded.blobs",
        (
            version.scope.account,
            version.scope.region,
            version.name,
            version.number,
            _encode(version),
            None if serving is None else _encode(serving),
            int(version.status.changing),
            " ".join(sorted(blobs)),
        ),
    )


def insert_published(tx: Transaction, version: Version) -> None:
    """Store a newly published version and use up its number."""
    tx.execute(
        "UPDATE lambda_functions SET last_number = ? WHERE account = ? AND region = ? AND name = ?",
        (version.number, version.scope.account, version.scope.region, version.name),
    )
    save_version(tx, version)


def delete_version(tx: Transaction, scope: Scope, name: str, number: int) -> bool:
    """Delete a published version; False when there was none."""
    sql = "DELETE FROM lambda_versions WHERE account = ? AND region = ? AND name = ? AND number = ?"
    return tx.execute(sql, (scope.account, scope.region, name, number)) > 0


def list_versions(tx: Transaction, scope: Scope, name: str, after: int, limit: int) -> list[Version]:
    """Up to `limit` versions with numbers above `after` (-1 starts with `$LATEST`), in order."""
    rows = tx.all(
        "SELECT document FROM lambda_versions WHERE account = ? AND region = ? AND name = ? AND number > ? "
        "ORDER BY number LIMIT ?",
        (scope.account, scope.region, name, after, limit),
    )
    return [_VERSION.decode(row[0]) for row in rows]


def list_all_versions(tx: Transaction, scope: Scope, after: tuple[str, int], limit: int) -> list[Version]:
    """Up to `limit` versions of all functions after (name, number), in the order of names, then numbers."""
    rows = tx.all(
        "SELECT document FROM lambda_versions WHERE account = ? AND region = ? "
        "AND (name > ? OR (name = ? AND number > ?)) ORDER BY name, number LIMIT ?",
        (scope.account, scope.region, after[0], after[0], after[1], limit),
    )
    return [_VERSION.decode(row[0]) for row in rows]


def list_changing(tx: Transaction) -> list[Version]:
    """Every version of every account whose create or update is not complete: what a restart must resume."""
    return [_VERSION.decode(row[0]) for row in tx.all("SELECT document FROM lambda_versions WHERE changing = 1")]


def referenced_blobs(tx: Transaction) -> set[str]:
    """The hex SHA-256 of every package that functions need: code and layers, also of updates in progress."""
    rows: Sequence[Row] = tx.all("SELECT DISTINCT blobs FROM lambda_versions")
    return {sha256 for row in rows for sha256 in row[0].split()}


def set_revision(tx: Transaction, scope: Scope, name: str, qualifier: str | None, revision_id: str) -> None:
    """Give the function, version or alias a new RevisionId (its resource policy changed). It must exist."""
    if qualifier is not None and (alias := find_alias(tx, scope, name, qualifier)) is not None:
        save_alias(tx, msgspec.structs.replace(alias, revision_id=revision_id))
        return
    number = _number(qualifier)
    version = find_version(tx, scope, name, number)
    if version is None:
        raise KeyError(f"{name}:{qualifier}")
    document = _encode(msgspec.structs.replace(version, revision_id=revision_id))
    tx.execute(
        "UPDATE lambda_versions SET document = ? WHERE account = ? AND region = ? AND name = ? AND number = ?",
        (document, scope.account, scope.region, name, number),
    )


def revision_of(tx: Transaction, scope: Scope, name: str, qualifier: str | None) -> str | None:
    """The RevisionId of the function (None or `$LATEST`), version or alias; None when it does not exist."""
    if qualifier is None or qualifier == LATEST or qualifier.isdigit():
        number = _number(qualifier)
        version = find_version(tx, scope, name, number)
        return None if version is None else version.revision_id
    alias = find_alias(tx, scope, name, qualifier)
    return None if alias is None else alias.revision_id


def _number(qualifier: str | None) -> int:
    return LATEST_NUMBER if qualifier in (None, LATEST) else version_number(str(qualifier))


# -- aliases -----------------------------------------------------------------------------------------------------------


def find_alias(tx: Transaction, scope: Scope, name: str, alias: str) -> Alias | None:
    """The alias of the function, or None."""
    row = tx.one(
        "SELECT document FROM lambda_aliases WHERE account = ? AND region = ? AND name = ? AND alias = ?",
        (scope.account, scope.region, name, alias),
    )
    return None if row is None else _ALIAS.decode(row[0])


def save_alias(tx: Transaction, alias: Alias) -> None:
    """Insert or replace an alias."""
    tx.execute(
        "INSERT INTO lambda_aliases (account, region, name, alias, function_version, document) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, region, name, alias) DO UPDATE SET "
        "function_version = excluded.function_version, document = excluded.document",
        (
            alias.scope.account,
            alias.scope.region,
            alias.function_name,
            alias.name,
            alias.function_version,
            _encode(alias),
        ),
    )


def delete_alias(tx: Transaction, scope: Scope, name: str, alias: str) -> bool:
    """Delete an alias; False when there was none."""
    sql = "DELETE FROM lambda_aliases WHERE account = ? AND region = ? AND name = ? AND alias = ?"
    return tx.execute(sql, (scope.account, scope.region, name, alias)) > 0


def list_aliases(
    tx: Transaction, scope: Scope, name: str, after: str, limit: int, function_version: str | None = None
) -> list[Alias]:
    """Up to `limit` aliases with names after `after`, in order; only those pointing at `function_version` if given."""
    condition, parameters = ("", ()) if function_version is None else ("AND function_version = ? ", (function_version,))
    rows = tx.all(
        "SELECT document FROM lambda_aliases WHERE account = ? AND region = ? AND name = ? AND alias > ? "
        f"{condition}ORDER BY alias LIMIT ?",
        (scope.account, scope.region, name, after, *parameters, limit),
    )
    return [_ALIAS.decode(row[0]) for row in rows]


def aliases_of(tx: Transaction, scope: Scope, name: str) -> list[Alias]:
    """Every alias of the function."""
    rows = tx.all(
        "SELECT document FROM lambda_aliases WHERE account = ? AND region = ? AND name = ? ORDER BY alias",
        (scope.account, scope.region, name),
    )
    return [_ALIAS.decode(row[0]) for row in rows]
