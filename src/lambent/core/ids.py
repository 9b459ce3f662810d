"""Ids, from an injected source so that tests can repeat them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable

IdSource = Callable[[], str]


def new_uuid() -> str:
    """A random UUID in canonical form: request ids, revision ids, environment ids."""
    return str(uuid.UUID(bytes=os.urandom(16), version=4))


def new_hex() -> str:
    """32 random hexadecimal digits, as in a log stream's name."""
    return os.urandom(16).hex()
