"""Telling followers that a log group has something new, so that nobody asks a database in which nothing happened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lambent.core.operations import Scope

GroupKey = tuple[Scope, str]


class News:
    """Wakes the followers of a group. Used on one event loop."""

    def __init__(self) -> None:
        self._followers: dict[GroupKey, set[asyncio.Event]] = {}

    @contextmanager
    def subscribe(self, scope: Scope, group: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the group gets something new. Subscribe first, then read: nothing is missed."""
        event = asyncio.Event()
        followers = self._followers.setdefault((scope, group), set())
        followers.add(event)
        try:
            yield event
        finally:
            followers.discard(event)
            if not followers:
                self._followers.pop((scope, group), None)

    def announce(self, groups: Iterable[GroupKey]) -> None:
        """Something new was stored in these groups."""
        for group in groups:
            for event in self._followers.get(group, ()):
                event.set()

    @property
    def followers(self) -> int:
        return sum(map(len, self._followers.values()))
