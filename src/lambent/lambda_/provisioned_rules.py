"""What may have provisioned concurrency, and how much: checks inside the unit of work that stores it."""

from __future__ import annotations

from lambent.core.limits import LAMBDA_UNRESERVED_MINIMUM
from lambent.lambda_ import concurrency_store, provisioned_store, store
from lambent.lambda_.errors import (
    InvalidParameterValue,
    ProvisionedConcurrencyConfigNotFound,
    ResourceConflict,
    ResourceNotFound,
    function_not_found,
)
from lambent.lambda_.model import Version
from lambent.lambda_.names import FunctionReference, is_version_number, version_number
from lambent.lambda_.service import LATEST
from lambent.storage.database import Transaction


def not_found() -> ProvisionedConcurrencyConfigNotFound:
    """The error for a version or alias without provisioned concurrency."""
    return ProvisionedConcurrencyConfigNotFound("No Provisioned Concurrency Config found for this function")


def check_qualifier(on: FunctionReference) -> str:
    """The version number or alias whose config is asked for. Raises InvalidParameterValue for `$LATEST`."""
    if on.qualifier is None or on.qualifier == LATEST:
        raise InvalidParameterValue("The function resource provided must be an alias or a published version.")
    return on.qualifier


def check_exists(tx: Transaction, on: FunctionReference) -> None:
    """Raises ResourceNotFound unless there is such a version or alias."""
    qualifier = check_qualifier(on)
    if is_version_number(qualifier):
        if store.find_version(tx, on.scope, on.name, version_number(qualifier)) is None:
            raise function_not_found(on.qualified_arn)
    elif store.find_alias(tx, on.scope, on.name, qualifier) is None:
        raise ResourceNotFound(f"Cannot find alias arn: {on.qualified_arn}")


def version_to_provision(tx: Transaction, on: FunctionReference) -> Version:
    """The version that a config on this version or alias concerns.

    Raises ResourceNotFound; InvalidParameterValue (`$LATEST`, an alias with weights) and ResourceConflict (the version
    and an alias of it cannot both have one; the version is not active).
    """
    unpublished = InvalidParameterValue(
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    )
    qualifier = on.qualifier
    if qualifier is None or qualifier == LATEST:
        raise unpublished
    check_exists(tx, on)
    configs = provisioned_store.configs_of(tx, on.scope, on.name)
    number = qualifier
    if is_version_number(qualifier):
        if any(config.version == qualifier != config.qualifier for config in configs):
            raise ResourceConflict("Version is pointed by a Provisioned Concurrency alias")
    else:
        alias = store.find_alias(tx, on.scope, on.name, qualifier)
        assert alias is not None
        if alias.function_version == LATEST:
            raise unpublished
        if alias.weights:
            raise InvalidParameterValue("Alias with weights can not be used with Provisioned Concurrency")
        number = alias.function_version
        if any(config.qualifier == number for config in configs):
            raise ResourceConflict(
                "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
            )
    version = store.find_version(tx, on.scope, on.name, version_number(number))
    if version is None:
        raise function_not_found(on.qualified_arn)
    if version.snapshotted:
        raise InvalidParameterValue(
            "Provisioned Concurrency Configs cannot be applied to function versions that have SnapStart enabled."
        )
    if version.status.state != "Active":
        raise ResourceConflict(
            "The operation cannot be performed at this time. The function is currently in the following state: "
            f"{version.status.state}"
        )
    return version


def check_executions(tx: Transaction, on: FunctionReference, executions: int, account_limit: int) -> None:
    """Raises InvalidParameterValue when the function's reservation, or else what all functions share, is too small.

    Of what all share 100 must stay, or the whole limit of an account that has less (see `concurrency`).
    """
    scope, name = on.scope, on.name
    others = provisioned_store.of_function(tx, scope, name, but=on.qualifier or "")
    reserved = concurrency_store.find_reserved(tx, scope, name)
    if reserved is not None:
        if others + executions > reserved:
            raise InvalidParameterValue(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for "
                "function"
            )
        return
    replaced = provisioned_store.of_function(tx, scope, name) - others
    unreserved = account_limit - concurrency_store.reserved_in(tx, scope)
    unreserved -= provisioned_store.of_unreserved(tx, scope) - replaced
    if executions > unreserved:
        raise InvalidParameterValue(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
            f"[{unreserved}]."
        )
    minimum = min(LAMBDA_UNRESERVED_MINIMUM, account_limit)
    if unreserved - executions < minimum:
        raise InvalidParameterValue(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            f"minimum value of [{minimum}]."
        )
