"""When a function moves to a newer runtime version: stored per version, `$LATEST` among them."""

from __future__ import annotations

from lambent.lambda_ import runtime_management_store, store
from lambent.lambda_.errors import InvalidParameterValue, function_not_found
from lambent.lambda_.model import LATEST_NUMBER, Version
from lambent.lambda_.names import FunctionReference, is_version_number
from lambent.lambda_.runtime_management_store import RuntimeManagement
from lambent.lambda_.runtimes import runtime_version_arn
from lambent.lambda_.service import LATEST
from lambent.storage.database import Transaction


def put_runtime_management(tx: Transaction, on: FunctionReference, management: RuntimeManagement) -> Version:
    """Store the configuration of one version; the version.

    Raises ResourceNotFound, and InvalidParameterValue for Manual without the ARN of the one runtime version that there
    is, or for an ARN without Manual.
    """
    version = _version(tx, on)
    arn = management.runtime_version_arn
    if management.update_runtime_on != "Manual":
        if arn is not None:
            raise InvalidParameterValue("RuntimeVersionArn is only supported when UpdateRuntimeOn is Manual.")
    elif arn is None:
        raise InvalidParameterValue("RuntimeVersionArn is required when UpdateRuntimeOn is Manual.")
    elif arn != (current := runtime_version_arn(on.scope, version.configuration.runtime)):
        raise InvalidParameterValue(
            f"The runtime version {arn} is not available. {version.configuration.runtime} runs as {current} here."
        )
    runtime_management_store.save_runtime_management(tx, on.scope, on.name, version.version, management)
    return version


def get_runtime_management(tx: Transaction, on: FunctionReference) -> tuple[Version, RuntimeManagement]:
    """The version and its configuration; Auto where none was put. Raises ResourceNotFound."""
    version = _version(tx, on)
    stored = runtime_management_store.find_runtime_management(tx, on.scope, on.name, version.version)
    return version, stored or RuntimeManagement()


def _version(tx: Transaction, on: FunctionReference) -> Version:
    version = None
    if on.qualifier is None or on.qualifier == LATEST:
        version = store.find_version(tx, on.scope, on.name, LATEST_NUMBER)
    elif is_version_number(on.qualifier):  # an alias has no runtime of its own
        version = store.find_version(tx, on.scope, on.name, int(on.qualifier))
    if version is None:
        raise function_not_found(on.qualified_arn)
    return version
