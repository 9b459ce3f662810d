"""Resource policies of functions: one for each qualifier, guarded by the RevisionId of what it hangs on.

A change of the policy is a change of the function, version or alias, which gets a new RevisionId; the policy's own
RevisionId is that one.
"""

from __future__ import annotations

from lambent.lambda_ import policies_store, store
from lambent.lambda_.errors import InvalidParameterValue, ResourceNotFound, check_revision, function_not_found
from lambent.lambda_.names import FunctionReference, is_version_number
from lambent.lambda_.policy_documents import (
    Permission,
    add_statement,
    build_statement,
    check_document,
    encode,
    remove_statement,
)
from lambent.lambda_.service import LATEST
from lambent.storage.database import Transaction

_READ_REVISION_WITH = "GetPolicy"


def add_permission(
    tx: Transaction, on: FunctionReference, permission: Permission, *, revision_id: str | None, new_revision: str
) -> str:
    """Add a grant; the statement's JSON text.

    Raises ResourceNotFound (function, version or alias), PreconditionFailed, ResourceConflict (the statement id is
    taken), InvalidParameterValue and PolicyLengthExceeded.
    """
    current = _revision(tx, on)
    statement = build_statement(permission, on.qualified_arn, on.scope.partition)
    check_revision(revision_id, current, _READ_REVISION_WITH)
    document = add_statement(policies_store.find_policy(tx, on.scope, on.name, on.qualifier), statement)
    _save(tx, on, document, new_revision)
    return encode(statement)


def remove_permission(
    tx: Transaction, on: FunctionReference, statement_id: str, *, revision_id: str | None, new_revision: str
) -> None:
    """Remove a grant, and the policy with its last one. Raises ResourceNotFound and PreconditionFailed."""
    _refuse_latest(on)
    if not store.function_exists(tx, on.scope, on.name):
        raise ResourceNotFound(f"No policy found for: {on.arn}")
    document = policies_store.find_policy(tx, on.scope, on.name, on.qualifier)
    if document is None:
        raise ResourceNotFound("No policy is associated with the given resource.")
    remaining = remove_statement(document, statement_id)
    check_revision(revision_id, _revision(tx, on), _READ_REVISION_WITH)
    _save(tx, on, remaining, new_revision)


def get_policy(tx: Transaction, on: FunctionReference) -> tuple[str, str]:
    """The document's JSON text and its RevisionId. Raises ResourceNotFound when there is none."""
    _refuse_latest(on)
    document = policies_store.find_policy(tx, on.scope, on.name, on.qualifier)
    if document is None:
        raise ResourceNotFound("The resource you requested does not exist.")
    return document, _revision(tx, on)


def put_policy(
    tx: Transaction, on: FunctionReference, document: str, *, revision_id: str | None, new_revision: str
) -> None:
    """Replace the whole policy, also what AddPermission wrote.

    Raises InvalidParameterValue (not a policy), ResourceNotFound, PreconditionFailed and PolicyLengthExceeded.
    """
    current = _revision(tx, on)
    check_document(document, on.qualified_arn)
    check_revision(revision_id, current, "GetResourcePolicy")
    _save(tx, on, document, new_revision)


def delete_policy(tx: Transaction, on: FunctionReference, *, revision_id: str | None, new_revision: str) -> None:
    """Remove the whole policy. Raises ResourceNotFound when there is none, and PreconditionFailed."""
    _, current = get_policy(tx, on)
    check_revision(revision_id, current, "GetResourcePolicy")
    _save(tx, on, None, new_revision)


def _save(tx: Transaction, on: FunctionReference, document: str | None, new_revision: str) -> None:
    if document is None:
        policies_store.delete_policy(tx, on.scope, on.name, on.qualifier)
    else:
        policies_store.save_policy(tx, on.scope, on.name, on.qualifier, document)
    store.set_revision(tx, on.scope, on.name, on.qualifier, new_revision)


def _refuse_latest(on: FunctionReference) -> None:
    if on.qualifier == LATEST:
        raise InvalidParameterValue("We currently do not support adding policies for $LATEST.")


def _revision(tx: Transaction, on: FunctionReference) -> str:
    """The RevisionId of what the policy hangs on. Raises ResourceNotFound worded for what is missing."""
    _refuse_latest(on)
    if not store.function_exists(tx, on.scope, on.name):
        raise function_not_found(on.arn)
    # Other names that start with $ (as $LATEST.PUBLISHED) belong to managed instances, of which there are none.
    known = on.qualifier is None or not on.qualifier.startswith("$")
    revision = store.revision_of(tx, on.scope, on.name, on.qualifier) if known else None
    if revision is not None:
        return revision
    if on.qualifier is None or is_version_number(on.qualifier) or not known:
        raise function_not_found(on.qualified_arn)
    raise ResourceNotFound(f"Cannot find alias arn: {on.qualified_arn}")
