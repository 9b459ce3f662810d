"""The extensions of an environment: who has registered, who waits for an event, who has one.

AWS documentation, "Lambda Extensions API". An *external* extension is a program in /opt/extensions, started before the
runtime and known by its file's name; any other name that registers is an *internal* extension, part of the runtime's
process. Nothing here knows about sockets or processes; one set of extensions lives as long as one init.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from lambent.core import ids
from lambent.sandbox.failures import Failure
from lambent.sandbox.protocol import EnvironmentSpec, Invocation, ShutdownReason

MAX_EXTENSIONS: Final = 10
INVOKE: Final = "INVOKE"
SHUTDOWN: Final = "SHUTDOWN"


class ExtensionState(enum.Enum):
    """What an extension is doing, by the names that AWS gives to it."""

    STARTED = "Started"  # its process runs; it has to register before the runtime is started
    REGISTERED = "Registered"  # the init is not over before it has asked for its first event
    READY = "Ready"  # it waits for an event
    RUNNING = "Running"  # it has an event: the environment is not free before it asks for another
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    EXITED = "Exited"


_REGISTERED = frozenset({ExtensionState.REGISTERED, ExtensionState.READY, ExtensionState.RUNNING})


class Refused(Exception):
    """A request that gets a 403: its `errorType` and `errorMessage`."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class Extension:
    """One extension. `reply` answers its pending poll, `waiting` is an event that no poll was there for."""

    __slots__ = ("events", "external", "identifier", "name", "reply", "state", "waiting")

    def __init__(self, name: str, *, external: bool) -> None:
        self.name = name
        self.external = external
        self.identifier = ""
        self.events: tuple[str, ...] = ()
        self.state = ExtensionState.STARTED
        self.reply: Callable[[bytes], None] | None = None
        self.waiting: bytes | None = None


class ExtensionListener(Protocol):
    """Hears what extensions do."""

    def extension_changed(self) -> None:
        """One has registered, or asks for an event."""

    def extension_failed(self, name: str, failure: Failure) -> None:
        """One has said that it cannot go on, or has ended out of turn."""


