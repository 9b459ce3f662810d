"""Keeps environments of one version initialised: provisioned concurrency.

`scaling.provisioned` decides how many to start and to end; this starts and ends them. It looks when something has
changed, and every few seconds for runtimes that were lost while idle. An environment whose init fails is ended, its
status says so, and another start is tried later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

import msgspec

from lambent.core.clock import Clock
from lambent.core.tasks import Supervisor
from lambent.execution.model import ProvisionedStatus, Throttled
from lambent.execution.pool import InitFailed, Pool
from lambent.sandbox.protocol import CannotRun
from lambent.scaling import provisioned as rules

log = logging.getLogger("lambent.execution.provisioned")

# AWS's StatusReason (developer guide, "Configuring provisioned concurrency").
INIT_FAILURE: Final = "FUNCTION_ERROR_INIT_FAILURE"
_NOT_STARTED: Final = "The environment could not be started; the server log says why."
_LOOK_S: Final = 5.0


class Provisioner:
    """Keeps environments in `pool`. `node_clock` is the clock of the machine that runs them."""

    def __init__(self, pool: Pool, *, node_clock: Clock, tasks: Supervisor) -> None:
        self.pool = pool
        self.wanted = 0
        self._function = msgspec.structs.replace(pool.function, initialization_type="provisioned-concurrency")
        self._clock = node_clock
        self._tasks = tasks
        self._state = rules.State()
        self._reason: str | None = None  # why the last start failed, None when it did not
        self._limit: str | None = None  # which limit of the machine refused the last start
        self._starting = 0
        self._changed = asyncio.Event()
        pool.on_kept = self._changed.set
        self._task = tasks.spawn(self._run(), "provisioned")

    def want(self, count: int) -> None:
        """Keep `count` from now on; what has failed is tried again at once."""
        self.wanted = count
        self._state = rules.State()
        self._reason = self._limit = None
        self._changed.set()

    def close(self) -> None:
        """Keep none: idle ones end now, busy ones after their event."""
        self.wanted = 0
        self._task.cancel()
        self.pool.end_keeping()

    @property
    def status(self) -> ProvisionedStatus:
        """What there is of what is wanted."""
        available = min(self.wanted, self.pool.kept)
        return ProvisionedStatus(
            requested=self.wanted,
            available=available,
            in_use=max(0, self.pool.kept - self.pool.idle_kept),
            status="READY" if available == self.wanted else "FAILED" if self._reason else "IN_PROGRESS",
            status_reason=None if available == self.wanted else self._reason,
            limited_by=None if available == self.wanted else self._limit,
        )

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            self.pool.end_lost_kept()
            seen = rules.Observation(
                wanted=self.wanted, starting=self._starting, ready=self.pool.kept, idle=self.pool.idle_kept
            )
            decision = rules.decide(self._state, seen, self._clock.monotonic())
            for _ in range(decision.starts):
                self._starting += 1
                self._tasks.spawn(self._start(), "provisioned start")
            if decision.stops:
                self.pool.end_kept(decision.stops)
            look_s = _LOOK_S if decision.look_again_s is None else min(_LOOK_S, decision.look_again_s)
            with contextlib.suppress(TimeoutError):
                await self._clock.wait_for(self._changed.wait(), look_s)

    async def _start(self) -> None:
        self._limit = None
        try:
            await self.pool.start_kept(self._function, self._wants_start)
        except Throttled as throttled:
            self._limit = throttled.detail
            self._state = rules.refused(self._state, self._clock.monotonic())
        except InitFailed:
            self._failed(INIT_FAILURE)
        except CannotRun as error:
            self._failed(str(error))
        except Exception:  # the edge of the task: without a pause the next start would follow at once
            self._failed(_NOT_STARTED)
            raise
        else:
            self._state = rules.started(self._state)
            self._reason = None
        finally:
            self._starting -= 1
            self._changed.set()

    def _failed(self, reason: str) -> None:
        self._state = rules.failed(self._state, self._clock.monotonic())
        self._reason = reason
        log.warning("%s:%s: %s", self._function.arn, self._function.version, reason)

    def _wants_start(self) -> bool:
        return self._starting + self.pool.kept <= self.wanted
