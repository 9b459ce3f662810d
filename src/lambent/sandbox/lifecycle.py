"""The states of a runtime, and which may follow which: one machine for every transport.

The names are those that AWS's Runtime API puts into its `InvalidStateTransition` answers.
"""

from __future__ import annotations

import enum
from typing import Final


class RuntimeState(enum.Enum):
    """What a runtime is doing, as told by what it last asked for."""

    STARTED = "Started"  # its process runs, it has asked for nothing yet: any answer now is out of turn
    INIT_ERROR = "InitError"  # it reported that it cannot start: it must not be given an event any more
    READY = "Ready"  # it waits for an event
    RUNNING = "Running"  # it has an event: asking for another one now would lose this one
    RESPONSE = "InvocationResponse"  # its answer is coming in: a second one must not mix with it
    ERROR_RESPONSE = "InvocationErrorResponse"  # the same for an error
    RESPONSE_SENT = "ResponseSent"  # it has answered but not asked for more: it may still be working
    EXITED = "Exited"  # its process is gone


TRANSITIONS: Final[dict[RuntimeState, frozenset[RuntimeState]]] = {
    RuntimeState.STARTED: frozenset({RuntimeState.INIT_ERROR, RuntimeState.READY, RuntimeState.EXITED}),
    RuntimeState.INIT_ERROR: frozenset({RuntimeState.EXITED}),
    # READY again: the client of a long poll lost its connection and asks anew.
    RuntimeState.READY: frozenset({RuntimeState.READY, RuntimeState.RUNNING, RuntimeState.EXITED}),
    RuntimeState.RUNNING: frozenset({RuntimeState.RESPONSE, RuntimeState.ERROR_RESPONSE, RuntimeState.EXITED}),
    RuntimeState.RESPONSE: frozenset({RuntimeState.RESPONSE_SENT, RuntimeState.EXITED}),
    RuntimeState.ERROR_RESPONSE: frozenset({RuntimeState.RESPONSE_SENT, RuntimeState.EXITED}),
    RuntimeState.RESPONSE_SENT: frozenset({RuntimeState.READY, RuntimeState.EXITED}),
    RuntimeState.EXITED: frozenset(),
}


class InvalidTransition(Exception):
    """A runtime did what its state does not allow."""

    def __init__(self, current: RuntimeState, wanted: RuntimeState) -> None:
        super().__init__(
            f"State transition from {current.value} to {wanted.value} failed for runtime. "
            "Error: State transition is not allowed"
        )
        self.current = current
        self.wanted = wanted


class Lifecycle:
    """The state of one runtime process."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = RuntimeState.STARTED

    def to(self, wanted: RuntimeState) -> None:
        """Enter `wanted`. Raises InvalidTransition."""
        if wanted not in TRANSITIONS[self.state]:
            raise InvalidTransition(self.state, wanted)
        self.state = wanted
