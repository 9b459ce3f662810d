"""What SQS needs of a message engine, and what its outcomes mean in SQS's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

import msgspec

from lambent.core.errors import AwsError
from lambent.sqs.counters import Counters
from lambent.sqs.errors import ReceiptHandleIsInvalid, invalid_value
from lambent.sqs.message_attributes import Attributes
from lambent.sqs.model import Queue
from lambent.sqs.sending import Draft
from lambent.storage.database import Transaction


class Accepted(NamedTuple):
    """A message that is in its queue, or was before (FIFO deduplication)."""

    message_id: str
    sequence_number: str | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a consumer gets it; times are epoch milliseconds."""

    message_id: str
    receipt_handle: str
    body: str
    body_md5: str
    attributes: Attributes
    sender_id: str
    sent_ms: int
    receive_count: int
    first_received_ms: int
    sequence_number: str | None = None
    group: str | None = None
    deduplication_id: str | None = None
    trace_header: str | None = None
    dead_letter_source_arn: str | None = None


class Counts(NamedTuple):
    """How many messages a queue has in each state, and since when the oldest is there (epoch milliseconds)."""

    visible: int
    in_flight: int
    delayed: int
    oldest_ms: int | None = None


class Outcome(Enum):
    """What became of a receipt handle."""

    DONE = "done"
    INVALID = "invalid"  # no handle, or one of another queue
    EXPIRED = "expired"  # FIFO: the visibility timeout is over
    GONE = "gone"  # the message was deleted
    TOO_LONG = "too long"  # beyond twelve hours since it was received


class Engine(Protocol):
    """Keeps messages, on the database that holds SQS's tables.

    What takes a transaction joins the unit of work that changes the queue, and has no other effect: `deleted` and
    `moved` are called once that is durable, for what only memory knows (waiters). All others are durable when they
    return, and raise StorageError when they cannot be.
    """

    def create(self, tx: Transaction, queue: Queue) -> None:
        """The queue is new."""

    def configure(self, tx: Transaction, queue: Queue) -> None:
        """The queue's settings may have changed."""

    def delete(self, tx: Transaction, queue: Queue) -> None:
        """The queue goes, and its messages with it (those may go in the background: its id never comes back)."""

    def deleted(self, queue: Queue) -> None:
        """The queue is gone: receivers that wait at it get nothing."""

    def move(self, tx: Transaction, source: Queue, destination: Queue | None, limit: int) -> tuple[int, bool]:
        """Move up to `limit` visible messages, the oldest first, each to `destination` or where it once came from.

        How many were moved, and whether it ended at one whose queue is not there any more. A moved message is new in
        its queue: sent now, never received. Dead letters are not counted as sent.
        """

    def moved(self, source: Queue | None, destination: Queue | None) -> None:
        """A move is durable: wake who waits for what came."""

    async def send(self, queue: Queue, drafts: Sequence[Draft], sender_id: str) -> list[Accepted]:
        """Put messages into the queue, all or none. FIFO duplicates get what the first was given, also in one call."""

    async def receive(
        self, queue: Queue, *, limit: int, visibility_timeout_s: int | None, wait_s: int, attempt_id: str | None
    ) -> list[Delivery]:
        """Up to `limit` messages as soon as there is one, none after `wait_s`. A None timeout is the queue's own.

        Once the caller is cancelled (its client went away) nothing is taken; what was being taken is visible again.
        Raises errors.OverLimit when too many messages of a standard queue are in flight and `wait_s` is 0.
        """

    async def delete_messages(self, queue: Queue, handles: Sequence[str]) -> list[Outcome]:
        """DONE, INVALID, GONE, and for FIFO queues EXPIRED, for each handle in its order."""

    async def change_visibility(self, queue: Queue, changes: Sequence[tuple[str, int]]) -> list[Outcome]:
        """DONE, INVALID, GONE, EXPIRED or TOO_LONG for each (handle, seconds from now) in its order."""

    async def purge(self, queue: Queue) -> None:
        """Remove every message that is there now, in whatever state."""

    async def counts(self, queue: Queue) -> Counts:
        """Exact numbers, without a look at every message."""


class Messages:
    """The engine, counted (`counters_of` finds a queue's counters), and with outcomes as SQS's errors."""

    def __init__(self, engine: Engine, counters_of: Callable[[Queue], Counters]) -> None:
        self._engine = engine
        self._counters_of = counters_of

    async def send(self, queue: Queue, drafts: Sequence[Draft], sender_id: str) -> list[Accepted]:
        """Put messages into the queue, all or none. Durable when it returns. Raises StorageError."""
        accepted = await self._engine.send(queue, drafts, sender_id)
        self._counters_of(queue).count_sent([len(draft.body) for draft in drafts])
        return accepted

    async def receive(
        self, queue: Queue, *, limit: int, visibility_timeout_s: int | None, wait_s: int, attempt_id: str | None
    ) -> list[Delivery]:
        """Up to `limit` messages, as soon as there is one, or none after `wait_s`. Raises StorageError, OverLimit."""
        found = await self._engine.receive(
            queue, limit=limit, visibility_timeout_s=visibility_timeout_s, wait_s=wait_s, attempt_id=attempt_id
        )
        self._counters_of(queue).count_received(len(found))
        return found

    async def delete(self, queue: Queue, handles: Sequence[str]) -> list[AwsError | None]:
        """Delete messages; what went wrong with each handle."""
        outcomes = await self._engine.delete_messages(queue, handles)
        self._counters_of(queue).deleted += outcomes.count(Outcome.DONE)
        return [_deletion_error(*pair) for pair in zip(outcomes, handles, strict=True)]

    async def change_visibility(self, queue: Queue, changes: Sequence[tuple[str, int]]) -> list[AwsError | None]:
        """Let messages be visible so many seconds from now; what went wrong with each change."""
        outcomes = await self._engine.change_visibility(queue, changes)
        return [_change_error(outcome, *change) for outcome, change in zip(outcomes, changes, strict=True)]


def _deletion_error(outcome: Outcome, handle: str) -> AwsError | None:
    if outcome is Outcome.INVALID:
        return ReceiptHandleIsInvalid(handle)
    if outcome is Outcome.EXPIRED:
        return invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")
    return None


def _change_error(outcome: Outcome, handle: str, timeout_s: int) -> AwsError | None:
    if outcome is Outcome.INVALID:
        return ReceiptHandleIsInvalid(handle)
    if outcome is Outcome.TOO_LONG:
        return invalid_value(
            timeout_s,
            "VisibilityTimeout",
            "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
        )
    if outcome in (Outcome.GONE, Outcome.EXPIRED):
        return invalid_value(
            handle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change."
        )
    return None
