"""One execution environment: initialises its runtime, runs events one at a time, survives what they do.

An event's life: `invoke` hands it to the runtime and waits for the first byte of the answer; the listener methods,
called by the transport, fill the answer in; `_conclude` writes END and REPORT once the runtime is ready again or gone.
What ends a runtime from outside (deadline, memory, cancellation) only leaves a *verdict* and kills; when the process
is gone, the verdict becomes the answer. So no answer is given while something of it may still be running.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from lambent.sandbox import failures
from lambent.sandbox.answer import Answer
from lambent.sandbox.event_run import EventRun
from lambent.sandbox.failures import Failure
from lambent.sandbox.generation import Generation
from lambent.sandbox.initialisation import InitError, Initialisation, Parts
from lambent.sandbox.launcher import Exit, describe_exit, describe_start_error
from lambent.sandbox.platform_lines import Phase
from lambent.sandbox.process_memory import peak_resident_bytes
from lambent.sandbox.protocol import Invocation, ShutdownReason
from lambent.sandbox.telemetry import Telemetry

log = logging.getLogger("lambent.sandbox")

# How long an event runs before its log is passed on live and its memory is watched: shorter ones need neither.
_TICK_S = 0.1
_STOP_S = 5.0


class ExecutionEnvironment:
    """Implements `protocol.Environment` on a cell, whatever isolates that cell."""

    def __init__(self, parts: Parts, *, on_stopped: Callable[[], Awaitable[None]]) -> None:
        self._parts = parts
        self._spec = parts.spec
        self._cell = parts.cell
        self._log = parts.log
        self._lines = parts.lines
        self._clock = parts.clock
        self._on_stopped = on_stopped
        self._loop = asyncio.get_running_loop()
        self._generation: Generation | None = None
        self._init: Initialisation | None = None  # while one is under way
        self._init_duration_ms: float | None = None  # until the first event's report has told it
        self._telemetry: Telemetry | None = None
        self._run: EventRun | None = None
        self._verdict: Failure | None = None
        self._watching = False
        self._stopping: asyncio.Future[None] | None = None

    @property
    def environment_id(self) -> str:
        return self._spec.environment_id

    @property
    def alive(self) -> bool:
        return self._stopping is None and not self._cell.lost

    @property
    def initialised(self) -> bool:
        return self.alive and self._generation is not None and self._generation.idle

    @property
    def places(self) -> int:
        return 1

    # Initialisation.

    async def initialise(self) -> None:
        """The INIT phase. Returns when the runtime is ready, or has failed, or has had its time."""
        self._log.write(self._parts.plan.warnings)
        started_s = time.monotonic()
        init = self._begin_init("init")
        try:
            async with asyncio.timeout(self._parts.time_limit_s):
                error = await self._run_init(init)
        except TimeoutError:
            await self._end("timeout")
            error = init.timed_out()
        if error is None:
            self._init_duration_ms = (time.monotonic() - started_s) * 1000
        self._log.flush()

    def _begin_init(self, phase: Phase) -> Initialisation:
        init = Initialisation(self._parts, phase, self)
        self._telemetry = init.telemetry
        return init

    async def _run_init(self, init: Initialisation) -> InitError | None:
        """Start extensions and runtime and wait until all are ready, or gone."""
        generation = init.generation
        if generation is not None:
            self._verdict = None
            self._watching = True
            self._init, self._generation = init, generation
            generation.ended.add_done_callback(lambda ended: self._generation_ended(generation, ended.result()))
        try:
            return await init.run()
        finally:
            self._init = None

    def _generation_ended(self, generation: Generation, how: Exit | None) -> None:
        """All processes and their last words are here."""
        if self._generation is generation:
            self._generation = None
        verdict, self._verdict = self._verdict or self._explain(how), None
        if self._init is not None and self._init.undecided:
            self._init.ended(verdict)
        elif self._run is not None and self._run.delivered:
            self._fail(verdict)
        self._log.end_lines()
        self._log.flush()

    def _explain(self, how: Exit | None) -> Failure:
        """What befell a runtime that ended like this."""
        if how is not None and how.errno:
            return failures.cannot_execute(self._parts.plan.entrypoint, describe_start_error(how.errno))
        return failures.exited("signal: killed" if how is None else describe_exit(how))

    async def _end(self, reason: ShutdownReason) -> None:
        """End all processes, if there are any, and wait until they are gone."""
        generation = self._generation
        if generation is not None:
            generation.end(reason)
            await asyncio.wait([generation.ended], timeout=_STOP_S)

    # Running an event.

    async def invoke(self, invocation: Invocation) -> Answer:
        if self._run is not None:
            raise RuntimeError(f"environment {self.environment_id} runs another event")
        if self._stopping is not None:
            raise RuntimeError(f"environment {self.environment_id} has ended")
        run = self._run = EventRun(invocation, init_duration_ms=self._init_duration_ms, on_drained=self._drained)
        self._init_duration_ms = None
        self._cell.busy()
        self._log.begin_tail()
        self._log.write(self._lines.start(self._clock.now(), invocation.request_id, invocation.trace_id))
        run.timer = self._loop.call_later(min(_TICK_S, invocation.timeout_s), self._tick, run)
        try:
            generation = self._generation
            if generation is not None and generation.idle:
                run.delivered = True
                generation.deliver(invocation)
            else:
                await self._reset_and_deliver(run)
            await run.first_byte
        except asyncio.CancelledError:
            await self._abandon(run)
            raise
        return run.answer

    async def _reset_and_deliver(self, run: EventRun) -> None:
        """There is no runtime, or none that can take an event: initialise one as part of this event."""
        waiting = self._loop.create_task(self._initialise_again())
        either: list[asyncio.Future[Any]] = [waiting, run.first_byte]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if run.first_byte.done():
                return
            error = waiting.result()
            if error is None and self._generation is not None:
                run.delivered = True
                self._generation.deliver(run.invocation)
            elif error is not None and error.body is not None:
                run.error(error.error_type, error.body)
                await self._end("failure")
                self._conclude()
            elif error is not None and error.failure is not None:
                self._fail(error.failure)
        finally:
            waiting.cancel()

    async def _initialise_again(self) -> InitError | None:
        await self._end("failure")
        return await self._run_init(self._begin_init("invoke"))

    def _tick(self, run: EventRun) -> None:
        """Ten times a second while an event runs; and its deadline."""
        if self._run is not run:
            return
        left_s = run.left_s
        if left_s <= 0:
            self._time_out(run)
            return
        if not self._watching:
            self._watching = True
            self._cell.watch(True)
        self._log.flush()
        run.timer = self._loop.call_later(min(_TICK_S, left_s), self._tick, run)

    def _time_out(self, run: EventRun) -> None:
        failure = failures.timed_out(run.invocation.timeout_s)
        generation = self._generation
        if generation is None or (self._init is None and not run.delivered):
            # Nothing of this event is there yet: at most the processes before it, on their way out.
            self._fail(failure)
        elif not generation.ending:
            self._verdict = failure
            self._announce(failure)
            generation.end("timeout")

    async def _abandon(self, run: EventRun) -> None:
        """The caller is gone: end the runtime, so that no event runs on unobserved."""
        if self._run is run:
            generation = self._generation
            if generation is not None:
                self._verdict = failures.exited("signal: killed")
                generation.end("failure")
                await asyncio.shield(asyncio.wait([generation.ended], timeout=_STOP_S))
            if self._run is run:
                self._fail(failures.exited("signal: killed"))

    # What the runtime says (session.Listener).

    def runtime_ready(self) -> None:
        generation = self._generation
        if generation is None:
            return
        first = self._init is not None and self._init.runtime_ready()
        if not first and self._run is not None and self._run.answered:
            self._runtime_done(self._run)
        self._settle(generation)

    def extension_changed(self) -> None:
        if self._generation is not None:
            self._settle(self._generation)

    def _settle(self, generation: Generation) -> None:
        """The runtime or an extension waits for an event: if all do, the init or the event is over."""
        if generation.ending or not generation.runtime_ready:
            return
        if self._init is not None:
            if self._init.settle() and self._run is None:  # one that is part of an event goes on with it
                self._rest()
        elif self._run is not None and self._run.answered and generation.extensions.idle:
            self._conclude()

    def runtime_init_failed(self, error_type: str, body: bytes) -> None:
        if self._init is not None:
            self._init.runtime_failed(error_type, body)

    def extension_failed(self, name: str, failure: Failure) -> None:
        if self._init is not None:
            self._init.extension_failed(name, failure)
        if self._verdict is None:
            self._verdict = failure
            self._announce(failure)
        if self._generation is not None:
            self._generation.end("failure")

    def runtime_lost(self, how: Exit) -> None:
        if self._verdict is None:
            self._verdict = self._explain(how)
            self._announce(self._verdict)

    def _announce(self, failure: Failure) -> None:
        """Tell subscribers how the event ends, while they can still hear it; its caller has to wait for all to end."""
        run = self._run
        subscribers = self._telemetry is not None and self._telemetry.wanted
        if run is not None and run.delivered and subscribers and not run.failed:
            self._tell_failure(run, failure)
            if not run.runtime_done:
                self._runtime_done(run)

    def extension_printed(self, name: str, data: bytes) -> None:
        self._log.extension_printed(name, data)
        self._flush_unless_running()

    def extension_ended(self, name: str) -> None:
        self._log.extension_ended(name)
        self._flush_unless_running()

    def runtime_answered(self, content_type: str, body: bytes) -> None:
        if self._run is not None and not self._condemned():
            self._run.whole(content_type, body)

    def runtime_failed(self, error_type: str, body: bytes) -> None:
        if self._run is not None and not self._condemned():
            self._run.error(error_type, body)

    def runtime_streams(self, content_type: str) -> None:
        if self._run is not None and not self._condemned():
            self._run.begin_stream(content_type)

    def runtime_chunk(self, data: bytes) -> bool:
        if self._run is None or self._verdict is not None:
            return True
        return self._run.chunk(data)

    def runtime_stream_ended(self) -> None:
        if self._run is not None and not self._condemned():
            self._run.end_stream()

    def runtime_printed(self, data: bytes) -> None:
        self._log.printed(data)
        self._flush_unless_running()

    def runtime_logged(self, message: bytes) -> None:
        self._log.record(message)
        self._flush_unless_running()

    def runtime_piped(self, data: bytes) -> None:
        self._log.piped(data)
        self._flush_unless_running()

    def _flush_unless_running(self) -> None:
        if self._run is None and self._init is None:
            self._log.flush()

    # Concluding an event.

    def _condemned(self) -> bool:
        """Whether there is a verdict already, so that what the runtime still says no longer counts.

        One that went over its memory between two looks at it gets its verdict here.
        """
        if self._verdict is not None:
            return True
        generation = self._generation
        runtime = generation.runtime if generation is not None else None
        if generation is None or runtime is None or runtime.session.memory_peak_bytes <= self._parts.memory_limit_bytes:
            return False
        self._verdict = failures.exited("signal: killed")
        generation.end("failure")
        return True

    def _fail(self, failure: Failure) -> None:
        """The event ends with what befell the environment."""
        run = self._run
        if run is None:
            return
        if not run.failed:
            self._tell_failure(run, failure)
        self._conclude()

    def _tell_failure(self, run: EventRun, failure: Failure) -> None:
        run.fail(failure)
        request_id = run.invocation.request_id
        if run.outcome.status == "timeout":
            self._log.write(self._lines.timed_out(self._clock.now(), request_id, run.invocation.timeout_s))
        else:
            self._log.write([failure.log_line(request_id)])

    def _runtime_done(self, run: EventRun) -> None:
        """The runtime asks for the next event, or has ended: END."""
        run.runtime_done = True
        self._drain()
        self._log.end_lines()
        self._log.write(
            self._lines.runtime_done(
                self._clock.now(),
                run.invocation.request_id,
                run.duration_ms,
                run.outcome,
                run.produced_bytes,
                run.spans,
            )
        )

    def _conclude(self) -> None:
        """Write END and REPORT, give the report, be free for the next event."""
        run = self._run
        assert run is not None
        self._run = None
        if run.timer is not None:
            run.timer.cancel()
        if run.runtime_done:
            self._drain()
        else:
            self._runtime_done(run)
        report = run.report(memory_mb=self._spec.memory_mb, peak_bytes=self._peak_bytes())
        self._log.write(self._lines.report(self._clock.now(), run.invocation.request_id, report, run.outcome))
        self._log.flush()
        self._rest()
        run.conclude(msgspec.structs.replace(report, log_tail=self._log.end_tail()))

    def _drain(self) -> None:
        if self._generation is not None:
            self._generation.drain()

    def _peak_bytes(self) -> int:
        """The most memory that the runtime has had: as measured, as it says itself, or as the kernel says."""
        runtime = self._generation.runtime if self._generation is not None else None
        if runtime is None:
            return self._cell.peak_bytes
        own = runtime.session.memory_peak_bytes or peak_resident_bytes(self._cell.pid)
        return max(self._cell.peak_bytes, own)

    def _rest(self) -> None:
        self._cell.idle()
        if self._watching:
            self._watching = False
            self._cell.watch(False)

    def _drained(self) -> None:
        if self._generation is not None and self._generation.runtime is not None:
            self._generation.runtime.transport.resume()

    # The end.

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
