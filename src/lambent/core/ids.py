"""Ids, from an injected source so that tests can repeat them."""

from __future__ import annotations

import os
from collections.abc import Callable

IdSource = Callable[[], str]


def new_uuid() -> str:
    """A random UUID in canonical form: request ids, revision ids, environment ids."""
    # Every request takes one or two; through the class UUID it costs twice as much.
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def new_hex() -> str:
    """32 random hexadecimal digits, as in a log stream's name."""
    return os.urandom(16).hex()