class Extensions:
    """All extensions of one init. `external` are the names of the programs that are being started."""

    def __init__(self, spec: EnvironmentSpec, listener: ExtensionListener, external: Sequence[str]) -> None:
        self._spec = spec
        self._listener = listener
        self._by_name = {name: Extension(name, external=True) for name in external}
        self._by_identifier: dict[str, Extension] = {}
        self._open = True

    # What the environment asks.

    @property
    def known(self) -> list[Extension]:
        """All, registered or not."""
        return list(self._by_name.values())

    @property
    def registered(self) -> list[Extension]:
        """Those that can take part in anything, in the order of their registration."""
        return [one for one in self._by_identifier.values() if one.state in _REGISTERED]

    @property
    def all_registered(self) -> bool:
        """Whether the runtime may be started: no external extension is still to register."""
        return all(one.state is not ExtensionState.STARTED for one in self._by_name.values())

    @property
    def all_asked(self) -> bool:
        """Whether the init may end: each has asked for its first event."""
        return all(one.state is ExtensionState.READY for one in self._by_identifier.values())

    @property
    def idle(self) -> bool:
        """Whether none is still busy with an event."""
        return all(one.state is not ExtensionState.RUNNING for one in self._by_identifier.values())

    def close_registration(self) -> None:
        """The runtime is ready: internal extensions can register no more."""
        self._open = False

    def invoke(self, invocation: Invocation) -> None:
        """Tell of an event those that want to know."""
        if not self._by_identifier:
            return
        event: dict[str, Any] = {
            "eventType": INVOKE,
            "deadlineMs": invocation.deadline_ms,
            "requestId": invocation.request_id,
            "invokedFunctionArn": invocation.invoked_function_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id},
        }
        self._send(event, [one for one in self.registered if INVOKE in one.events])

    def shut_down(self, reason: ShutdownReason, deadline_ms: int) -> None:
        """Tell those that want to know that the environment ends at `deadline_ms`."""
        event = {"eventType": SHUTDOWN, "deadlineMs": deadline_ms, "shutdownReason": reason}
        self._send(event, [one for one in self.registered if SHUTDOWN in one.events])

    def _send(self, event: dict[str, Any], extensions: list[Extension]) -> None:
        if not extensions:
            return
        body = msgspec.json.encode(event)
        for one in extensions:
            # One that is still at work, or whose connection broke, gets it with its next poll.
            reply, one.reply = one.reply, None
            one.state = ExtensionState.RUNNING
            if reply is None:
                one.waiting = body
            else:
                reply(body)

    def exited(self, name: str) -> None:
        """The process of an external extension has ended."""
        self._by_name[name].state = ExtensionState.EXITED

    # What extensions ask.

    def register(self, name: str, events: Sequence[str]) -> Extension:
        """Raises Refused."""
        if not name:
            raise Refused("Extension.InvalidExtensionName", "Empty extension name")
        known = self._by_name.get(name)
        external = known is not None and known.external
        for event in events:
            if event == SHUTDOWN and not external:
                raise Refused("Extension.InvalidEventType", f"{event}: ShutdownEventNotSupportedForInternalExtension")
            # Of several events at once none is an extension's to follow, as on AWS's managed instances.
            if event not in (INVOKE, SHUTDOWN) or (event == INVOKE and self._spec.concurrent):
                raise Refused("Extension.InvalidEventType", f"{event}: ErrorInvalidEventType")
        if known is not None and known.state is not ExtensionState.STARTED:
            raise Refused("Extension.InvalidExtensionState", "Extension with this name already registered")
        if known is None:
            if not self._open:
                raise Refused("Extension.RegistrationClosed", "Extension registration closed already")
            if len(self._by_name) >= MAX_EXTENSIONS:
                raise Refused("Extension.TooManyExtensions", f"Extension limit ({MAX_EXTENSIONS}) reached")
            known = self._by_name[name] = Extension(name, external=False)
        known.identifier = ids.new_uuid()
        known.events = tuple(dict.fromkeys(events))
        known.state = ExtensionState.REGISTERED
        self._by_identifier[known.identifier] = known
        self._listener.extension_changed()
        return known

    def find(self, identifier: str) -> Extension:
        """Raises Refused."""
        if not identifier:
            raise Refused("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
        try:
            known = self._by_identifier.get(str(uuid.UUID(identifier)))
        except ValueError:
            raise Refused("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier") from None
        if known is None:
            raise Refused("Extension.UnknownExtensionIdentifier", f"Unknown extension {identifier}")
        return known

    def next(self, extension: Extension, reply: Callable[[bytes], None]) -> None:
        """It asks for an event; `reply` is called with the event's JSON, now or later. Raises Refused."""
        self._check(extension, ExtensionState.READY)
        if extension.waiting is not None:
            event, extension.waiting = extension.waiting, None
            reply(event)
            return
        extension.reply = reply
        extension.state = ExtensionState.READY
        self._listener.extension_changed()

    def forget_poll(self, extension: Extension, reply: Callable[[bytes], None]) -> None:
        """The connection of a poll broke; the extension asks anew."""
        if extension.reply == reply:
            extension.reply = None

    def failed(self, extension: Extension, state: ExtensionState, error_type: str) -> None:
        """It reports that its init failed, or that it has to exit. Raises Refused."""
        if state is ExtensionState.INIT_ERROR and extension.state is not ExtensionState.REGISTERED:
            raise self._transition(extension, state)
        self._check(extension, state)
        extension.state = state
        self._listener.extension_failed(
            extension.name, Failure(error_type=f"Extension.{state.value}", detail=error_type)
        )

    def _check(self, extension: Extension, wanted: ExtensionState) -> None:
        if extension.state not in _REGISTERED:
            raise self._transition(extension, wanted)

    def _transition(self, extension: Extension, wanted: ExtensionState) -> Refused:
        return Refused(
            "Extension.InvalidExtensionState",
            f"State transition from {extension.state.value} to {wanted.value} failed for extension "
            f"{extension.name}. Error: State transition is not allowed",
        )
