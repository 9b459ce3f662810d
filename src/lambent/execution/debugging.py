"""Events that stop in a debugger: each in an environment of its own, which nobody else uses and which ends with it.

An event is debugged because its caller wants that (`lambent invoke --debug`), or because its function is switched to
debugging, which stops the events of every client. The switch is a matter of a person at this machine and not of the
function: it is kept in memory only and does not survive the server. Events of one function that is switched take turns,
since one debugger attaches to one of them at a time.

The function's timeout is suspended: such an event may take `TIME_LIMIT_S`. When its caller goes away before a debugger
has attached it ends, since nobody waits for it any more; afterwards it goes on, as an SDK's read timeout is shorter
than a person's thoughts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from lambent.core import ids
from lambent.core.tasks import Supervisor
from lambent.execution.model import FunctionVersion, InvokeRequest, InvokeResult
from lambent.sandbox.protocol import StreamBroken

# A day: whoever forgets a debugger over night finds it as it was.
TIME_LIMIT_S: Final = 86_400.0
_LAST_ANSWERS_S: Final = 2.0


class Port(Protocol):
    """A port of this machine that leads to the debugger of one environment at a time."""

    @property
    def id(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def debugger(self) -> str:
        """What listens there: debugpy or inspector."""

    @property
    def folder(self) -> str:
        """What the function's code is called in the present environment; "" while there is none."""

    @property
    def attached(self) -> bool:
        """Whether a debugger has attached to the present environment."""

    async def wait_environment(self) -> None: ...
    async def wait_attached(self) -> None: ...
    def free(self) -> None:
        """The environment is over."""

    async def end(self) -> None:
        """End the environment that the port leads to, or would lead to next."""

    async def close(self) -> None:
        """Listen no more."""


class Ports(Protocol):
    """Opens debugger ports."""

    async def open(self, debugger: str, port: int) -> Port:
        """On this port, or for 0 on any. Raises OSError when it is taken."""


class Runs(Protocol):
    """What is needed of the engine."""

    async def invoke(self, function: FunctionVersion, request: InvokeRequest) -> InvokeResult: ...
    def retire(self, key: str) -> None: ...


class PortTaken(Exception):
    """Somebody else listens on the port."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One event is to be debugged on `port` (0: any). `on_open` is told where, before the environment starts."""

    port: int = 0
    on_open: Callable[[Port], None]


class Switch:
    """A function whose events are all debugged."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.turn = asyncio.Lock()  # fair: events stop in the order in which they came


class Debugging:
    """`debugger_for` names the debugger of a runtime and raises CannotRun when there is none."""

    def __init__(
        self,
        engine: Runs,
        ports: Ports,
        *,
        debugger_for: Callable[[str], str],
        new_id: ids.IdSource = ids.new_hex,
    ) -> None:
        self._engine = engine
        self._ports = ports
        self._debugger_for = debugger_for
        self._new_id = new_id
        self._switches: dict[str, Switch] = {}
        self._sessions: dict[asyncio.Task[None], _Session] = {}
        self._tasks = Supervisor("debugging")

    def wants(self, function_arn: str) -> bool:
        """Whether all events of this function (unqualified ARN) are to be debugged."""
        return function_arn in self._switches

    def switches(self) -> dict[str, Switch]:
        """What is switched, by unqualified ARN."""
        return dict(self._switches)

    async def switch_on(self, function: FunctionVersion, port: int) -> Port:
        """Debug all events of the function from now on. Raises CannotRun, PortTaken."""
        known = self._switches.get(function.arn)
        if known is not None:
            if port in (0, known.port.port):
                return known.port
            await self.switch_off(function.arn)
        opened = await self._open(function, port)
        self._switches[function.arn] = Switch(opened)
        return opened

    async def switch_off(self, function_arn: str) -> bool:
        """Let events run as always; one that is in the debugger is ended. False when it was off."""
        switch = self._switches.pop(function_arn, None)
        if switch is None:
            return False
        await switch.port.end()
        await switch.port.close()
        return True

    async def invoke(self, function: FunctionVersion, request: InvokeRequest, wish: Wish | None) -> InvokeResult:
        """Run the event in the debugger; returns at the first byte of the answer.

        Raises as the engine does, and PortTaken.
        """
        answer: asyncio.Future[InvokeResult] = asyncio.get_running_loop().create_future()
        session = _Session()
        task = self._tasks.spawn(self._run(function, request, wish, session, answer), "event")
        self._sessions[task] = session
        task.add_done_callback(self._sessions.pop)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            session.left = True
            if answer.done():
                self._drain(answer)
            elif session.port is None:
                task.cancel()  # it waits for its turn
            elif not session.port.attached:
                await session.port.end()
            raise

    async def _run(
        self,
        function: FunctionVersion,
        request: InvokeRequest,
        wish: Wish | None,
        session: _Session,
        answer: asyncio.Future[InvokeResult],
    ) -> None:
        try:
            switch = self._switches.get(function.arn)
            if wish is None and switch is not None:
                async with switch.turn:
                    if self._switches.get(function.arn) is switch:
                        await self._debug(function, request, switch.port, session, answer)
                        return
            elif wish is not None:
                port = await self._open(function, wish.port)
                wish.on_open(port)
                try:
                    await self._debug(function, request, port, session, answer)
                finally:
                    await port.close()
                return
            # It was switched off while this event waited for its turn.
            answer.set_result(await self._engine.invoke(function, request))
        except asyncio.CancelledError:
            answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - the edge of the task: it is the caller's
            if not answer.done():
                answer.set_exception(error)

    async def _debug(
        self,
        function: FunctionVersion,
        request: InvokeRequest,
        port: Port,
        session: _Session,
        answer: asyncio.Future[InvokeResult],
    ) -> None:
        # A key of its own makes a pool of its own: the environment is new, nobody shares it, nothing keeps it.
        alone = msgspec.structs.replace(
            function,
            key=f"{function.key}#debug-{self._new_id()}",
            debug_port=port.id,
            timeout_s=TIME_LIMIT_S,
            initialization_type="on-demand",  # from no snapshot, and one event at a time
            max_concurrency=1,
        )
        session.port = port
        try:
            result = await self._engine.invoke(alone, request)
            answer.set_result(result)
            if session.left:
                self._drain(answer)
            await result.report()
        finally:
            self._engine.retire(alone.key)
            port.free()

    async def _open(self, function: FunctionVersion, port: int) -> Port:
        debugger = self._debugger_for(function.runtime)
        try:
            return await self._ports.open(debugger, port)
        except OSError as error:
            raise PortTaken(f"port {port} of this machine is taken; choose another with --port") from error

    def _drain(self, answer: asyncio.Future[InvokeResult]) -> None:
        """The caller has gone: a runtime that streams is held up while nobody takes its bytes."""

        async def drain(result: InvokeResult) -> None:
            with contextlib.suppress(StreamBroken):
                await result.read()

        if not answer.cancelled() and answer.exception() is None and answer.result().streaming:
            self._tasks.spawn(drain(answer.result()), "drain")

    async def close(self) -> None:
        """End what is being debugged; its callers are told that it was killed."""
        for arn in list(self._switches):
            await self.switch_off(arn)
        events = dict(self._sessions)
        for session in events.values():
            if session.port is not None:
                await session.port.end()
        if events:
            await asyncio.wait(events, timeout=_LAST_ANSWERS_S)
        await self._tasks.close()


class _Session:
    """One event on its way; `port` is set when its turn has come."""

    def __init__(self) -> None:
        self.port: Port | None = None
        self.left = False  # the caller has gone
