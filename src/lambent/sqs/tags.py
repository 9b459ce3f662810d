"""Tags of queues (SQS developer guide, "Amazon SQS cost allocation tags")."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.sqs.errors import InvalidParameterValue, invalid_value
from lambent.sqs.model import MAX_TAGS

_MAX_KEY = 128
_MAX_VALUE = 256


def checked(given: Mapping[str, str | None]) -> dict[str, str]:
    """Tags as they may be put on a queue. Raises InvalidParameterValue."""
    for key, value in given.items():
        if not 1 <= len(key) <= _MAX_KEY:
            raise invalid_value(key[:256], "TagKey", f"Tag keys must be between 1 and {_MAX_KEY} characters in length.")
        if key.lower().startswith("aws:"):
            raise invalid_value(key, "TagKey", "Tag keys that start with aws: are reserved for system use.")
        if value is None or len(value) > _MAX_VALUE:
            raise invalid_value(
                (value or "")[:300], "TagValue", f"Tag values must be between 0 and {_MAX_VALUE} characters in length."
            )
    return _bounded({key: value or "" for key, value in given.items()})


def merged(old: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """`old` with `given` put over it. Raises InvalidParameterValue."""
    return _bounded({**old, **given})


def _bounded(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > MAX_TAGS:
        raise InvalidParameterValue(f"Too many tags added for queue. Maximum allowed is {MAX_TAGS}.")
    return tags
