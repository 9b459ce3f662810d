"""What the endpoint must know of Lambda beyond its service model."""

from __future__ import annotations

from lambent.core.operations import Service

LATEST = "$LATEST"

LAMBDA = Service(
    name="lambda",
    validation_code="ValidationException",
    unsupported_code="InvalidParameterValueException",
    error_members={"Type": "User"},
)
