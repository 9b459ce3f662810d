"""All processes of an environment from one init to its end: the extensions, the runtime, and the APIs that they use.

An environment that is reset after a timeout or a crash gets a new generation. The end of one is the SHUTDOWN phase of
AWS ("Understanding the Lambda execution environment lifecycle"): without extensions all is killed at once; else the
runtime has 30 % of the time to end after a SIGTERM, then extensions are told and have what is left of it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Final, Protocol

from lambent.core.clock import Clock
from lambent.sandbox import extension_process, extensions_api, telemetry_api
from lambent.sandbox.api_server import ApiServer
from lambent.sandbox.extension_process import ExtensionProcess, Program, cell_name
from lambent.sandbox.extensions import MAX_EXTENSIONS, SHUTDOWN, ExtensionListener, Extensions, ExtensionState
from lambent.sandbox.extensions_api import ExtensionsApi
from lambent.sandbox.failures import Failure
from lambent.sandbox.launcher import RUNTIME, Cell, Exit, describe_exit, describe_start_error
from lambent.sandbox.lifecycle import RuntimeState
from lambent.sandbox.places import ChannelPlaces, PolledPlaces
from lambent.sandbox.protocol import EnvironmentSpec, Invocation, ShutdownReason
from lambent.sandbox.runtime_process import Plan, RuntimeProcess
from lambent.sandbox.session import Listener
from lambent.sandbox.telemetry import Telemetry
from lambent.sandbox.telemetry_api import TelemetryApi

_INTERNAL_SHUTDOWN_S: Final = 0.5
_EXTERNAL_SHUTDOWN_S: Final = 2.0
_RUNTIME_SHARE: Final = 0.3


class GenerationListener(Listener, ExtensionListener, Protocol):
    """Hears what the runtime and the extensions do."""

    def runtime_piped(self, data: bytes) -> None:
        """What was written to the runtime's descriptors, in any portions."""

    def runtime_lost(self, how: Exit) -> None:
        """It ended by itself; extensions are still to end."""

    def extension_printed(self, name: str, data: bytes) -> None: ...

    def extension_ended(self, name: str) -> None:
        """It prints no more."""


