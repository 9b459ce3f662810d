"""SnapStart as the server sees it: which versions have a snapshot, and for how long.

A snapshot is a process that holds memory, so it is given up when no environment has been started from it for long, and
taken again in the background when one is wanted after all; until then environments run the init themselves. The same
happens after a restart of the server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from lambent.core.clock import Clock
from lambent.core.tasks import Supervisor
from lambent.execution.admission import Reservation
from lambent.execution.model import EnvironmentCredentials, FunctionVersion, Throttled
from lambent.execution.room import Room
from lambent.sandbox.protocol import CannotRun, EnvironmentSpec, SnapshotFailed, SnapshotSandbox, StartRefused

log = logging.getLogger("lambent.execution.snapshots")

IDLE_S: Final = 3600.0
_RETRY_S: Final = 1.0


class _Held:
    """What a snapshot has for as long as it is kept. Its credentials are those of clients that its init has made."""

    __slots__ = ("reservation", "revoke", "used_s")

    def __init__(self, reservation: Reservation, revoke: Callable[[], None], used_s: float) -> None:
        self.reservation = reservation
        self.revoke = revoke
        self.used_s = used_s


class Snapshots:
    """Implements `model.Snapshots`. Everything happens on one event loop."""

    def __init__(
        self,
        sandbox: SnapshotSandbox,
        *,
        spec: Callable[[FunctionVersion, Mapping[str, str]], EnvironmentSpec],
        mint_credentials: Callable[[FunctionVersion], EnvironmentCredentials],
        room: Room,
        clock: Clock,
        tasks: Supervisor,
        idle_s: float = IDLE_S,
    ) -> None:
        self._sandbox = sandbox
        self._spec = spec
        self._mint_credentials = mint_credentials
        self._room = room
        self._clock = clock
        self._tasks = tasks
        self._idle_s = idle_s
        self._held: dict[str, _Held] = {}
        self._taking: set[str] = set()
        self._retired: set[str] = set()  # while one of them is being taken

    async def take(self, function: FunctionVersion) -> str:
        """See `model.Snapshots`."""
        while True:
            try:
                return await self._take(function)
            except (Throttled, StartRefused) as busy:
                log.info("%s: no room for its snapshot yet: %s", function.arn, busy)
                await self._clock.sleep(_RETRY_S)

    async def _take(self, function: FunctionVersion) -> str:
        reservation = await self._room.reserve(function, lambda: True)
        assert reservation is not None
        credentials = self._mint_credentials(function)
        key = function.key
        self._taking.add(key)
        kept = False
        try:
            lack = await self._sandbox.take_snapshot(self._spec(function, credentials.variables))
            reservation.started()
            kept = not lack and key not in self._retired and key not in self._held
        finally:
            self._taking.discard(key)
            if kept:
                self._held[key] = _Held(reservation, credentials.revoke, self._clock.monotonic())
            else:
                reservation.release()
                credentials.revoke()
            if key in self._retired:
                self._retired.discard(key)
                self._sandbox.drop_snapshot(key)
        return lack

    def used(self, function: FunctionVersion) -> None:
        """An environment of this version is about to start; it will not wait for a snapshot that is not there."""
        key = function.key
        if self._sandbox.has_snapshot(key):
            if (held := self._held.get(key)) is not None:
                held.used_s = self._clock.monotonic()
        elif key not in self._taking:
            self._give_up(key)
            self._taking.add(key)
            self._tasks.spawn(self._take_again(function), "snapshot")

    async def _take_again(self, function: FunctionVersion) -> None:
        try:
            await self._take(function)
        except (SnapshotFailed, CannotRun, Throttled, StartRefused) as error:
            log.warning("%s:%s: its snapshot could not be taken again: %s", function.arn, function.version, error)
        finally:
            self._taking.discard(function.key)

    def drop(self, key: str) -> None:
        """The version is no more."""
        if key in self._taking:
            self._retired.add(key)
        self._give_up(key)

    def sweep(self) -> None:
        """Give up what has not been used for long."""
        now_s = self._clock.monotonic()
        for key in [key for key, held in self._held.items() if held.used_s + self._idle_s <= now_s]:
            self._give_up(key)

    def _give_up(self, key: str) -> None:
        self._sandbox.drop_snapshot(key)
        if (held := self._held.pop(key, None)) is not None:
            held.reservation.release()
            held.revoke()
