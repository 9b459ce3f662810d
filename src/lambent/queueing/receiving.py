"""Messages go to consumers: who is next, who is too old, and who has been received too often."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from lambent.queueing import moving, rows
from lambent.queueing.handles import Handles
from lambent.queueing.model import QueueConfig, Received
from lambent.queueing.numbers import Numbers
from lambent.queueing.sending import sequence_text
from lambent.queueing.state import QueueState, Tally
from lambent.storage.database import Transaction

# Messages that one receive looks at without giving them out (expired ones, dead letters) before others get a turn.
MAX_ASIDE: Final = 100

_OPEN: Final = (
    "SELECT open_ms, id FROM queueing_lanes WHERE shard = ? AND fresh = ? AND open_ms <= ? ORDER BY open_ms, id LIMIT ?"
)
_LANE_OPENS: Final = "SELECT open_ms FROM queueing_lanes WHERE id = ?"


class Taken(NamedTuple):
    """One message that a consumer gets: its row as it is now, the delivery, and the file of its body, if it has one."""

    row: rows.Message
    received: Received
    file: str | None


class Batch(NamedTuple):
    """What a receive took. `again`: others may be there behind what it put aside."""

    taken: list[Taken]
    again: bool


class Receive:
    """One receive inside a unit of work. Made, run, and thrown away."""

    def __init__(
        self,
        tx: Transaction,
        queue: QueueState,
        config: QueueConfig,
        *,
        limit: int,
        timeout_ms: int,
        now_ms: int,
        tally: Tally,
        numbers: Numbers,
        handles: Handles,
        target: Callable[[Transaction, str], QueueState | None],
    ) -> None:
        self._tx = tx
        self._queue = queue
        self._limit = limit
        self._until_ms = now_ms + timeout_ms
        self._now_ms = now_ms
        self._tally = tally
        self._numbers = numbers
        self._handles = handles
        self._oldest_ms = now_ms - config.retention_s * 1000
        dead = config.dead_letters
        self._max_receives = None if dead is None else dead.max_receives
        self._dead_target: QueueState | None = None
        if dead is not None:
            self._dead_target = target(tx, dead.target)
            if self._dead_target is None or self._dead_target is queue:
                self._max_receives = None
        self._chosen: list[rows.Message] = []
        self._seen: set[int] = set()
        self._bodies: dict[int, tuple[Any, ...]] = {}  # message id, group, deduplication id, head, body, file
        self._expired: list[rows.Message] = []
        self._dead = 0
        self._lanes: set[int] = set()

    def run(self) -> Batch:
        """Take up to the limit of what is visible, in the queue's order."""
        if self._queue.fifo:
            self._from_groups()
        elif self._queue.grouped:
            self._fairly()
        else:
            self._from_lane(0, self._now_ms)
        rows.remove(self._tx, self._queue, self._expired, self._tally)
        taken = [self._give(message) for message in self._chosen]
        self._hide()
        rows.settle_lanes(self._tx, self._queue, self._lanes, self._tally)
        return Batch(taken, not taken and bool(self._expired or self._dead))

    # Who is next

    def _full(self) -> bool:
        return len(self._chosen) >= self._limit or self._aside() >= MAX_ASIDE

    def _aside(self) -> int:
        return len(self._expired) + self._dead

    def _next(self, lane: int, until_ms: int, limit: int) -> list[rows.Message]:
        """The first messages of a lane, whose bodies are kept for the delivery."""
        found = []
        for row in self._tx.all(rows.NEXT, (self._queue.shard, lane, until_ms, limit)):
            columns = tuple(row)
            message = rows.Message(*columns[:10])
            self._bodies[message.body] = columns[10:]
            found.append(message)
        return found

    def _from_lane(self, lane: int, until_ms: int) -> None:
        """Messages of a standard queue's lane that became visible until then."""
        while not self._full():
            wanted = self._limit - len(self._chosen)
            aside = self._aside()
            # Expired ones are removed at the end only: ask beyond them, and beyond what this receive has already.
            found = self._next(lane, until_ms, wanted + len(self._expired) + len(self._chosen))
            new = [message for message in found if message.seq not in self._seen]
            for message in new:
                if self._full():
                    break
                self._sort(message)
            if not new or self._aside() == aside:
                return

    def _fairly(self) -> None:
        """Quiet groups first, the one that waits longest first; then noisy ones, first the one that holds least."""
        noisy = self._queue.tenants.noisy(self._now_ms)
        lanes = self._tx.all(_OPEN, (self._queue.shard, 0, self._now_ms, self._limit + len(noisy)))
        waiting = [(int(row[0]), int(row[1])) for row in lanes if row[1] not in noisy]
        head = self._tx.one(rows.HEAD, (self._queue.shard, 0))
        if head is not None and head[2] <= self._now_ms:
            waiting.append((head[2], 0))
        heapq.heapify(waiting)
        while waiting and not self._full():
            _, lane = heapq.heappop(waiting)
            until_ms = min(self._now_ms, waiting[0][0]) if waiting else self._now_ms
            self._from_lane(lane, until_ms)
            if until_ms < self._now_ms and not self._full():
                after_ms = self._opens(lane, until_ms)
                if after_ms is not None:
                    heapq.heappush(waiting, (after_ms, lane))
        for lane in sorted(noisy, key=lambda each: (noisy[each], each)):
            if self._full():
                break
            self._from_lane(lane, self._now_ms)

    def _opens(self, lane: int, after_ms: int) -> int | None:
        """When the lane's first message after `after_ms` is visible, if it is by now."""
        row = self._tx.one(
            "SELECT rank_ms FROM queueing_messages WHERE shard = ? AND lane = ? AND rank_ms > ? "
            "ORDER BY rank_ms LIMIT 1",
            (self._queue.shard, lane, after_ms),
        )
        return row[0] if row is not None and row[0] <= self._now_ms else None

    def _from_groups(self) -> None:
        """Of each FIFO group that has been open longest, the messages before its first that is in flight."""
        for lane in self._open_groups():
            if self._full():
                return
            self._prefix(lane)

    def _open_groups(self) -> Iterator[int]:
        # Each gives at least one message, be it one that is put aside.
        shard, limit = self._queue.shard, self._limit
        fresh_until_ms = self._now_ms - self._queue.delay_ms
        again = [(row[0], row[1]) for row in self._tx.all(_OPEN, (shard, 0, self._now_ms, limit))]
        fresh = [(row[0], row[1]) for row in self._tx.all(_OPEN, (shard, 1, fresh_until_ms, limit))]
        return (lane for _, lane in heapq.merge(again, fresh))

    def _prefix(self, lane: int) -> None:
        while not self._full():
            aside = self._aside()
            wanted = self._limit - len(self._chosen) + len(self._expired) + len(self._chosen)
            for message in self._next(lane, 0, wanted):
                if message.seq in self._seen:
                    continue
                visible_ms = message.visible_ms + (self._queue.delay_ms if message.fresh else 0)
                if visible_ms > self._now_ms or self._full():
                    return
                self._sort(message)
            if self._aside() == aside:
                return

    def _sort(self, message: rows.Message) -> None:
        """Give the message out, or put it aside."""
        self._seen.add(message.seq)
        self._lanes.add(message.lane)
        if rows.kept_since_ms(self._queue, message) < self._oldest_ms:
            self._expired.append(message)
        elif self._max_receives is not None and message.receives >= self._max_receives:
            assert self._dead_target is not None
            moving.bury(
                self._tx, self._queue, self._dead_target, message, self._numbers, self._now_ms, self._tally
            )  # fmt: skip
            self._dead += 1
        else:
            self._chosen.append(message)

    # What becomes of those that are given out

    def repeat(self, message: rows.Message, received_ms: int) -> Taken:
        """A message in flight once more, as it was given out then."""
        return self._delivery(message._replace(visible_ms=self._until_ms), received_ms)

    def _give(self, message: rows.Message) -> Taken:
        if not message.receives or message.source is not None:
            self._queue.tenants.received(message.lane, self._now_ms)
        first_ms = self._now_ms if message.first_ms is None else message.first_ms
        row = message._replace(visible_ms=self._until_ms, fresh=0, receives=message.receives + 1, first_ms=first_ms)
        return self._delivery(row, self._now_ms)

    def _delivery(self, row: rows.Message, received_ms: int) -> Taken:
        body = self._bodies.get(row.body) or self._tx.one(rows.BODY, (row.body,))
        assert body is not None  # a body lives as long as its message
        message_id, group, deduplication_id, head, data, file = body
        received = Received(
            message_id=message_id,
            handle=self._handles.write(self._queue.number, row.seq, row.receives, received_ms),
            body=b"" if data is None else data,
            head=head,
            sent_ms=row.sent_ms,
            first_received_ms=received_ms if row.first_ms is None else row.first_ms,
            receive_count=row.receives,
            group=group,
            deduplication_id=deduplication_id,
            sequence=sequence_text(row.seq) if self._queue.fifo else None,
            dead_letter_source=row.source,
        )
        return Taken(row, received, file)

    def _hide(self) -> None:
        queue, until_ms, tally = self._queue, self._until_ms, self._tally
        if not self._chosen:
            return
        rank_ms = 0 if queue.fifo else until_ms
        self._tx.many(
            rows.HIDE,
            [
                (
                    rank_ms, until_ms, message.receives + 1,
                    self._now_ms if message.first_ms is None else message.first_ms, queue.shard, message.seq,
                )
                for message in self._chosen
            ],
        )  # fmt: skip
        for message in self._chosen:
            tally.went(queue, message.visible_ms, message.fresh)
            tally.came(queue, until_ms, 0)
        if until_ms > self._now_ms:
            tally.in_flight[queue] = tally.in_flight.get(queue, 0) + len(self._chosen)
