"""The rules of tags, on functions and whatever else Lambda tags."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.core.limits import LAMBDA_MAX_TAGS
from lambent.lambda_ import tags_store
from lambent.lambda_.errors import InvalidParameterValue
from lambent.storage.database import Transaction

RESERVED_PREFIX = "aws:"


def put_tags(tx: Transaction, arn: str, tags: Mapping[str, str]) -> None:
    """Add tags to the resource; a key that exists gets the new value.

    Raises InvalidParameterValue when the resource would have more than 50 tags, and for keys that AWS keeps for
    itself.
    """
    if any(key.lower().startswith(RESERVED_PREFIX) for key in tags):
        raise InvalidParameterValue(f"Tag keys that start with {RESERVED_PREFIX} are reserved for system use.")
    if len(tags_store.tags_of(tx, arn) | dict(tags)) > LAMBDA_MAX_TAGS:
        raise InvalidParameterValue("Number of tags exceeds resource tag limit.")
    tags_store.save_tags(tx, arn, tags)


def tags_of(tx: Transaction, arn: str) -> dict[str, str]:
    """The resource's tags in key order; empty when it has none."""
    return tags_store.tags_of(tx, arn)


def delete_tags(tx: Transaction, arn: str) -> None:
    """Remove every tag of the resource."""
    tags_store.delete_tags(tx, arn)
