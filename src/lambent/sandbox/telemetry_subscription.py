"""What extensions ask of the Telemetry API, and of the Logs API before it: their subscriptions, validated.

AWS documentation, "Lambda Telemetry API" and "Lambda Logs API".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

TYPES: Final = ("platform", "function", "extension")
_HOSTS: Final = frozenset({"sandbox.localdomain", "sandbox"})
_TELEMETRY_SCHEMAS: Final = ("2022-07-01", "2022-12-13", "2025-01-29")
_LOGS_SCHEMAS: Final = ("2020-08-15", "2021-03-18")
# Smallest, largest and default value of each.
_BUFFERING: Final = {
    "maxItems": (1000, 10_000, 10_000),
    "maxBytes": (262_144, 1_048_576, 262_144),
    "timeoutMs": (25, 30_000, 1000),
}


class ValidationError(Exception):
    """A subscription that gets a 400, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`path` is for HTTP; a destination is always in the environment itself, so its host says nothing."""

    types: tuple[str, ...]
    schema: str
    logs_api: bool
    protocol: Literal["HTTP", "TCP"]
    method: Literal["POST", "PUT"]
    port: int
    path: str
    host: str
    max_items: int
    max_bytes: int
    timeout_s: float


def parse(body: bytes, *, logs_api: bool, managed: bool) -> Subscription:
    """The subscription in a request's body; `managed` as on managed instances. Raises ValidationError."""
    try:
        wanted = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ValidationError(f"the request body is not JSON: {error}") from None
    if not isinstance(wanted, dict):
        raise ValidationError("the request body must be a JSON object")
    schema = wanted.get("schemaVersion", "2020-08-15" if logs_api else None)
    known = _LOGS_SCHEMAS if logs_api else _TELEMETRY_SCHEMAS[-1:] if managed else _TELEMETRY_SCHEMAS
    if not isinstance(schema, str) or schema not in known:
        raise ValidationError(f"schemaVersion must be one of {', '.join(known)}")
    types = wanted.get("types")
    if not isinstance(types, list) or not types or any(one not in TYPES for one in types):
        raise ValidationError(f"types must name some of {', '.join(TYPES)}")
    buffering = _buffering(wanted.get("buffering", {}))
    destination = wanted.get("destination")
    if not isinstance(destination, dict):
        raise ValidationError("destination must be an object")
    protocol, method, host, port, path = _destination(destination)
    return Subscription(
        types=tuple(dict.fromkeys(types)),
        schema=schema,
        logs_api=logs_api,
        protocol=protocol,
        method=method,
        host=host,
        port=port,
        path=path,
        max_items=buffering["maxItems"],
        max_bytes=buffering["maxBytes"],
        timeout_s=buffering["timeoutMs"] / 1000,
    )


def _buffering(wanted: Any) -> dict[str, int]:
    if not isinstance(wanted, dict):
        raise ValidationError("buffering must be an object")
    values = {}
    for name, (smallest, largest, default) in _BUFFERING.items():
        value = wanted.get(name)
        if value is None:
            value = default
        if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
            raise ValidationError(f"buffering.{name} must be a number from {smallest} to {largest}")
        values[name] = value
    return values


def _destination(
    wanted: dict[str, Any],
) -> tuple[Literal["HTTP", "TCP"], Literal["POST", "PUT"], str, int, str]:
    protocol = wanted.get("protocol")
    if wanted.get("encoding", "JSON") != "JSON":
        raise ValidationError("destination.encoding must be JSON")
    if protocol == "TCP" and "port" in wanted:
        port = wanted["port"]
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
            raise ValidationError("destination.port must be a number from 1 to 65535")
        return "TCP", "POST", "sandbox.localdomain", port, ""
    uri = wanted.get("URI")
    if protocol not in ("HTTP", "TCP") or not isinstance(uri, str):
        raise ValidationError("destination must have a protocol, HTTP or TCP, and a URI (or, for TCP, a port)")
    method = wanted.get("method", "POST")
    if method not in ("POST", "PUT"):
        raise ValidationError("destination.method must be POST or PUT")
    try:
        parts = urlsplit(uri)
        port = parts.port or (80 if protocol == "HTTP" else 0)
    except ValueError:
        raise ValidationError("destination.URI is not a URI") from None
    if parts.scheme != protocol.lower() or parts.hostname not in _HOSTS or not port:
        raise ValidationError(f"destination.URI must be {protocol.lower()}://sandbox.localdomain:PORT")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or any(character <= " " for character in path):
        raise ValidationError("destination.URI is not a URI")
    return protocol, method, parts.hostname, port, path
