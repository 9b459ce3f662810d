"""One runtime process of an environment, from its start to the last byte that it wrote."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lambent.sandbox import framed, places, runtime_api, standby
from lambent.sandbox.api_server import ApiServer
from lambent.sandbox.failures import Failure
from lambent.sandbox.framed import FramedTransport
from lambent.sandbox.launcher import Cell, Command, Exit, Root
from lambent.sandbox.launcher_process import CHANNEL_FD
from lambent.sandbox.output_pipe import OutputPipe
from lambent.sandbox.places import ChannelPlaces, PolledPlaces
from lambent.sandbox.runtime_api import RuntimeApi
from lambent.sandbox.session import Listener, Session, Transport
from lambent.sandbox.standby import StandbyCell

# The runtime has ended by the time this is waited for; only what is in the kernel's buffers is still to come.
_DRAIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the runtime of an environment is run.

    `entrypoint` is the program as the function knows it, for messages. `failure` stands for a runtime that cannot even
    be tried (no bootstrap). `version` is what INIT_START says. `root` is for a sandbox, where paths are those of
    the inside.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    entrypoint: str
    transport: Literal["framed", "http"]
    version: str
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()
    root: Root | None = None


class RuntimeProcess:
    """A started runtime with its transport and the pipe that catches descriptors 1 and 2."""

    def __init__(self, cell: Cell, session: Session, on_piped: Callable[[bytes], None]) -> None:
        self.session = session
        self.exited = False  # `ended` follows when its last words are here
        self._cell = cell
        self._transport: Transport | None = None
        self._places: PolledPlaces | ChannelPlaces | None = None
        self._loop = asyncio.get_running_loop()
        standing = cell.take_standby() if isinstance(cell, StandbyCell) else None
        self._standing = standing
        self._output = OutputPipe(on_piped, None if standing is None else standing.output)
        self.ended: asyncio.Future[Exit] = self._loop.create_future()

    @classmethod
    async def start(
        cls,
        cell: Cell,
        plan: Plan,
        memory_limit_bytes: int,
        api: ApiServer,
        listener: Listener,
        on_piped: Callable[[bytes], None],
        places: PolledPlaces | ChannelPlaces | None = None,
    ) -> RuntimeProcess:
        """Start the runtime; what it says goes to `listener`, what is written to its descriptors to `on_piped`.

        With `places` it runs its events there.
        """
        process = cls(cell, Session(listener), on_piped)
        process._places = places
        try:
            await process._start(plan, memory_limit_bytes, api)
        except BaseException:
            process.close()
            raise
        return process

    async def _start(self, plan: Plan, memory_limit_bytes: int, api: ApiServer) -> None:
        with contextlib.ExitStack() as stack:
            environment = {**plan.environment, runtime_api.ADDRESS_VARIABLE: api.address}
            channel: int | None = None
            if plan.transport == "framed":
                if self._places is not None:
                    api.serve({places.CHANNELS: self._places})
                if isinstance(self._cell, StandbyCell) and self._standing is not None:
                    ours = self._standing.channel
                    self._transport = await FramedTransport.open(self.session, ours, self._cell.kill)
                    # In this order: an end that comes at once is that of the runtime.
                    self._cell.adopt(memory_limit_bytes, self._exited)
                    with contextlib.suppress(OSError):
                        ours.sendall(standby.assignment(environment, plan.folder))
                    return
                ours, theirs = socket.socketpair()
                stack.enter_context(theirs)
                ours.setblocking(False)
                self._transport = await FramedTransport.open(self.session, ours, self._cell.kill)
                channel = theirs.fileno()
                environment[framed.CHANNEL_VARIABLE] = str(CHANNEL_FD)
            elif isinstance(self._places, PolledPlaces):
                self._transport = self._places
                api.serve({}, default=self._places)
            else:
                runtime = RuntimeApi(self.session)
                self._transport = runtime
                api.serve({}, default=runtime)
            self._cell.start(
                Command(
                    argv=plan.argv,
                    environment=environment,
                    folder=plan.folder,
                    memory_limit_bytes=memory_limit_bytes,
                    output=self._output.write_end,
                    channel=channel,
                ),
                self._exited,
            )
            self._output.close_write_end()

    @property
    def transport(self) -> Transport:
        assert self._transport is not None
        return self._transport

    @property
    def leaves(self) -> bool:
        """Whether it has ended, or has at least closed its socket, which it does with its end."""
        return self.exited or (isinstance(self._transport, FramedTransport) and self._transport.closed)

    def drain(self) -> None:
        """Take in what is in the pipe now."""
        self._output.drain()

    def _exited(self, how: Exit) -> None:
        self.exited = True
        # The task is kept alive by the future that it resolves.
        task = self._loop.create_task(self._wind_down(how))
        self.ended.add_done_callback(lambda _: task)

    async def _wind_down(self, how: Exit) -> None:
        """Take in the last words, then give everything up."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_S):
                    await self.transport.wait_closed()
                    if self._places is not None:
                        await self._places.wait_closed()
            self._output.drain()
        finally:
            self.session.exited()
            if self._places is not None:
                self._places.exited()
            self.close()
            if not self.ended.done():
                self.ended.set_result(how)

    def close(self) -> None:
        """Give up descriptors and sockets. Idempotent."""
        self._output.close()
        if self._places is not None:
            self._places.close()
        if self._transport is not None:
            self._transport.close()