class Generation:
    """`ended` resolves when no process is left, with the runtime's exit; None when it had not been started."""

    def __init__(
        self,
        *,
        spec: EnvironmentSpec,
        plan: Plan,
        programs: Sequence[Program],
        cell: Cell,
        memory_limit_bytes: int,
        clock: Clock,
        telemetry: Telemetry,
        listener: GenerationListener,
        places: PolledPlaces | ChannelPlaces | None = None,
    ) -> None:
        """`places`: where the runtime's events run when there may be several at once."""
        self._spec = spec
        self._plan = plan
        self._programs = programs
        self._cell = cell
        self._limit_bytes = memory_limit_bytes
        self._clock = clock
        self._telemetry = telemetry
        self._listener = listener
        self._places = places
        self._loop = asyncio.get_running_loop()
        self._api: ApiServer | None = None
        self._running: dict[str, ExtensionProcess] = {}
        self._starting: asyncio.Future[None] | None = None  # until the runtime may be started
        self._gone: asyncio.Future[None] | None = None  # awaited by the shutdown
        self._shutdown: asyncio.Task[None] | None = None
        self.extensions = Extensions(spec, self, [program.name for program in programs])
        self.runtime: RuntimeProcess | None = None
        self._launching = False  # processes are being started: an end that comes meanwhile waits for that
        self.ending = False
        self.ended: asyncio.Future[Exit | None] = self._loop.create_future()

    @property
    def runtime_ready(self) -> bool:
        """Whether the runtime waits for an event."""
        return self.runtime is not None and self.runtime.session.state is RuntimeState.READY

    @property
    def idle(self) -> bool:
        """Whether an event could be handed over now."""
        return not self.ending and self.runtime_ready and self.extensions.idle

    async def start(self) -> None:
        """Start the extensions; when all have registered, the runtime. Returns early when the end comes first."""
        self._launching = True
        try:
            await self._start()
        except OSError:
            self.end("failure")
            raise
        finally:
            self._launching = False
            self._look_around()

    async def _start(self) -> None:
        api = self._api = await ApiServer.open(self._cell.runtime_api)
        telemetry = TelemetryApi(self.extensions, self._telemetry, managed=self._spec.concurrent)
        api.serve(
            {
                extensions_api.VERSION: ExtensionsApi(self._spec, self.extensions),
                telemetry_api.TELEMETRY_VERSION: telemetry,
                telemetry_api.LOGS_VERSION: telemetry,
            }
        )
        if len(self._programs) > MAX_EXTENSIONS:
            self._listener.extension_failed(
                self._programs[MAX_EXTENSIONS].name,
                Failure(error_type="Extension.TooManyExtensions", detail=f"Extension limit ({MAX_EXTENSIONS}) reached"),
            )
        elif self._programs and not self.ending:
            self._start_extensions(api.address)
            if not self.extensions.all_registered and not self.ending:
                self._starting = self._loop.create_future()
                await self._starting
        if not self.ending:
            self.runtime = await RuntimeProcess.start(
                self._cell,
                self._plan,
                self._limit_bytes,
                api,
                self._listener,
                self._listener.runtime_piped,
                self._places,
            )
            self.runtime.ended.add_done_callback(self._runtime_ended)
            self._end_late_comer()

    def _end_late_comer(self) -> None:
        """The end may have come while the runtime was being started, and with it the killing of all others."""
        if self.ending:
            self._cell.kill()

    def _start_extensions(self, address: str) -> None:
        environment = extension_process.variables(self._plan.environment, address)
        for program in self._programs:
            name = program.name

            def printed(data: bytes, name: str = name) -> None:
                self._listener.extension_printed(name, data)

            def exited(how: Exit, name: str = name) -> None:
                self._extension_exited(name, how)

            self._running[name] = ExtensionProcess(
                self._cell, program, environment, self._limit_bytes, on_printed=printed, on_exit=exited
            )

    def deliver(self, invocation: Invocation) -> None:
        """Hand an event to the runtime, and tell extensions of it."""
        assert self.runtime is not None
        self.extensions.invoke(invocation)
        self.runtime.transport.deliver(invocation)

    def drain(self) -> None:
        """Take in what has been printed until now."""
        if self.runtime is not None:
            self.runtime.drain()
        for process in self._running.values():
            process.drain()

    # extensions.ExtensionListener

    def extension_changed(self) -> None:
        if self._starting is not None and not self._starting.done() and self.extensions.all_registered:
            self._starting.set_result(None)
        self._listener.extension_changed()

    def extension_failed(self, name: str, failure: Failure) -> None:
        if not self.ending:
            self._listener.extension_failed(name, failure)

    # Ends.

    def _extension_exited(self, name: str, how: Exit) -> None:
        del self._running[name]
        reported = any(
            one.name == name and one.state in (ExtensionState.INIT_ERROR, ExtensionState.EXIT_ERROR)
            for one in self.extensions.known
        )
        self.extensions.exited(name)
        self._listener.extension_ended(name)
        runtime_is_over = self.runtime is not None and self.runtime.exited
        if not (self.ending or reported or runtime_is_over or how.out_of_memory):
            if how.errno:
                failure = Failure(error_type="Extension.LaunchError", detail=describe_start_error(how.errno))
            else:
                failure = Failure(error_type="Extension.Crash", detail=describe_exit(how) or "exit code 0")
            self._listener.extension_failed(name, failure)
        self._look_around()

    def _runtime_ended(self, ended: asyncio.Future[Exit]) -> None:
        if self._running and not self.ending:
            self._listener.runtime_lost(ended.result())
            self.end("failure")
        self._look_around()

    def _look_around(self) -> None:
        """Has the last process ended?"""
        runtime = self.runtime
        if not self._running and (runtime is None or runtime.ended.done()):
            if self._gone is not None and not self._gone.done():
                self._gone.set_result(None)
            if self._shutdown is None and not self._launching and (self.ending or runtime is not None):
                self._all_gone()

    def _all_gone(self) -> None:
        self.ending = True
        self.close()
        if not self.ended.done():
            runtime = self.runtime
            self.ended.set_result(runtime.ended.result() if runtime is not None and runtime.ended.done() else None)

    def end(self, reason: ShutdownReason) -> None:
        """End all processes; `ended` tells when that has happened. Idempotent."""
        if self.ending or self.ended.done():
            return
        self.ending = True
        if self._starting is not None and not self._starting.done():
            self._starting.set_result(None)
        if self.extensions.registered and (self._running or self.runtime is not None):
            self._shutdown = self._loop.create_task(self._shut_down(reason))
        elif self._running or (self.runtime is not None and not self.runtime.ended.done()):
            self._cell.kill()
        else:
            self._loop.call_soon(self._look_around)

    async def _shut_down(self, reason: ShutdownReason) -> None:
        """The SHUTDOWN phase, for extensions that have registered."""
        external = any(one.external for one in self.extensions.registered)
        left_s = _EXTERNAL_SHUTDOWN_S if external else _INTERNAL_SHUTDOWN_S
        deadline_s = self._loop.time() + left_s
        deadline_ms = int((self._clock.now() + left_s) * 1000)
        self._cell.busy()
        try:
            await self._end_runtime(left_s * _RUNTIME_SHARE)
            told = {one.name for one in self.extensions.registered if SHUTDOWN in one.events}
            for name in self._running.keys() - told:
                self._cell.signal(cell_name(name), signal.SIGKILL)
            # What happened until now is still told; a subscriber that does not answer has half of the time.
            await self._telemetry.flush((deadline_s - self._loop.time()) / 2)
            self.extensions.shut_down(reason, deadline_ms)
            if self._running:
                self._gone = self._loop.create_future()
                await asyncio.wait([self._gone], timeout=deadline_s - self._loop.time())
        finally:
            self._shutdown = None
            self._cell.kill()
            self._look_around()

    async def _end_runtime(self, time_s: float) -> None:
        runtime = self.runtime
        if runtime is None or runtime.ended.done():
            return
        self._cell.signal(RUNTIME, signal.SIGTERM)
        await asyncio.wait([runtime.ended], timeout=time_s)
        if not runtime.exited:
            self._cell.signal(RUNTIME, signal.SIGKILL)

    def close(self) -> None:
        """Give up descriptors and sockets. Idempotent."""
        if self._shutdown is not None:
            self._shutdown.cancel()
        for process in self._running.values():
            process.close()
        if self.runtime is not None:
            self.runtime.close()
        if self._api is not None:
            self._api.close()
        self._telemetry.close()
