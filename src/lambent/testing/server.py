"""Whole servers for tests: a process of its own, or a thread of this one on a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lambent.core.clock import Clock
from lambent.core.config import Isolation, ServerConfig
from lambent.testing import clients
from lambent.testing.clock import RemoteClock, VirtualClock

_READY = re.compile(r"^ready (https?://\S+)", re.MULTILINE)


class ServerFailed(Exception):
    """The server ended or kept silent before it was ready; the message holds what it said."""


class ServerProcess:
    """`lambent up` on a free loopback port, as a process that this object starts and ends.

    `arguments` are further options of `lambent up`; `environment` further variables; `module` is what `python -m` runs
    in place of `lambent`. `isolation` is `process` here, not what `lambent up` does by itself, since tests must run
    where sandboxes do not work. Without `data` every object has a temporary data directory that `close` removes;
    `start` after `stop` or `kill` finds the same data again, but listens on another port.
    """

    def __init__(
        self,
        *arguments: str,
        data: Path | None = None,
        environment: Mapping[str, str] | None = None,
        module: str = "lambent",
        isolation: Isolation = "process",
    ) -> None:
        self._arguments = ("--isolation", isolation, *arguments)
        self._module = module
        self._environment = dict(environment or {})
        self._folder = None if data else tempfile.TemporaryDirectory(prefix="lambent-", ignore_cleanup_errors=True)
        self.data = data or Path(self._folder.name if self._folder else "") / "data"
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._lines: list[str] = []
        self._endpoint: str | None = None
        self._settled = threading.Event()

    @property
    def endpoint(self) -> str:
        """The base URL. Raises RuntimeError while the server is not ready."""
        if self._endpoint is None:
            raise RuntimeError("the server is not running; call start() first")
        return self._endpoint

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running; call start() first")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """Everything that the server printed since it was last started, logs included."""
        return "".join(self._lines)

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of this server; options as in `testing.clients.client`."""
        return clients.client(service, self.endpoint, **options)

    def start(self, *, timeout_s: float = 30.0) -> Self:
        """Start the server and return once it answers. Raises ServerFailed."""
        self.launch()
        self.wait_ready(timeout_s=timeout_s)
        return self

    def launch(self) -> None:
        """Start the server without waiting for it."""
        if self.running:
            raise RuntimeError("the server is running already")
        command = [sys.executable, "-m", self._module, "up", "--port", "0", "--data", str(self.data), *self._arguments]
        self._lines, self._endpoint, self._settled = [], None, threading.Event()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | self._environment,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def wait_ready(self, *, timeout_s: float = 30.0) -> None:
        """Wait for the ready line. Raises ServerFailed when the server ends or says nothing in time."""
        in_time = self._settled.wait(timeout_s)
        if self._endpoint is None:
            self.kill()
            how = "ended before it was ready" if in_time else f"was not ready after {timeout_s:g} s"
            raise ServerFailed(f"the server {how}:\n{self.output}")

    def wait(self, *, timeout_s: float = 30.0) -> int:
        """Wait for the server to end by itself: its exit code. Raises subprocess.TimeoutExpired."""
        if self._process is None:
            raise RuntimeError("the server was never started")
        code = self._process.wait(timeout_s)
        self._ended()
        return code

    def stop(self, *, timeout_s: float = 30.0) -> int | None:
        """End it gracefully (SIGTERM): its exit code, None when it was not running. Kills it after `timeout_s`."""
        if not self.running:
            self._ended()
            return None
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once (SIGKILL), as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._ended()

    def restart(self) -> Self:
        """Stop gracefully and start on the same data."""
        self.stop()
        return self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server's process, and to no other."""
        if self._process is not None:
            self._process.send_signal(number)

    def close(self) -> None:
        """Stop, and remove a temporary data directory."""
        try:
            self.stop()
        finally:
            if self._folder is not None:
                self._folder.cleanup()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, process: subprocess.Popen[str]) -> None:
        settled = self._settled
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._lines.append(line)
                if self._endpoint is None and (found := _READY.match(line)):
                    self._endpoint = found[1]
                    settled.set()
        settled.set()

    def _ended(self) -> None:
        # The pipe stays open as long as a process of the server's does; its last words are worth a moment, no more.
        if self._reader is not None:
            self._reader.join(2.0)
        self._endpoint = None


