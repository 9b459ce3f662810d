"""From the parameters of CreateFunction and UpdateFunctionConfiguration to a `Configuration`, with their rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lambent.core.limits import LAMBDA_MAX_LAYERS, LAMBDA_MAX_MEMORY_MB, LAMBDA_TIMEOUT_S, LAMBDA_UNZIPPED_BYTES
from lambent.core.operations import Params, Scope
from lambent.lambda_.environment_variables import check_environment
from lambent.lambda_.errors import InvalidParameterValue, constraint
from lambent.lambda_.layer_resolver import LayerResolver, ResolvedLayer
from lambent.lambda_.model import Configuration, Logging, Package
from lambent.lambda_.runtimes import SNAP_START, check_runtime
from lambent.storage.database import Transaction

MAX_EPHEMERAL_STORAGE_MB = 10_240
SNAP_START_EPHEMERAL_STORAGE_MB = 512


def new_configuration(name: str, params: Params) -> Configuration:
    """The configuration of a new function, without its layers.

    Raises InvalidParameterValue and ValidationError as AWS words them (API reference, CreateFunction).
    """
    if "Runtime" not in params or "Handler" not in params:
        raise InvalidParameterValue(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    bare = Configuration(
        role=params["Role"],
        runtime=params["Runtime"],
        handler=params["Handler"],
        logging=Logging(log_group=f"/aws/lambda/{name}"),
    )
    changed = changed_configuration(bare, params)
    return msgspec.structs.replace(changed, architecture=params.get("Architectures", ["x86_64"])[0])


def changed_configuration(current: Configuration, params: Params) -> Configuration:
    """`current` with the parameters that are present applied; layers stay as they are (see `resolve_layers`)."""
    changes: dict[str, Any] = {}
    for parameter, field in _PLAIN.items():
        if parameter in params:
            changes[field] = params[parameter]
    if "Runtime" in params:
        check_runtime(params["Runtime"])
    _at_most(params.get("Timeout"), LAMBDA_TIMEOUT_S, "timeout")
    _at_most(params.get("MemorySize"), LAMBDA_MAX_MEMORY_MB, "memorySize")
    if "Environment" in params:
        variables: Mapping[str, str] = params["Environment"].get("Variables") or {}
        check_environment(variables)
        changes["environment"] = dict(variables)
    if "EphemeralStorage" in params:
        size_mb = params["EphemeralStorage"]["Size"]
        _at_most(size_mb, MAX_EPHEMERAL_STORAGE_MB, "ephemeralStorage.size")
        changes["ephemeral_storage_mb"] = size_mb
    if "TracingConfig" in params:
        changes["tracing_mode"] = params["TracingConfig"].get("Mode", "PassThrough")
    if "LoggingConfig" in params:
        changes["logging"] = changed_logging(current.logging, params["LoggingConfig"])
    if "SnapStart" in params:
        changes["snap_start"] = params["SnapStart"].get("ApplyOn", "None")
    changed = msgspec.structs.replace(current, **changes)
    check_snap_start(changed)
    return changed


def check_snap_start(configuration: Configuration) -> None:
    """What SnapStart cannot be combined with (AWS developer guide, "SnapStart: supported features and limitations")."""
    if configuration.snap_start == "None":
        return
    if configuration.runtime not in SNAP_START:
        raise InvalidParameterValue(f"{configuration.runtime} is not supported for SnapStart enabled functions.")
    if configuration.ephemeral_storage_mb > SNAP_START_EPHEMERAL_STORAGE_MB:
        raise InvalidParameterValue(
            f"Ephemeral storage of more than {SNAP_START_EPHEMERAL_STORAGE_MB} MB is not supported for SnapStart "
            "enabled functions."
        )


_PLAIN = {
    "Runtime": "runtime",
    "Handler": "handler",
    "Role": "role",
    "Description": "description",
    "Timeout": "timeout_s",
    "MemorySize": "memory_mb",
}


def _at_most(value: int | None, limit: int, path: str) -> None:
    # The service model's own maxima are those of managed instances, which these functions are not.
    if value is not None and value > limit:
        raise constraint(value, path, f"Member must have value less than or equal to {limit}")


def changed_logging(current: Logging, given: Mapping[str, str]) -> Logging:
    """LoggingConfig merged; JSON brings the INFO levels, Text drops levels and refuses given ones."""
    log_format = given.get("LogFormat", current.log_format)
    log_group = given.get("LogGroup", current.log_group)
    if log_format != "JSON":
        if "ApplicationLogLevel" in given or "SystemLogLevel" in given:
            raise InvalidParameterValue(
                'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or '
                "change the LogFormat to JSON and try again."
            )
        return Logging(log_group=log_group)
    return Logging(
        log_group=log_group,
        log_format="JSON",
        application_log_level=given.get("ApplicationLogLevel", current.application_log_level or "INFO"),
        system_log_level=given.get("SystemLogLevel", current.system_log_level or "INFO"),
    )


def check_layer_arns(arns: Sequence[str]) -> None:
    """The rules that need no look at the layers: at most 5, no two versions of one layer."""
    if len(arns) > LAMBDA_MAX_LAYERS:
        raise InvalidParameterValue(f"Cannot reference more than {LAMBDA_MAX_LAYERS} layers.")
    seen: dict[str, str] = {}
    for arn in arns:
        layer = arn.rpartition(":")[0]
        if layer in seen:
            raise InvalidParameterValue(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{seen[layer]} and {arn} are versions of the same layer."
            )
        seen[layer] = arn


def resolve_layers(
    tx: Transaction,
    resolver: LayerResolver,
    scope: Scope,
    arns: Sequence[str],
    current: Sequence[ResolvedLayer] = (),
) -> tuple[ResolvedLayer, ...]:
    """The layers named by `arns`. One that the function has already stays usable although it was deleted since."""
    check_layer_arns(arns)
    kept = {layer.arn: layer for layer in current}
    return tuple(kept.get(arn) or resolver.resolve(tx, scope, arn) for arn in arns)


def check_unzipped_size(package: Package, layers: Sequence[ResolvedLayer]) -> None:
    """Code and layers together must stay within 250 MB unzipped."""
    if package.unzipped_bytes + sum(layer.unzipped_bytes for layer in layers) > LAMBDA_UNZIPPED_BYTES:
        raise InvalidParameterValue(f"Unzipped size must be smaller than {LAMBDA_UNZIPPED_BYTES} bytes")
