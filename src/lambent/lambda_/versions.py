"""Publishing and finding versions: units of work on one function."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lambent.core.arns import function_arn
from lambent.core.operations import Scope
from lambent.lambda_ import store
from lambent.lambda_.errors import InvalidParameterValue, ResourceConflict, check_revision, function_not_found
from lambent.lambda_.hashes import base64_of
from lambent.lambda_.model import Function, Status, Version
from lambent.lambda_.names import FunctionReference, is_version_number, version_number
from lambent.lambda_.service import LATEST
from lambent.storage.database import Transaction

ACTIVE = Status(state="Active", last_update="Successful")
CREATING = Status(state="Pending", state_reason="The function is being created.", state_reason_code="Creating")


def get_function(tx: Transaction, reference: FunctionReference) -> Function:
    """The function. Raises ResourceNotFound with the ARN that was asked for."""
    function = store.find_function(tx, reference.scope, reference.name)
    if function is None:
        raise function_not_found(reference.qualified_arn)
    return function


def get_version(tx: Transaction, reference: FunctionReference) -> Version:
    """What the reference's qualifier stands for: `$LATEST`, a version, or an alias's (first) version.

    Raises ResourceNotFound with the ARN that was asked for.
    """
    scope, name, qualifier = reference.scope, reference.name, reference.qualifier
    if qualifier is not None and qualifier != LATEST and not is_version_number(qualifier):
        alias = store.find_alias(tx, scope, name, qualifier)
        if alias is None:
            raise function_not_found(reference.qualified_arn)
        qualifier = alias.function_version
    if qualifier is None or qualifier == LATEST:
        return get_function(tx, reference).latest
    version = store.find_version(tx, scope, name, version_number(qualifier))
    if version is None:
        raise function_not_found(reference.qualified_arn)
    return version


def check_exists(tx: Transaction, scope: Scope, name: str, function_version: str) -> None:
    """Raises ResourceNotFound unless the function has this version (`$LATEST` or a number)."""
    get_version(tx, FunctionReference(scope=scope, name=name, qualifier=function_version))


def check_settled(function: Function) -> None:
    """Raises ResourceConflict while a create or an update is under way."""
    if function.latest.status.changing:
        raise ResourceConflict(
            "The operation cannot be performed at this time. An update is in progress for resource: " + function.arn
        )


def check_code_sha256(function: Function, given: str | None) -> None:
    """PublishVersion's CodeSha256 precondition. Raises InvalidParameterValue."""
    current = base64_of(function.latest.package.sha256)
    if given and given != current:
        raise InvalidParameterValue(
            f"CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({current}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )


def publish(
    tx: Transaction, function: Function, new_id: Callable[[], str], *, description: str | None = None
) -> Version:
    """Freeze `$LATEST` as the next version, or return the last published one when nothing but its description differs.

    The number of a deleted version is never used again. Publishing gives `$LATEST` a new RevisionId.
    """
    latest = function.latest
    last = store.find_version(tx, latest.scope, latest.name, function.last_number) if function.last_number else None
    if last is not None and _content(last) == _content(latest):
        return last
    configuration = latest.configuration
    if description is not None:
        configuration = msgspec.structs.replace(configuration, description=description)
    version = msgspec.structs.replace(
        latest,
        number=function.last_number + 1,
        configuration=configuration,
        # A version published with a create or an update waits with it, one with SnapStart for its snapshot; any other
        # is ready: its code is `$LATEST`'s.
        status=CREATING if latest.status.changing or configuration.snap_start != "None" else ACTIVE,
        revision_id=new_id(),
    )
    store.insert_published(tx, version)
    store.save_version(tx, msgspec.structs.replace(latest, revision_id=new_id()), serving=function.serving)
    return version


def _content(version: Version) -> tuple[object, ...]:
    return version.package, msgspec.structs.replace(version.configuration, description="")


def delete_version(tx: Transaction, reference: FunctionReference) -> Version | None:
    """Delete the published version that the reference's qualifier names; None when there was none (no error on AWS).

    Raises ResourceNotFound (no such function), InvalidParameterValue (`$LATEST`, an alias) and ResourceConflict (an
    alias points at it).
    """
    scope, name, qualifier = reference.scope, reference.name, reference.qualifier
    assert qualifier is not None
    if qualifier == LATEST:
        raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
    if not is_version_number(qualifier):
        raise InvalidParameterValue("Deletion of aliases is not currently supported.")
    if not store.function_exists(tx, scope, name):
        raise function_not_found(function_arn(scope, name))
    aliases = [
        alias.name
        for alias in store.aliases_of(tx, scope, name)
        if qualifier == alias.function_version or qualifier in alias.weights
    ]
    if aliases:
        raise ResourceConflict(
            f"Unable to delete version because the following aliases reference it: [{', '.join(aliases)}]"
        )
    version = store.find_version(tx, scope, name, version_number(qualifier))
    if version is not None:
        store.delete_version(tx, scope, name, version.number)
    return version


def check_update(function: Function, params_revision: str | None) -> None:
    """What every update checks first, in AWS's order: nothing else under way, then the RevisionId."""
    check_settled(function)
    check_revision(params_revision, function.latest.revision_id)
