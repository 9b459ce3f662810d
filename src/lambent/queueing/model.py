"""What callers of the engine give and get. Times are epoch milliseconds unless the name says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, NamedTuple

import msgspec

MAX_IN_FLIGHT: Final = 120_000  # SQS developer guide, "Message quotas"
DEDUPLICATION_MS: Final = 300_000  # SQS developer guide, "Exactly-once processing"
MAX_HELD_MS: Final = 43_200_000  # SQS API reference, "ChangeMessageVisibility"
# A sequence number has twenty digits.
SEQUENCE_BASE: Final = 10**19


class QueueExists(Exception):
    """There is a queue of this id or name."""


class QueueGone(Exception):
    """The queue was deleted."""


class TooManyInFlight(Exception):
    """A standard queue's consumers hold as many messages as it lets them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Where messages go instead of being received for more than `max_receives` times. While no queue has the name
    `target` they stay and are received further."""

    target: str
    max_receives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """One queue as the engine needs it. `id` never comes back; `name` (an ARN) is unique among those that are there.

    `delay_s` of a FIFO queue holds for all its messages, also those that wait already.
    """

    id: str
    name: str
    fifo: bool = False
    delay_s: int = 0
    visibility_timeout_s: int = 30
    retention_s: int = 345_600
    deduplication_scope: Literal["queue", "messageGroup"] = "queue"
    dead_letters: DeadLetters | None = None
    max_in_flight: int = MAX_IN_FLIGHT


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to send. `head` is the sender's own (attributes); the engine keeps it beside the body.

    FIFO queues need `group` and `deduplication_id`. `delay_s` None means the queue's.
    """

    body: bytes
    head: bytes = b""
    group: str | None = None
    deduplication_id: str | None = None
    delay_s: int | None = None


class Sent(NamedTuple):
    """What became of a message: a duplicate gets what the first was given. `sequence` is None in standard queues."""

    message_id: str
    sequence: str | None
    duplicate: bool = False


class Received(msgspec.Struct, kw_only=True):
    """A delivery."""

    message_id: str
    handle: str
    body: bytes
    head: bytes
    sent_ms: int
    first_received_ms: int
    receive_count: int
    group: str | None
    deduplication_id: str | None
    sequence: str | None
    dead_letter_source: str | None  # the name of the queue that it was moved out of


class Counts(NamedTuple):
    """How many messages are in each state, and since when the oldest is in its queue."""

    visible: int
    in_flight: int
    delayed: int
    oldest_ms: int | None


class Outcome(Enum):
    """What became of a receipt handle."""

    DONE = "done"
    INVALID = "invalid"  # no handle, or one of another queue
    EXPIRED = "expired"  # FIFO: the visibility timeout is over
    GONE = "gone"  # the message is not there any more
    NOT_IN_FLIGHT = "not in flight"  # another consumer has received the message since
    TOO_LONG = "too long"  # beyond twelve hours since this delivery


class Moved(NamedTuple):
    """What a move did. `stranded`: it met a message whose queue is not there any more."""

    messages: int
    stranded: bool
