"""The INIT phase of an environment: from the start of its processes until all of them are ready, or one has failed.

An environment that is reset has one more of them, inside its next event. Whoever runs the phase is also the listener of
its processes, and passes on here what concerns an init.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lambent.core import limits
from lambent.core.clock import Clock
from lambent.sandbox import failures
from lambent.sandbox.extension_process import Program
from lambent.sandbox.failures import Failure
from lambent.sandbox.function_log import FunctionLog
from lambent.sandbox.generation import Generation, GenerationListener
from lambent.sandbox.launcher import Cell
from lambent.sandbox.places import ChannelPlaces, PolledPlaces
from lambent.sandbox.platform_lines import Outcome, Phase, PlatformLines
from lambent.sandbox.protocol import EnvironmentSpec
from lambent.sandbox.runtime_process import Plan
from lambent.sandbox.telemetry import Telemetry

# How long a runtime that has said that it cannot start may take to say its last words and end.
_LAST_WORDS_S: Final = 0.5
_MANAGED_INIT_S: Final = 130.0
# AWS documentation, "Lambda SnapStart runtime hooks": the restore phase.
_RESTORE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an environment consists of, in all its inits. `programs` are the external extensions."""

    spec: EnvironmentSpec
    plan: Plan
    cell: Cell
    log: FunctionLog
    lines: PlatformLines
    clock: Clock
    memory_limit_bytes: int
    programs: Sequence[Program] = ()
    restores: bool = False  # from a snapshot, in place of an init

    @property
    def time_limit_s(self) -> float:
        """How long an init, or a restore, may take outside of an event."""
        return _RESTORE_S if self.restores else time_limit_s(self.spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class InitError:
    """Why the runtime could not be initialised: its own words, or what befell it."""

    error_type: str
    body: bytes | None = None
    failure: Failure | None = None
    timeout: bool = False


def time_limit_s(spec: EnvironmentSpec) -> float:
    """How long an init may take outside of an event (AWS documentation, "Lambda execution environment lifecycle")."""
    if spec.initialization_type == "on-demand":
        return limits.LAMBDA_INIT_TIMEOUT_S
    return min(float(limits.LAMBDA_TIMEOUT_S), max(_MANAGED_INIT_S, spec.timeout_s))


class Initialisation:
    """One INIT phase. `generation` is None when there is nothing to start: the plan itself has failed."""

    def __init__(
        self,
        parts: Parts,
        phase: Phase,
        listener: GenerationListener,
        places: PolledPlaces | ChannelPlaces | None = None,
    ) -> None:
        self._parts = parts
        self._phase = phase
        self._started_s = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self.runtime_initialised = False
        self.error: InitError | None = None
        self.telemetry = self._observe()
        self.generation: Generation | None = None
        failure = parts.plan.failure
        if failure is not None:
            self.error = InitError(error_type=failure.error_type, failure=failure)
            return
        self.generation = Generation(
            spec=parts.spec,
            plan=parts.plan,
            programs=parts.programs,
            cell=parts.cell,
            memory_limit_bytes=parts.memory_limit_bytes,
            clock=parts.clock,
            telemetry=self.telemetry,
            listener=listener,
            places=places,
        )

    @property
    def undecided(self) -> bool:
        """Whether it is still open how it ends."""
        return not self._ready.done()

    def _observe(self) -> Telemetry:
        """Let subscribers of the processes that are about to start hear of everything."""
        parts = self._parts

        def subscribed(extension: str, types: Sequence[str], logs_api: bool) -> None:
            parts.log.write(parts.lines.subscription(parts.clock.now(), extension, types, logs_api=logs_api))

        telemetry = Telemetry(
            json_logs=parts.spec.log_format == "JSON",
            connect=parts.cell.connect,
            clock=parts.clock,
            on_subscribed=subscribed,
        )
        parts.lines.observer = telemetry.platform
        parts.log.observer = telemetry.lines
        return telemetry

    async def run(self) -> InitError | None:
        """Start extensions and runtime and wait until all are ready, or gone. What goes wrong is the answer."""
        parts = self._parts
        parts.log.write(parts.lines.init_start(parts.clock.now(), self._phase))
        if self.generation is not None:
            await self.generation.start()
            await self._ready
        self._report()
        return self.error

    def timed_out(self) -> InitError:
        """`run` was cancelled because its time was over, and all processes have ended."""
        self.error = InitError(error_type=failures.TIMED_OUT, timeout=True)
        self._report()
        return self.error

    def _report(self) -> None:
        parts, error = self._parts, self.error
        outcome = Outcome()
        if error is not None:
            outcome = Outcome(status="timeout" if error.timeout else "error", error_type=error.error_type)
        now_s = parts.clock.now()
        duration_ms = (time.monotonic() - self._started_s) * 1000
        if not self.runtime_initialised:
            parts.log.write(parts.lines.init_runtime_done(now_s, self._phase, outcome))
        if error is None and self.generation is not None:
            for one in self.generation.extensions.registered:
                parts.log.write(parts.lines.extension(now_s, one.name, "Ready", one.events))
        parts.log.write(parts.lines.init_report(now_s, self._phase, duration_ms, outcome))
        self.telemetry.close_subscription()
        if not self.telemetry.wanted:
            parts.lines.observer = parts.log.observer = None

    # What its processes do.

    def runtime_ready(self) -> bool:
        """The runtime asks for its first event; False when it has done so before."""
        if self.runtime_initialised or self.generation is None:
            return False
        self.runtime_initialised = True
        self.generation.extensions.close_registration()
        parts = self._parts
        parts.log.write(parts.lines.init_runtime_done(parts.clock.now(), self._phase, Outcome()))
        return True

    def settle(self) -> bool:
        """The runtime waits for an event: if the extensions do too, the init is over. Whether it is now."""
        generation = self.generation
        if generation is None or self._ready.done() or not generation.extensions.all_asked:
            return False
        generation.drain()
        self._ready.set_result(None)
        return True

    def runtime_failed(self, error_type: str, body: bytes) -> None:
        """The runtime says that it cannot start."""
        self.error = InitError(error_type=error_type, body=body)
        # It is to end by itself now, after its last words; one that does not is ended.
        if self.generation is not None:
            self._loop.call_later(_LAST_WORDS_S, self.generation.end, "failure")

    def extension_failed(self, name: str, failure: Failure) -> None:
        """The listener ends the processes."""
        parts = self._parts
        parts.log.write(parts.lines.extension(parts.clock.now(), name, "Failed", (), failure.error_type))

    def ended(self, failure: Failure) -> None:
        """All processes have ended, because of `failure` if nobody has put it into words before."""
        if self.error is None:
            timeout = failure.error_type == failures.TIMED_OUT
            self.error = InitError(error_type=failure.error_type, failure=failure, timeout=timeout)
        self._ready.set_result(None)
