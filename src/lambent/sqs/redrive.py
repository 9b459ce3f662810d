"""Dead letters: a source's redrive policy, and which sources a dead-letter queue takes.

SQS developer guide, "Using dead-letter queues in Amazon SQS"; API reference, "SetQueueAttributes".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from lambent.sqs import names
from lambent.sqs.errors import invalid_value
from lambent.sqs.model import QueueKey

MAX_SOURCES: Final = 10
_POLICY: Final = "RedrivePolicy"
_ALLOW: Final = "RedriveAllowPolicy"

Permission = Literal["allowAll", "denyAll", "byQueue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedrivePolicy:
    """Where messages go that were received more than `max_receive_count` times."""

    target: QueueKey
    max_receive_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveAllowPolicy:
    """Which queues may use this one for their dead letters."""

    permission: Permission
    sources: frozenset[str]  # ARNs; only of byQueue

    def allows(self, source_arn: str) -> bool:
        if self.permission == "byQueue":
            return source_arn in self.sources
        return self.permission == "allowAll"


def parse_policy(text: str) -> RedrivePolicy:
    """Raises InvalidParameterValue. Whether the target exists is another question."""
    document = _document(text, _POLICY, "Redrive policy")
    _known_only(document, text, _POLICY, ("deadLetterTargetArn", "maxReceiveCount"))
    for name in ("deadLetterTargetArn", "maxReceiveCount"):
        if document.get(name) in (None, ""):
            raise invalid_value(text, _POLICY, f"Redrive policy does not contain mandatory attribute: {name}.")
    arn, count = document["deadLetterTargetArn"], document["maxReceiveCount"]
    target = names.key_of_arn(arn) if isinstance(arn, str) else None
    if target is None:
        raise invalid_value(text, _POLICY, "Invalid value for deadLetterTargetArn.")
    number = int(count) if isinstance(count, str) and count.isascii() and count.isdigit() and len(count) < 9 else count
    if type(number) is not int or not 1 <= number <= 1000:
        raise invalid_value(
            text,
            _POLICY,
            f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive.",
        )
    return RedrivePolicy(target=target, max_receive_count=number)


def parse_allow_policy(text: str) -> RedriveAllowPolicy:
    """Raises InvalidParameterValue."""
    document = _document(text, _ALLOW, "Redrive allow policy")
    _known_only(document, text, _ALLOW, ("redrivePermission", "sourceQueueArns"))
    permission = document.get("redrivePermission")
    if permission not in ("allowAll", "denyAll", "byQueue"):
        raise invalid_value(
            text, _ALLOW, "redrivePermission must be one of the following values: allowAll, denyAll, byQueue."
        )
    sources = document.get("sourceQueueArns")
    if permission != "byQueue":
        if sources is not None:
            raise invalid_value(
                text, _ALLOW, "sourceQueueArns can only be specified when redrivePermission is byQueue."
            )
        return RedriveAllowPolicy(permission=permission, sources=frozenset())
    if not isinstance(sources, list) or not 1 <= len(sources) <= MAX_SOURCES:
        raise invalid_value(text, _ALLOW, f"sourceQueueArns must contain 1 to {MAX_SOURCES} queue ARNs.")
    for source in sources:
        if not isinstance(source, str) or names.key_of_arn(source) is None:
            raise invalid_value(text, _ALLOW, "Invalid value for sourceQueueArns.")
    return RedriveAllowPolicy(permission="byQueue", sources=frozenset(sources))


def _document(text: str, parameter: str, what: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid_value(text, parameter, f"{what} is not a valid JSON map.")
    return document


def _known_only(document: dict[str, Any], text: str, parameter: str, known: tuple[str, ...]) -> None:
    if not document.keys() <= set(known):
        raise invalid_value(text, parameter, f"Only following attributes are supported: [{', '.join(known)}].")
