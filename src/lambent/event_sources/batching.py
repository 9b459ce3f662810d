"""When received messages become a batch, pure (Lambda developer guide, "Batching behavior").

A batch is closed when it has BatchSize messages, when the next record would make its event larger than 6 MB, or when
the batching window is over since its first message came; without a window, when the receive that brought it is dealt
with. Messages keep the order in which they came, within batches and from batch to batch.

A FIFO queue hands out no further message of a group while one is in flight, so what one receive brought is all there
is of its groups. Where that makes several batches (the 6 MB), they are invoked one after the other, and `held_back`
says what of a later one must wait because an earlier one kept messages of its group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from lambent.core.limits import LAMBDA_SYNC_PAYLOAD_BYTES
from lambent.event_sources import records

MAX_RECEIVE: Final = 10  # SQS API reference, "ReceiveMessage"
MAX_POLL_S: Final = 20.0

M = TypeVar("M")


class Grouped(Protocol):
    """What is known of a message's group; None where it has none."""

    @property
    def group(self) -> str | None: ...


G = TypeVar("G", bound=Grouped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """BatchSize and MaximumBatchingWindowInSeconds of a mapping."""

    size: int
    window_s: float = 0.0
    max_bytes: int = LAMBDA_SYNC_PAYLOAD_BYTES


@dataclass(frozen=True, slots=True)
class Batch(Generic[M]):
    """Messages for one invoke, each with its encoded record."""

    messages: tuple[M, ...]
    records: tuple[bytes, ...]

    @property
    def payload(self) -> bytes:
        """The event."""
        return records.payload(self.records)


class Batcher(Generic[M]):
    """Gathers the messages of one poller into batches. Times are seconds on one clock."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._messages: list[M] = []
        self._records: list[bytes] = []
        self._bytes = records.payload_bytes(())
        self._due_s: float | None = None

    @property
    def due_s(self) -> float | None:
        """When the open batch has to go; None while there is none."""
        return self._due_s

    @property
    def open(self) -> int:
        """Messages in the open batch."""
        return len(self._messages)

    @property
    def wanted(self) -> int:
        """How many messages the next receive may bring."""
        return min(MAX_RECEIVE, self._rules.size - len(self._messages))

    def wait_s(self, now_s: float) -> float:
        """How long the next receive may wait: an open batch does not outstay its window for an empty queue."""
        return MAX_POLL_S if self._due_s is None else min(MAX_POLL_S, max(0.0, self._due_s - now_s))

    def add(self, received: Iterable[tuple[M, bytes]], now_s: float) -> list[Batch[M]]:
        """Take what a receive brought at `now_s`, with encoded records; the batches that are closed by it."""
        closed = []
        for message, record in received:
            more = len(record) + (1 if self._messages else 0)
            if self._messages and self._bytes + more > self._rules.max_bytes:
                closed.append(self._close())
                more = len(record)
            if not self._messages:
                self._due_s = now_s + self._rules.window_s
            self._messages.append(message)
            self._records.append(record)
            self._bytes += more
            if len(self._messages) >= self._rules.size:
                closed.append(self._close())
        return closed + self.close_due(now_s)

    def close_due(self, now_s: float) -> list[Batch[M]]:
        """The open batch, if its window is over."""
        return [self._close()] if self._due_s is not None and self._due_s <= now_s else []

    def abandon(self) -> list[M]:
        """Give up the open batch (the mapping stops): its messages, which come back by their visibility timeout."""
        return list(self._close().messages) if self._messages else []

    def _close(self) -> Batch[M]:
        batch = Batch(tuple(self._messages), tuple(self._records))
        self._messages, self._records, self._due_s = [], [], None
        self._bytes = records.payload_bytes(())
        return batch


def held_back(batch: Batch[G], kept_groups: frozenset[str]) -> tuple[Batch[G] | None, list[G]]:
    """The batch without messages of groups of which an earlier one of the same receive kept some, and those messages.

    None for a batch of which nothing is left.
    """
    pairs = list(zip(batch.messages, batch.records, strict=True))
    going = [pair for pair in pairs if pair[0].group not in kept_groups]
    held = [message for message, _ in pairs if message.group in kept_groups]
    if not going:
        return None, held
    return Batch(tuple(message for message, _ in going), tuple(record for _, record in going)), held


def groups_of(messages: Sequence[Grouped]) -> frozenset[str]:
    """The groups of these messages."""
    return frozenset(message.group for message in messages if message.group is not None)
