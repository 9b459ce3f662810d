"""What an account uses of its limits."""

from __future__ import annotations

import msgspec

from lambent.core.operations import Scope
from lambent.lambda_ import concurrency_store, layers_store, provisioned_store, store
from lambent.storage.database import Transaction

_CHUNK = 500


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """`code_bytes` counts the package of every version and layer version, shared contents too, as AWS counts."""

    code_bytes: int
    functions: int
    claimed_executions: int  # reserved by functions, or provisioned for versions of others


def usage(tx: Transaction, scope: Scope) -> Usage:
    """What the scope uses now."""
    return Usage(
        code_bytes=_function_bytes(tx, scope) + layers_store.total_zip_bytes(tx, scope),
        functions=store.count_functions(tx, scope),
        claimed_executions=concurrency_store.reserved_in(tx, scope) + provisioned_store.of_unreserved(tx, scope),
    )


def _function_bytes(tx: Transaction, scope: Scope) -> int:
    total, after = 0, ("", -1)
    while versions := store.list_all_versions(tx, scope, after, _CHUNK):
        total += sum(version.package.zip_bytes for version in versions)
        after = (versions[-1].name, versions[-1].number)
    return total
