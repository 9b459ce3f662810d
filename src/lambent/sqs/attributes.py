"""Queues' attributes: what may be set on which queue, to what, and how they are answered.

SQS API reference, "SetQueueAttributes" and "GetQueueAttributes". Nothing here reads or writes a queue.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from lambent.core.limits import MIB
from lambent.sqs import policies, redrive
from lambent.sqs.errors import InvalidAttributeName, InvalidAttributeValue, unknown_attribute
from lambent.sqs.model import FifoSettings, QueueSettings

Given = Mapping[str, str | None]
"""Attributes of a request; None for a name without a value."""

COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
READ_ONLY: Final = frozenset({*COUNTS, "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp"})
SIMULATED: Final = frozenset({"KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"})

_KMS_REUSE_S: Final = 300
# Attribute, field of QueueSettings, least and greatest value.
_NUMBERS: Final = {
    "DelaySeconds": ("delay_s", 0, 900),
    "MaximumMessageSize": ("max_message_bytes", 1024, MIB),
    "MessageRetentionPeriod": ("retention_s", 60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": ("wait_s", 0, 20),
    "VisibilityTimeout": ("visibility_timeout_s", 0, 43_200),
    "KmsDataKeyReusePeriodSeconds": ("kms_reuse_s", 60, 86_400),
}
_TEXTS: Final = {
    "Policy": "policy",
    "RedrivePolicy": "redrive_policy",
    "RedriveAllowPolicy": "redrive_allow_policy",
    "KmsMasterKeyId": "kms_key_id",
}
_FIFO: Final = {
    "ContentBasedDeduplication": "content_based",
    "DeduplicationScope": "scope",
    "FifoThroughputLimit": "throughput_limit",
}
_FIFO_VALUES: Final[Mapping[str, Mapping[str, Any]]] = {
    "ContentBasedDeduplication": {"true": True, "false": False},
    "DeduplicationScope": {"queue": "queue", "messageGroup": "messageGroup"},
    "FifoThroughputLimit": {"perQueue": "perQueue", "perMessageGroupId": "perMessageGroupId"},
}
_KNOWN: Final = frozenset({*_NUMBERS, *_TEXTS, *_FIFO, "FifoQueue", "SqsManagedSseEnabled"})


def wants_fifo(given: Given) -> bool:
    """Whether CreateQueue asks for a FIFO queue. Raises InvalidAttributeName and InvalidAttributeValue."""
    for name, value in given.items():
        if name not in _KNOWN:
            unknown_attribute(name)
        if value is None:
            raise _invalid(name)
    asked = given.get("FifoQueue")
    if asked is None:
        return False
    if asked.lower() == "true":
        return True
    if asked.lower() == "false":
        unknown_attribute("FifoQueue")
    raise _invalid("FifoQueue")


def initial(given: Given, *, fifo: bool) -> QueueSettings:
    """The settings of a new queue. Raises InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue."""
    return changed(QueueSettings(fifo=FifoSettings() if fifo else None), given)


def changed(settings: QueueSettings, given: Given) -> QueueSettings:
    """The settings with `given` set. Raises InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue."""
    changes: dict[str, Any] = {}
    fifo: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            raise _invalid(name)
        if name in _NUMBERS:
            changes[_NUMBERS[name][0]] = _number(name, value)
        elif name in _TEXTS:
            changes[_TEXTS[name]] = _text(name, value)
        elif name == "SqsManagedSseEnabled":
            changes["managed_sse"] = _boolean(name, value)
        elif name == "FifoQueue":
            _check_type_stays(settings, value)
        elif name in _FIFO:
            if settings.fifo is None:
                if name == "ContentBasedDeduplication":
                    unknown_attribute(name)
                raise InvalidAttributeName(f"You can specify the {name} only when FifoQueue is set to true.")
            fifo[_FIFO[name]] = _choice(name, value)
        else:
            unknown_attribute(name)
    _one_encryption(settings, changes)
    if settings.fifo is not None and fifo:
        changes["fifo"] = dataclasses.replace(settings.fifo, **fifo)
    result = dataclasses.replace(settings, **changes)
    if result.fifo is not None and (result.fifo.throughput_limit, result.fifo.scope) == ("perMessageGroupId", "queue"):
        raise InvalidAttributeValue(
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup."
        )
    return result


def different(settings: QueueSettings, given: Given) -> str | None:
    """The first attribute in `given` that the settings do not have so, None when they agree (CreateQueue).

    Raises as `changed` does.
    """
    wanted = shown(changed(settings, given))
    have = shown(settings)
    for name in given:
        if wanted.get(name, "") != have.get(name, ""):
            return name
    return None


def shown(settings: QueueSettings) -> dict[str, str]:
    """Everything that GetQueueAttributes answers out of settings."""
    found = {name: str(getattr(settings, field)) for name, (field, _, _) in _NUMBERS.items()}
    if settings.kms_reuse_s == _KMS_REUSE_S:
        del found["KmsDataKeyReusePeriodSeconds"]
    for name, field in _TEXTS.items():
        text = getattr(settings, field)
        if text is not None:
            found[name] = text
    found["SqsManagedSseEnabled"] = _word(settings.managed_sse)
    if settings.fifo is not None:
        found["FifoQueue"] = "true"
        found["ContentBasedDeduplication"] = _word(settings.fifo.content_based)
        found["DeduplicationScope"] = settings.fifo.scope
        found["FifoThroughputLimit"] = settings.fifo.throughput_limit
    return found


def asked_for(names: Iterable[str]) -> Callable[[str], bool]:
    """Which attributes a GetQueueAttributes wants. Raises InvalidAttributeName."""
    wanted = frozenset(names)
    for name in names:
        if name != "All" and name not in _KNOWN and name not in READ_ONLY:
            unknown_attribute(name)
    return (lambda name: True) if "All" in wanted else wanted.__contains__


def _number(name: str, value: str) -> int:
    _, least, greatest = _NUMBERS[name]
    text = value.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= greatest):
        raise _invalid(name)
    return int(text)


def _text(name: str, value: str) -> str | None:
    """The text of a policy or key, None for the empty one, which removes it."""
    if value == "":
        return None
    if name == "Policy":
        policies.parse(value)
    elif name == "RedrivePolicy":
        redrive.parse_policy(value)
    elif name == "RedriveAllowPolicy":
        redrive.parse_allow_policy(value)
    elif len(value) > 2048:
        raise _invalid(name)
    return value


def _boolean(name: str, value: str) -> bool:
    lowered = value.lower()
    if lowered not in ("true", "false"):
        raise _invalid(name)
    return lowered == "true"


def _choice(name: str, value: str) -> Any:
    choices = _FIFO_VALUES[name]
    key = value.lower() if name == "ContentBasedDeduplication" else value
    if key not in choices:
        raise _invalid(name)
    return choices[key]


def _check_type_stays(settings: QueueSettings, value: str) -> None:
    if settings.fifo is None:
        unknown_attribute("FifoQueue")
    if value.lower() != "true":
        raise InvalidAttributeValue(
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
        )


def _one_encryption(settings: QueueSettings, changes: dict[str, Any]) -> None:
    """KMS's and SQS's own encryption exclude each other; the key that is set switches the other off."""
    key = changes.get("kms_key_id", settings.kms_key_id)
    if key is None:
        return
    if changes.get("managed_sse"):
        raise InvalidAttributeName(
            "You can use one type of server-side encryption (SSE) at one time. "
            "You can either enable KMS SSE or SQS SSE."
        )
    changes["managed_sse"] = False


def _invalid(name: str) -> InvalidAttributeValue:
    return InvalidAttributeValue(f"Invalid value for the parameter {name}.")


def _word(value: bool) -> str:
    return "true" if value else "false"
