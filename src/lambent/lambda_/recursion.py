"""Whether Lambda ends a function's recursive loops: stored per function."""

from __future__ import annotations

from lambent.lambda_ import recursion_store, store
from lambent.lambda_.errors import function_not_found
from lambent.lambda_.names import FunctionReference
from lambent.lambda_.recursion_store import RecursiveLoop
from lambent.storage.database import Transaction

DEFAULT: RecursiveLoop = "Terminate"


def put_recursive_loop(tx: Transaction, on: FunctionReference, recursive_loop: RecursiveLoop) -> None:
    """Raises ResourceNotFound."""
    _check_exists(tx, on)
    recursion_store.save_recursive_loop(tx, on.scope, on.name, recursive_loop)


def get_recursive_loop(tx: Transaction, on: FunctionReference) -> RecursiveLoop:
    """What was put, Terminate otherwise. Raises ResourceNotFound."""
    _check_exists(tx, on)
    return recursion_store.find_recursive_loop(tx, on.scope, on.name) or DEFAULT


def _check_exists(tx: Transaction, on: FunctionReference) -> None:
    if not store.function_exists(tx, on.scope, on.name):
        raise function_not_found(on.arn)
