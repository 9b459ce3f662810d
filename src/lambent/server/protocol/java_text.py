"""Values as AWS's Java services print them in validation errors."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from lambent.server.protocol.shapes import Shape

_REDACTED = "***Sensitive Data Redacted***"


def bean_name(member: str) -> str:
    """A member's name in a path: its first letter in lower case (`kMSKeyArn`)."""
    return member[:1].lower() + member[1:]


def java_text(value: Any, shape: Shape) -> str:
    """`value` as Java's toString gives it: `[a, b]`, `{2=2.0}`, `Target(id=1, arn=null)`."""
    if value is None:
        return "null"
    if shape.definition.sensitive:
        return _REDACTED
    if shape.is_document:
        return str(value)
    if shape.type == "structure":
        inner = ", ".join(
            f"{bean_name(name)}={java_text(value.get(name), member)}" for name, member in shape.members.items()
        )
        return f"{shape.name}({inner})"
    if shape.type == "list":
        element = shape.member
        return f"[{', '.join(java_text(item, element) for item in value)}]"
    if shape.type == "map":
        item = shape.value
        return f"{{{', '.join(f'{key}={java_text(entry, item)}' for key, entry in value.items())}}}"
    if shape.type == "boolean":
        return "true" if value else "false"
    if shape.type in ("float", "double"):
        return java_double(float(value))
    if shape.type == "blob":
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    if shape.type == "timestamp":
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
        return moment.strftime("%a %b %d %H:%M:%S UTC ") + str(moment.year)
    return str(value)


def java_double(value: float) -> str:
    """Java's `Double.toString`: plain from 0.001 to 10 million, else with an exponent (`1.0E10`)."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    mantissa, _, exponent = f"{value:e}".partition("e")
    digits = repr(value).lower().partition("e")[0].replace("-", "").replace(".", "").strip("0")
    sign = "-" if mantissa.startswith("-") else ""
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{int(exponent)}"
