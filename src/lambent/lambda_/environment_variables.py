"""The rules of a function's environment variables (developer guide, "Working with Lambda environment variables")."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lambent.core.limits import LAMBDA_ENVIRONMENT_BYTES
from lambent.lambda_.errors import InvalidParameterValue

RESERVED_KEYS: frozenset[str] = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
_RESERVED_PREFIX = "AWS_LAMBDA_METADATA_"
_UNABLE = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided"
)


def measured(variables: Mapping[str, str]) -> str:
    """What AWS measures against 4 KB: the variables as compact JSON."""
    return msgspec.json.encode(variables).decode()


def check_environment(variables: Mapping[str, str]) -> None:
    """Raises InvalidParameterValue for reserved keys and for more than 4 KB of variables."""
    reserved = [key for key in variables if key in RESERVED_KEYS or key.startswith(_RESERVED_PREFIX)]
    if reserved:
        raise InvalidParameterValue(
            f"{_UNABLE} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    text = measured(variables)
    if len(text.encode()) > LAMBDA_ENVIRONMENT_BYTES:
        raise InvalidParameterValue(f"{_UNABLE} exceeded the 4KB limit. String measured: {text}")
