"""Which runtime identifiers there are, and what this version of Lambent can do with each: one table."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType

import lambent
from lambent.core.operations import Scope
from lambent.lambda_.errors import InvalidParameterValue

RUNNABLE: frozenset[str] = frozenset(
    {
        "dotnet8",
        "dotnet10",
        "nodejs20.x",
        "nodejs22.x",
        "nodejs24.x",
        "python3.9",
        "python3.10",
        "python3.11",
        "python3.12",
        "python3.13",
        "python3.14",
        "provided.al2",
        "provided.al2023",
    }
)

# Of those that have SnapStart on AWS (Java and .NET too), the ones whose processes can be forked.
SNAP_START: frozenset[str] = frozenset({"python3.12", "python3.13", "python3.14"})

# AWS no longer creates or updates functions on these (developer guide, "Deprecated runtimes").
DEPRECATED: frozenset[str] = frozenset(
    {
        "nodejs",
        "nodejs4.3",
        "nodejs4.3-edge",
        "nodejs6.10",
        "nodejs8.10",
        "nodejs10.x",
        "nodejs12.x",
        "nodejs14.x",
        "python2.7",
        "python3.6",
        "python3.7",
        "java8",
        "go1.x",
        "ruby2.5",
        "ruby2.7",
        "dotnetcore1.0",
        "dotnetcore2.0",
        "dotnetcore2.1",
        "dotnetcore3.1",
        "provided",
    }
)

_ELSEWHERE = "Package the program as a custom runtime (provided.al2023) instead."

# Valid on AWS, by the prefix of their identifiers: why this version refuses them.
_NOT_YET: Mapping[str, str] = MappingProxyType(
    {
        "nodejs": "This version of Node.js has no bootstrap here.",
        "dotnet": f"This version of .NET is not available. {_ELSEWHERE}",
        "java": f"Java runtimes are not available. {_ELSEWHERE}",
        "ruby": f"Ruby runtimes are not available. {_ELSEWHERE}",
        "python": "This version of Python has no bootstrap here.",
        "custom": "Customer-managed runtimes (RuntimeConfig) are not available. Use provided.al2023 instead.",
    }
)

# As AWS lists them in its own error, order included.
_ENUM_TEXT = (
    "[nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, python3.10, "
    "python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, "
    "java11, dotnet6, nodejs18.x, provided.al2, java8.al2]"
)
_VALID: frozenset[str] = frozenset(_ENUM_TEXT[1:-1].split(", ")) | {
    "nodejs26.x",
    "python3.15",
    "ruby4.0",
    "java8.al2023",
    "java11.al2023",
    "java17.al2023",
    "custom",
}


def check_runtime(runtime: str) -> None:
    """Raises InvalidParameterValue for a runtime that AWS does not know, no longer takes, or that cannot run here."""
    if runtime in RUNNABLE:
        return
    if runtime in DEPRECATED:
        raise InvalidParameterValue(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )
    if runtime not in _VALID:
        raise InvalidParameterValue(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"{_ENUM_TEXT} or be a valid ARN"
        )
    reason = next(text for prefix, text in _NOT_YET.items() if runtime.startswith(prefix))
    raise InvalidParameterValue(
        f"Lambent {lambent.__version__} cannot run {runtime}: {reason} Runtimes that run here: "
        f"{', '.join(sorted(RUNNABLE, key=_natural))}."
    )


def _natural(runtime: str) -> tuple[str, int]:
    """For sorting: by the name, then by the first number behind it that counts."""
    match = re.fullmatch(r"([a-z]+)(?:3\.|\.al)?(\d+).*", runtime)
    return (match[1], int(match[2])) if match else (runtime, 0)


def runtime_version_arn(scope: Scope, runtime: str) -> str:
    """The ARN of the runtime version in use: it names the bootstrap that ships with this version of Lambent."""
    digest = hashlib.sha256(f"lambent {lambent.__version__} {runtime}".encode()).hexdigest()
    return f"arn:{scope.partition}:lambda:{scope.region}::runtime:{digest}"
