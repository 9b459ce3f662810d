"""Opaque markers for paged lists: where the next page starts, unreadable to clients, refused when forged."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class InvalidMarker(ValueError):
    """A marker that no page of this list ever handed out."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    next_marker: str | None


def encode_marker(list_name: str, key: str) -> str:
    """The marker for the page that starts after `key` in `list_name`."""
    return base64.urlsafe_b64encode(msgspec.json.encode([list_name, key])).decode()


def decode_marker(list_name: str, marker: str) -> str:
    """The key after which the page starts. Raises InvalidMarker."""
    try:
        name, key = msgspec.json.decode(base64.urlsafe_b64decode(marker), type=tuple[str, str])
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise InvalidMarker(marker) from error
    if name != list_name:
        raise InvalidMarker(marker)
    return key


def paginate(items: Sequence[T], key: Callable[[T], str], list_name: str, limit: int) -> Page[T]:
    """Cut `items` (fetched with one more than `limit`, in key order) into a page and its next marker."""
    if len(items) <= limit:
        return Page(items, None)
    kept = items[:limit]
    return Page(kept, encode_marker(list_name, key(kept[-1])))
