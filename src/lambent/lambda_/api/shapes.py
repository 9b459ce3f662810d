"""Functions, versions and aliases as AWS's answers show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from lambent.core.arns import function_arn
from lambent.lambda_.hashes import base64_of
from lambent.lambda_.model import Alias, Logging, Status, Version
from lambent.lambda_.runtimes import runtime_version_arn


def timestamp(epoch_s: float) -> str:
    """`2025-11-24T23:08:11.000+0000`: milliseconds, and a zone without a colon."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def configuration_shape(version: Version, qualifier: str | None) -> dict[str, Any]:
    """A FunctionConfiguration; its ARN carries `qualifier` as the caller gave it (None: unqualified)."""
    shape = listed_shape(version, qualifier)
    shape["RuntimeVersionConfig"] = {
        "RuntimeVersionArn": runtime_version_arn(version.scope, version.configuration.runtime)
    }
    shape.update(_status_shape(version.status))
    return shape


def listed_shape(version: Version, qualifier: str | None) -> dict[str, Any]:
    """The item of ListFunctions and ListVersionsByFunction: no states, no runtime version."""
    configuration = version.configuration
    shape: dict[str, Any] = {
        "FunctionName": version.name,
        "FunctionArn": function_arn(version.scope, version.name, qualifier),
        "Runtime": configuration.runtime,
        "Role": configuration.role,
        "Handler": configuration.handler,
        "CodeSize": version.package.zip_bytes,
        "Description": configuration.description,
        "Timeout": configuration.timeout_s,
        "MemorySize": configuration.memory_mb,
        "LastModified": timestamp(version.last_modified),
        "CodeSha256": base64_of(version.package.sha256),
        "Version": version.version,
        "TracingConfig": {"Mode": configuration.tracing_mode},
        "RevisionId": version.revision_id,
        "PackageType": "Zip",
        "Architectures": [configuration.architecture],
        "EphemeralStorage": {"Size": configuration.ephemeral_storage_mb},
        "SnapStart": {
            "ApplyOn": configuration.snap_start,
            "OptimizationStatus": "On" if version.snapshotted and version.status.state == "Active" else "Off",
        },
        "LoggingConfig": _logging_shape(configuration.logging),
    }
    if configuration.environment is not None:
        shape["Environment"] = {"Variables": dict(configuration.environment)}
    if configuration.layers:
        shape["Layers"] = [{"Arn": layer.arn, "CodeSize": layer.code_size} for layer in configuration.layers]
    return shape


def ready(shape: dict[str, Any]) -> msgspec.Raw:
    """The shape as JSON, to be kept and answered again; its members are all plain, as Lambda's protocol has them."""
    return msgspec.Raw(msgspec.json.encode(shape))


def _logging_shape(logging: Logging) -> dict[str, str]:
    shape = {"LogFormat": logging.log_format, "LogGroup": logging.log_group}
    if logging.application_log_level is not None:
        shape["ApplicationLogLevel"] = logging.application_log_level
    if logging.system_log_level is not None:
        shape["SystemLogLevel"] = logging.system_log_level
    return shape


def _status_shape(status: Status) -> dict[str, str]:
    members = {
        "State": status.state,
        "StateReason": status.state_reason,
        "StateReasonCode": status.state_reason_code,
        "LastUpdateStatus": status.last_update,
        "LastUpdateStatusReason": status.last_update_reason,
        "LastUpdateStatusReasonCode": status.last_update_reason_code,
    }
    return {name: value for name, value in members.items() if value is not None}


def alias_shape(alias: Alias) -> dict[str, Any]:
    """An AliasConfiguration; RoutingConfig only where there are weights."""
    shape: dict[str, Any] = {
        "AliasArn": alias.arn,
        "Name": alias.name,
        "FunctionVersion": alias.function_version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    }
    if alias.weights:
        shape["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.weights)}
    return shape
