"""An execution environment that runs several events at once, as AWS's managed instances do.

It lives by other rules than one for single events: a timeout ends an event and nothing else, so a handler may run on
unobserved and keep its place until it is through; when the runtime ends, all its events end with it, and so does
the environment, which is never initialised again; it is never frozen, and extensions do not hear of events. An event
that finds no place ready although the runtime has offered one (it has answered and not asked for more yet) waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from lambent.sandbox import failures, initialisation
from lambent.sandbox.answer import Answer
from lambent.sandbox.concurrent_run import ConcurrentRun
from lambent.sandbox.failures import Failure
from lambent.sandbox.generation import Generation
from lambent.sandbox.initialisation import InitError, Initialisation, Parts
from lambent.sandbox.launcher import Exit, describe_exit, describe_start_error
from lambent.sandbox.places import Place, open_places
from lambent.sandbox.process_memory import peak_resident_bytes
from lambent.sandbox.protocol import Invocation, InvocationReport, ShutdownReason

log = logging.getLogger("lambent.sandbox")

# How long an event runs before its log is passed on live and memory is watched: shorter ones need neither.
_TICK_S: Final = 0.1
_STOP_S: Final = 5.0
# A lost place may be all that is seen at first of a runtime that has ended: how long until it is taken for more.
_LOST_S: Final = 0.25
# A runtime that has answered asks for the next event at once, or perhaps never.
_POLL_S: Final = 1.0
_GATHER_S: Final = 0.5


class ConcurrentEnvironment:
    """Implements `protocol.Environment` for up to `spec.max_concurrency` events at a time."""

    def __init__(self, parts: Parts, *, on_stopped: Callable[[], Awaitable[None]]) -> None:
        self._parts = parts
        self._spec = parts.spec
        self._cell = parts.cell
        self._log = parts.log
        self._lines = parts.lines
        self._clock = parts.clock
        self._on_stopped = on_stopped
        self._loop = asyncio.get_running_loop()
        self._maximum = parts.spec.max_concurrency
        self._places = open_places(parts.plan.transport, self, self._maximum, parts.cell.kill)
        self._init: Initialisation | None = None  # while it is under way
        self._generation: Generation | None = None
        self._error: InitError | None = None  # why it can run no event any more
        self._verdict: Failure | None = None
        self._init_duration_ms: float | None = None  # until the first event's report has told it
        self._subscribers = False
        self._idle: deque[Place] = deque()  # the longest idle left
        self._runs: dict[str, ConcurrentRun] = {}
        self._waiting: deque[ConcurrentRun] = deque()
        self._answered: deque[tuple[ConcurrentRun, InvocationReport]] = deque()  # their places are to poll again
        self._gathering = False  # places that the runtime has not offered yet are counted, until `_gathered_s`
        self._gathered_s = 0.0
        self._watching = False
        self._stopping: asyncio.Future[None] | None = None

    @property
    def environment_id(self) -> str:
        return self._spec.environment_id

    @property
    def alive(self) -> bool:
        return self._stopping is None and self._error is None and not self._cell.lost

    @property
    def initialised(self) -> bool:
        return self.alive and self._init is None

    @property
    def places(self) -> int:
        """How many events it can run at a time as things are, those under way included."""
        if not self.alive:
            return 0
        if self._gathering and time.monotonic() < self._gathered_s:
            return self._maximum
        return min(self._maximum, self._offered)

    @property
    def _offered(self) -> int:
        return len(self._idle) + len(self._runs) - len(self._waiting) + len(self._answered)

    # Initialisation.

    async def initialise(self) -> None:
        """The INIT phase. Returns when the first place waits for an event, or it has failed, or has had its time."""
        self._log.write(self._parts.plan.warnings)
        started_s = time.monotonic()
        init = self._init = Initialisation(self._parts, "init", self, self._places)
        generation = self._generation = init.generation
        if generation is not None:
            self._watching = True
            generation.ended.add_done_callback(lambda ended: self._generation_ended(ended.result()))
        try:
            async with asyncio.timeout(initialisation.time_limit_s(self._spec)):
                error = await init.run()
        except TimeoutError:
            await self._end("timeout")
            error = init.timed_out()
        finally:
            self._init = None
        self._subscribers = init.telemetry.wanted
        if error is None:
            took_s = time.monotonic() - started_s
            self._init_duration_ms = took_s * 1000
            # The other places began when the first one did: events that they are to run need not look elsewhere.
            self._gathering = self._offered < self._maximum
            self._gathered_s = time.monotonic() + max(_GATHER_S, took_s)
        elif error.timeout:
            self._error = _befell(failures.timed_out(initialisation.time_limit_s(self._spec)))
        else:
            self._error = error
        self._rest()
        self._log.flush()

    def runtime_init_failed(self, error_type: str, body: bytes) -> None:
        """The first place that cannot be initialised speaks for all, unless another is ready."""
        init = self._init
        if init is not None and init.error is None and init.undecided and not init.runtime_initialised:
            init.runtime_failed(error_type, body)

    def extension_changed(self) -> None:
        if self._init is not None and self._init.runtime_initialised:
            self._init.settle()

    # Running events.

    async def invoke(self, invocation: Invocation) -> Answer:
        """As `protocol.Environment.invoke`, except that cancelling it leaves the handler running."""
        if self._stopping is not None:
            raise RuntimeError(f"environment {self.environment_id} has ended")
        if invocation.request_id in self._runs:
            raise RuntimeError(f"environment {self.environment_id} runs {invocation.request_id} already")
        branch = self._log.branch()
        run = ConcurrentRun(invocation, init_duration_ms=self._init_duration_ms, log=branch)
        self._init_duration_ms = None
        self._runs[invocation.request_id] = run
        self._waiting.append(run)
        branch.begin_tail()
        branch.write(
            self._lines.start(
                self._clock.now(), invocation.request_id, invocation.trace_id, invocation.invoked_function_arn
            )
        )
        run.timer = self._loop.call_later(min(_TICK_S, invocation.timeout_s), self._tick, run)
        if self._error is not None:
            self._fail(run, self._error)
        else:
            self._deliver()
        try:
            await run.first_byte
        except asyncio.CancelledError:
            if invocation.request_id in self._runs:
                self._fail(run, _befell(failures.exited("signal: killed")))
            raise
        return run.answer

    def _deliver(self) -> None:
        """Hand events that wait to places that do."""
        while self._waiting and self._idle:
            run, place = self._waiting.popleft(), self._idle.popleft()
            run.place, place.run = place, run
            run.delivered = True
            self._places.deliver_to(place, run.invocation)

    def _tick(self, run: ConcurrentRun) -> None:
        """Ten times a second while an event runs; and its deadline."""
        left_s = run.left_s
        if left_s <= 0:
            self._fail(run, _befell(failures.timed_out(run.invocation.timeout_s)))
            return
        if not self._watching:
            self._watching = True
            self._cell.watch(True)
        run.log.flush()
        run.timer = self._loop.call_later(min(_TICK_S, left_s), self._tick, run)

    # What the runtime says (places.PlacesListener).

    def place_ready(self, place: Place) -> None:
        if self._init is not None and self._init.runtime_ready():
            self._init.settle()
        run = place.run
        if run is not None:  # a channel is ready after its event
            self._conclude(run)
        self._idle.append(place)
        if self._gathering and self._offered >= self._maximum:
            self._gathering = False
        self._deliver()
        if not place.stays and self._answered:
            self._settle(self._answered[0])

    def place_answered(self, place: Place) -> None:
        run = place.run
        if run is not None and not place.stays:
            self._conclude(run, polls=True)

    def place_lost(self, place: Place) -> None:
        if place in self._idle:
            self._idle.remove(place)
        run = place.run
        if run is not None:
            self._loop.call_later(_LOST_S, self._abandoned, run)

    def _abandoned(self, run: ConcurrentRun) -> None:
        runtime = self._generation.runtime if self._generation is not None else None
        leaves = runtime is not None and runtime.leaves  # then its exit says more
        if run.place is not None and not leaves:
            self._fail(run, _befell(failures.exited(None)))

    def place_printed(self, place: Place, data: bytes) -> None:
        if place.run is not None:
            place.run.log.printed(data)
        else:
            self.runtime_printed(data)

    def place_logged(self, place: Place, message: bytes) -> None:
        if place.run is not None:
            place.run.log.record(message)
        else:
            self.runtime_logged(message)

    # What is said beside the places (generation.GenerationListener).

    def runtime_printed(self, data: bytes) -> None:
        self._log.printed(data)
        self._flush()

    def runtime_logged(self, message: bytes) -> None:
        self._log.record(message)
        self._flush()

    def runtime_piped(self, data: bytes) -> None:
        """Written to descriptors 1 and 2, by whichever event."""
        self._log.piped(data)
        self._flush()

    def extension_printed(self, name: str, data: bytes) -> None:
        self._log.extension_printed(name, data)
        self._flush()

    def extension_ended(self, name: str) -> None:
        self._log.extension_ended(name)
        self._flush()

    def _flush(self) -> None:
        if self._init is None:
            self._log.flush()

    def runtime_ready(self) -> None:
        return  # the channel of a process whose events run in places

    def runtime_answered(self, content_type: str, body: bytes) -> None:
        raise AssertionError("the main channel carries no events")

    def runtime_failed(self, error_type: str, body: bytes) -> None:
        raise AssertionError("the main channel carries no events")

    def runtime_streams(self, content_type: str) -> None:
        raise AssertionError("the main channel carries no events")

    def runtime_chunk(self, data: bytes) -> bool:
        raise AssertionError("the main channel carries no events")

    def runtime_stream_ended(self) -> None:
        raise AssertionError("the main channel carries no events")

    # Ends.

    def extension_failed(self, name: str, failure: Failure) -> None:
        if self._init is not None:
            self._init.extension_failed(name, failure)
        self._condemn(failure)
        if self._generation is not None:
            self._generation.end("failure")

    def runtime_lost(self, how: Exit) -> None:
        self._condemn(self._explain(how))

    def _condemn(self, failure: Failure) -> None:
        """All events will end with `failure`: subscribers are told while they can still hear it."""
        if self._verdict is not None:
            return
        self._verdict = failure
        if self._subscribers:
            for run in self._runs.values():
                self._tell(run, _befell(failure))
                self._runtime_done(run)

    def _explain(self, how: Exit | None) -> Failure:
        """What befell a runtime that ended like this."""
        if how is not None and how.errno:
            return failures.cannot_execute(self._parts.plan.entrypoint, describe_start_error(how.errno))
        if how is not None and how.out_of_memory:
            return failures.out_of_memory()
        return failures.exited("signal: killed" if how is None else describe_exit(how))

    def _generation_ended(self, how: Exit | None) -> None:
        """All processes and their last words are here, and with them all events."""
        verdict = self._verdict or self._explain(how)
        if self._init is not None and self._init.undecided:
            self._init.ended(verdict)
        elif self._error is None:
            self._error = _befell(verdict)
        for run in list(self._runs.values()):
            self._fail(run, _befell(verdict))
        while self._answered:
            self._settle(self._answered[0])
        self._idle.clear()
        self._log.end_lines()
        self._log.flush()

    def _fail(self, run: ConcurrentRun, error: InitError) -> None:
        """The event ends with what befell it, or the environment."""
        if not run.failed:
            self._tell(run, error)
        self._conclude(run)

    def _tell(self, run: ConcurrentRun, error: InitError) -> None:
        request_id = run.invocation.request_id
        if error.failure is None:
            run.error(error.error_type, error.body or b"")
            return
        run.fail(error.failure)
        if run.outcome.status == "timeout":
            run.log.write(self._lines.timed_out(self._clock.now(), request_id, run.invocation.timeout_s))
        else:
            run.log.write([error.failure.log_line(request_id)])

    def _runtime_done(self, run: ConcurrentRun) -> None:
        run.runtime_done = True
        if self._generation is not None:
            self._generation.drain()
        run.log.end_lines()
        run.log.write(
            self._lines.runtime_done(
                self._clock.now(),
                run.invocation.request_id,
                run.duration_ms,
                run.outcome,
                run.produced_bytes,
                run.spans,
            )
        )

    def _conclude(self, run: ConcurrentRun, *, polls: bool = False) -> None:
        """Write END and REPORT and give the report; with `polls` when the runtime has asked for its next event."""
        request_id = run.invocation.request_id
        del self._runs[request_id]
        self._places.over(request_id, timed_out=run.outcome.status == "timeout")
        if run.timer is not None:
            run.timer.cancel()
        if run.place is not None:
            run.place.run = None
            run.place = None
        elif run in self._waiting:
            self._waiting.remove(run)
        if not run.runtime_done:
            self._runtime_done(run)
        report = run.report(memory_mb=self._spec.memory_mb, peak_bytes=self._peak_bytes())
        run.log.write(self._lines.report(self._clock.now(), request_id, report, run.outcome))
        run.log.flush()
        if not self._runs:
            self._rest()
        report = msgspec.structs.replace(report, log_tail=run.log.end_tail())
        if polls:
            entry = run, report
            self._answered.append(entry)
            self._loop.call_later(_POLL_S, self._settle, entry)
        else:
            run.conclude(report)

    def _settle(self, entry: tuple[ConcurrentRun, InvocationReport]) -> None:
        """There is a place again where an event was, or it is waited for no longer."""
        if entry in self._answered:
            self._answered.remove(entry)
            run, report = entry
            run.conclude(report)

    def _peak_bytes(self) -> int:
        return max(self._cell.peak_bytes, peak_resident_bytes(self._cell.pid) if self.alive else 0)

    def _rest(self) -> None:
        if self._watching:
            self._watching = False
            self._cell.watch(False)

    async def _end(self, reason: ShutdownReason) -> None:
        """End all processes, if there are any, and wait until they are gone."""
        generation = self._generation
        if generation is not None:
            generation.end(reason)
            await asyncio.wait([generation.ended], timeout=_STOP_S)

    async def stop(self, reason: ShutdownReason) -> None:
        if self._stopping is not None:
            await asyncio.shield(self._stopping)
            return
        self._stopping = self._loop.create_future()
        try:
            log.debug("environment %s of %s ends: %s", self.environment_id, self._spec.function_name, reason)
            await self._end(reason)
        finally:
            self._cell.close()
            if self._generation is not None:
                self._generation.close()
            self._log.end_lines()
            self._log.flush()
            try:
                await self._on_stopped()
            finally:
                self._stopping.set_result(None)


def _befell(failure: Failure) -> InitError:
    """The end of an environment, as that of an init is told."""
    return InitError(error_type=failure.error_type, failure=failure)