class ThreadedServer:
    """A server in a thread of this process, so that a test can turn its clock.

    Without `config` it has a temporary data directory and a free port. `clock` None means a new VirtualClock.
    """

    def __init__(self, config: ServerConfig | None = None, clock: Clock | None = None) -> None:
        self._folder = None if config else tempfile.TemporaryDirectory(prefix="lambent-", ignore_cleanup_errors=True)
        self.config = config or ServerConfig(data=Path(self._folder.name if self._folder else "") / "data", port=0)
        self._clock = clock or VirtualClock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._settled = threading.Event()
        self._endpoint: str | None = None
        self._error: BaseException | None = None

    @property
    def endpoint(self) -> str:
        """The base URL. Raises RuntimeError while the server is not ready."""
        if self._endpoint is None:
            raise RuntimeError("the server is not running; call start() first")
        return self._endpoint

    @property
    def clock(self) -> RemoteClock:
        """The clock, to be advanced from the test. Raises RuntimeError when the server runs on another kind."""
        if not isinstance(self._clock, VirtualClock):
            raise RuntimeError("this server does not run on virtual time")
        return RemoteClock(self._clock)

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of this server; options as in `testing.clients.client`."""
        return clients.client(service, self.endpoint, **options)

    def start(self, *, timeout_s: float = 30.0) -> Self:
        """Start and return once the server answers. Raises ServerFailed, or what the start raised."""
        if self._thread is not None:
            raise RuntimeError("the server is running already")
        self._settled, self._error = threading.Event(), None
        self._thread = threading.Thread(target=self._run, name="lambent-server", daemon=True)
        self._thread.start()
        if not self._settled.wait(timeout_s):
            raise ServerFailed(f"the server was not ready after {timeout_s:g} s")
        if self._endpoint is None:
            self._join(timeout_s)
        return self

    def stop(self, *, timeout_s: float = 30.0) -> None:
        """Stop gracefully. Raises what the server raised, ServerFailed when it does not end in time."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._join(timeout_s)

    def close(self) -> None:
        """Stop, and remove a temporary data directory."""
        try:
            self.stop()
        finally:
            if self._folder is not None:
                self._folder.cleanup()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _join(self, timeout_s: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                raise ServerFailed(f"the server was still stopping after {timeout_s:g} s")
        self._thread = self._endpoint = None
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_CountingLoop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that started us
            self._error = error
        finally:
            self._settled.set()

    async def _serve(self) -> None:
        from lambent.platform import Platform
        from lambent.testing.holding import Holding

        loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop = loop
        clock = self._clock
        platform = Platform(
            self.config, clock=clock, decorator=Holding(clock) if isinstance(clock, VirtualClock) else None
        )
        try:
            await platform.start()
            if isinstance(clock, VirtualClock) and isinstance(loop, _CountingLoop):
                clock.attach()
                clock.watch("threads", lambda: loop.on_threads)
            self._endpoint = platform.endpoint
            self._settled.set()
            await self._stop.wait()
        finally:
            if isinstance(clock, VirtualClock):
                clock.unwatch("threads")
            await platform.stop()


class _CountingLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop (uvloop's timers cannot be virtual), which knows how much of its work is on threads."""

    def __init__(self) -> None:
        super().__init__()
        self.on_threads = 0

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        self.on_threads += 1
        future.add_done_callback(self._one_less)
        return future

    def _one_less(self, _: asyncio.Future[Any]) -> None:
        self.on_threads -= 1
