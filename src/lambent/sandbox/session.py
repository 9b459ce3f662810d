"""One runtime process as seen through its transport: what it may do now, and who hears about it.

Transports (`framed`, `runtime_api`) call the methods below when the runtime says something; the methods check the
state machine and pass it on to the listener, the environment. Nothing here knows about sockets.
"""

from __future__ import annotations

from typing import Protocol

from lambent.sandbox.lifecycle import InvalidTransition, Lifecycle, RuntimeState
from lambent.sandbox.protocol import Invocation


class InvalidRequestId(Exception):
    """An answer to another event than the current one."""


class Transport(Protocol):
    """How a runtime is reached."""

    def deliver(self, invocation: Invocation) -> None:
        """Hand the event to the runtime, which is ready."""

    def resume(self) -> None:
        """Take in more of a streamed answer, after `Session.stream_chunk` said that it is enough."""

    async def wait_closed(self) -> None:
        """Return when all that the runtime said has been taken in; it has ended by now."""

    def close(self) -> None:
        """Give up what the transport holds. Idempotent."""


class Listener(Protocol):
    """Hears what a runtime does; the state machine has allowed it already."""

    def runtime_ready(self) -> None: ...

    def runtime_init_failed(self, error_type: str, body: bytes) -> None: ...

    def runtime_answered(self, content_type: str, body: bytes) -> None: ...

    def runtime_failed(self, error_type: str, body: bytes) -> None:
        """The event's error, passed to the caller byte for byte; during a stream, the stream's error."""

    def runtime_streams(self, content_type: str) -> None: ...

    def runtime_chunk(self, data: bytes) -> bool:
        """Part of a streamed answer. False asks the transport to wait for `resume`."""

    def runtime_stream_ended(self) -> None: ...

    def runtime_printed(self, data: bytes) -> None:
        """Output in any portions."""

    def runtime_logged(self, message: bytes) -> None:
        """One log record, whole."""


class Session:
    """The conversation with one runtime process."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lifecycle = Lifecycle()
        self._request_id: str | None = None
        self._streaming = False
        self.memory_peak_bytes = 0  # as the runtime itself reports it

    @property
    def state(self) -> RuntimeState:
        return self._lifecycle.state

    @property
    def streaming(self) -> bool:
        """Whether a streamed answer is coming in."""
        return self._streaming and self._lifecycle.state is RuntimeState.RESPONSE

    def dispatched(self, invocation: Invocation) -> None:
        """An event is being handed to the runtime. Raises InvalidTransition."""
        self._lifecycle.to(RuntimeState.RUNNING)
        self._streaming = False
        self._request_id = invocation.request_id

    def ready(self) -> None:
        """The runtime asks for an event. Raises InvalidTransition."""
        again = self._lifecycle.state is RuntimeState.READY
        self._lifecycle.to(RuntimeState.READY)
        self._request_id = None
        if not again:
            self._listener.runtime_ready()

    def init_failed(self, error_type: str, body: bytes) -> None:
        """Raises InvalidTransition."""
        self._lifecycle.to(RuntimeState.INIT_ERROR)
        self._listener.runtime_init_failed(error_type, body)

    def check(self, request_id: str) -> None:
        """Whether an answer to `request_id` may come now. Raises InvalidRequestId, InvalidTransition."""
        if self._lifecycle.state in (RuntimeState.STARTED, RuntimeState.INIT_ERROR):
            raise InvalidTransition(self._lifecycle.state, RuntimeState.RESPONSE)
        if request_id != self._request_id:
            raise InvalidRequestId(request_id)

    def begin_response(self) -> None:
        """An answer starts to come in. Raises InvalidTransition."""
        self._lifecycle.to(RuntimeState.RESPONSE)

    def begin_error(self) -> None:
        """An error starts to come in. Raises InvalidTransition."""
        self._lifecycle.to(RuntimeState.ERROR_RESPONSE)

    def answered(self, content_type: str, body: bytes) -> None:
        """The whole answer is here."""
        self._lifecycle.to(RuntimeState.RESPONSE_SENT)
        self._listener.runtime_answered(content_type, body)

    def failed(self, error_type: str, body: bytes) -> None:
        """The event ended with an error, or its stream did."""
        self._lifecycle.to(RuntimeState.RESPONSE_SENT)
        self._listener.runtime_failed(error_type, body)

    def stream_begun(self, content_type: str) -> None:
        """The answer, already begun, comes as a stream."""
        self._streaming = True
        self._listener.runtime_streams(content_type)

    def stream_chunk(self, data: bytes) -> bool:
        """False when the transport should wait for `Transport.resume`. Raises InvalidTransition."""
        self._check_streaming()
        return self._listener.runtime_chunk(data)

    def stream_ended(self) -> None:
        """The stream is complete. Raises InvalidTransition."""
        self._check_streaming()
        self._lifecycle.to(RuntimeState.RESPONSE_SENT)
        self._listener.runtime_stream_ended()

    def _check_streaming(self) -> None:
        if not self.streaming:
            raise InvalidTransition(self._lifecycle.state, RuntimeState.RESPONSE)

    def printed(self, data: bytes) -> None:
        self._listener.runtime_printed(data)

    def logged(self, message: bytes) -> None:
        self._listener.runtime_logged(message)

    def exited(self) -> None:
        """The process is gone; nothing that still arrives counts."""
        self._lifecycle.state = RuntimeState.EXITED
        self._request_id = None
