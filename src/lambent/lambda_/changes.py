"""Creating, updating and deleting functions: units of work that leave a change for `lifecycle` to complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from lambent.lambda_ import store
from lambent.lambda_.errors import ResourceConflict
from lambent.lambda_.model import LATEST_NUMBER, Configuration, Function, Package, Status, Version
from lambent.lambda_.names import FunctionReference
from lambent.lambda_.versions import CREATING, get_function, publish
from lambent.storage.database import Transaction

# AWS words an update's reason as a creation's, too.
UPDATING = Status(
    state="Active",
    last_update="InProgress",
    last_update_reason=CREATING.state_reason,
    last_update_reason_code=CREATING.state_reason_code,
)


def check_new(tx: Transaction, reference: FunctionReference) -> None:
    """Raises ResourceConflict when the function exists."""
    if store.function_exists(tx, reference.scope, reference.name):
        raise ResourceConflict(f"Function already exist: {reference.name}")


def create(
    tx: Transaction,
    reference: FunctionReference,
    configuration: Configuration,
    package: Package,
    new_id: Callable[[], str],
    now: float,
) -> Version:
    """Store a new function, Pending. Raises ResourceConflict when it exists."""
    check_new(tx, reference)
    latest = Version(
        scope=reference.scope,
        name=reference.name,
        number=LATEST_NUMBER,
        package=package,
        configuration=configuration,
        status=CREATING,
        revision_id=new_id(),
        deployment_id=new_id(),
        last_modified=now,
    )
    store.insert_function(tx, latest)
    return latest


def update(tx: Transaction, function: Function, changed: Version, new_id: Callable[[], str], now: float) -> Version:
    """Store `changed` (made of the function's `$LATEST`) as an update in progress; invokes run what they ran before."""
    latest = msgspec.structs.replace(
        changed, status=UPDATING, revision_id=new_id(), deployment_id=new_id(), last_modified=now
    )
    store.save_version(tx, latest, serving=function.serving or function.latest)
    return latest


def publish_changed(tx: Transaction, latest: Version, new_id: Callable[[], str]) -> Version:
    """Publish what `create` or `update` has just stored."""
    function = get_function(tx, FunctionReference(scope=latest.scope, name=latest.name))
    return publish(tx, function, new_id)


def delete(tx: Transaction, reference: FunctionReference) -> Sequence[Version]:
    """Delete the whole function; every version that may have environments. Raises ResourceNotFound."""
    function = get_function(tx, reference)
    versions = store.list_versions(tx, reference.scope, reference.name, -1, _ALL)
    store.delete_function(tx, reference.scope, reference.name)
    return versions if function.serving is None else [*versions, function.serving]


_ALL = 1 << 31
