"""Tags of roles and policies: keys keep their case but do not differ by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lambent.iam.errors import InvalidInput, quota
from lambent.iam.model import TAGS_PER_ENTITY


def from_wire(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Key to value. Raises InvalidInput for keys that are given twice or belong to AWS."""
    found = {tag["Key"]: tag["Value"] for tag in tags}
    if len({key.lower() for key in found}) < len(tags):
        raise InvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(key.lower().startswith("aws:") for key in found):
        raise InvalidInput("Tag keys that start with aws: are reserved for system use.")
    return found


def to_wire(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def merged(old: Mapping[str, str], new: Mapping[str, str], quota_name: str) -> dict[str, str]:
    """`old` with `new` put over it. Raises LimitExceeded."""
    replaced = {key.lower() for key in new}
    result = {key: value for key, value in old.items() if key.lower() not in replaced} | dict(new)
    if len(result) > TAGS_PER_ENTITY:
        raise quota(quota_name, TAGS_PER_ENTITY)
    return result


def without(old: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    """`old` without `keys`; keys that are not there do not matter."""
    gone = {key.lower() for key in keys}
    return {key: value for key, value in old.items() if key.lower() not in gone}
