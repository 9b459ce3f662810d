"""SQS's messages in the queue engine: what is SQS's own travels in a message's head, which the engine does not read."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar

import msgspec

from lambent.queueing import model
from lambent.queueing.engine import QueueEngine
from lambent.sqs.errors import OverLimit, QueueDoesNotExist
from lambent.sqs.message_attributes import Attributes
from lambent.sqs.messages import Accepted, Counts, Delivery, Outcome
from lambent.sqs.model import Queue
from lambent.sqs.names import arn_of
from lambent.sqs.redrive import parse_policy
from lambent.sqs.sending import Draft
from lambent.storage.database import Transaction

T = TypeVar("T")


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What a message has besides its body."""

    body_md5: str
    sender_id: str
    trace_header: str | None
    attributes: Attributes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Head).decode
_OVER_LIMIT: Final = "The maximum number of in flight messages is reached."
_OUTCOMES: Final = {
    model.Outcome.DONE: Outcome.DONE,
    model.Outcome.INVALID: Outcome.INVALID,
    model.Outcome.EXPIRED: Outcome.EXPIRED,
    model.Outcome.GONE: Outcome.GONE,
    # Another consumer has it: to this one it is not available for a change.
    model.Outcome.NOT_IN_FLIGHT: Outcome.GONE,
    model.Outcome.TOO_LONG: Outcome.TOO_LONG,
}


class SqsEngine:
    """`messages.Engine` on the queue engine."""

    def __init__(self, engine: QueueEngine, *, max_in_flight: int = model.MAX_IN_FLIGHT) -> None:
        self._engine = engine
        self._max_in_flight = max_in_flight
        self._configs: dict[str, tuple[Queue, model.QueueConfig]] = {}

    def config_of(self, queue: Queue) -> model.QueueConfig:
        """The queue as the engine needs it."""
        known = self._configs.get(queue.id)
        if known is not None and known[0] is queue:
            return known[1]
        config = self._config(queue)
        self._configs[queue.id] = (queue, config)
        return config

    def create(self, tx: Transaction, queue: Queue) -> None:
        self._engine.create(tx, self._config(queue))

    def configure(self, tx: Transaction, queue: Queue) -> None:
        self._engine.configure(tx, self._config(queue))

    def delete(self, tx: Transaction, queue: Queue) -> None:
        self._engine.delete(tx, queue.id)

    def deleted(self, queue: Queue) -> None:
        self._configs.pop(queue.id, None)
        self._engine.deleted(queue.id)

    def move(self, tx: Transaction, source: Queue, destination: Queue | None, limit: int) -> tuple[int, bool]:
        moved = self._engine.move(tx, source.id, None if destination is None else destination.id, limit)
        return moved.messages, moved.stranded

    def moved(self, source: Queue | None, destination: Queue | None) -> None:
        del destination  # the engine knows who got something
        if source is not None:
            self._engine.moved(source.id)

    async def send(self, queue: Queue, drafts: Sequence[Draft], sender_id: str) -> list[Accepted]:
        messages = [
            model.NewMessage(
                body=draft.body,
                head=_encode(_Head(draft.body_md5, sender_id, draft.trace_header, draft.attributes)),
                group=draft.group,
                deduplication_id=draft.deduplication_id,
                delay_s=draft.delay_s,
            )
            for draft in drafts
        ]
        sent = await _there(self._engine.send(self.config_of(queue), messages))
        return [Accepted(one.message_id, one.sequence) for one in sent]

    async def receive(
        self, queue: Queue, *, limit: int, visibility_timeout_s: int | None, wait_s: int, attempt_id: str | None
    ) -> list[Delivery]:
        try:
            received = await _there(
                self._engine.receive(
                    self.config_of(queue),
                    limit=limit,
                    visibility_timeout_s=visibility_timeout_s,
                    wait_s=wait_s,
                    attempt_id=attempt_id if queue.settings.fifo is not None else None,
                )
            )
        except model.TooManyInFlight:
            raise OverLimit(_OVER_LIMIT) from None
        return [_delivery(one) for one in received]

    async def delete_messages(self, queue: Queue, handles: Sequence[str]) -> list[Outcome]:
        outcomes = await _there(self._engine.delete_messages(queue.id, handles))
        return [_OUTCOMES[outcome] for outcome in outcomes]

    async def change_visibility(self, queue: Queue, changes: Sequence[tuple[str, int]]) -> list[Outcome]:
        outcomes = await _there(self._engine.change_visibility(queue.id, changes))
        return [_OUTCOMES[outcome] for outcome in outcomes]

    async def purge(self, queue: Queue) -> None:
        await _there(self._engine.purge(queue.id))

    async def counts(self, queue: Queue) -> Counts:
        return Counts(*await _there(self._engine.counts(self.config_of(queue))))

    def _config(self, queue: Queue) -> model.QueueConfig:
        settings = queue.settings
        policy = None if settings.redrive_policy is None else parse_policy(settings.redrive_policy)
        return model.QueueConfig(
            id=queue.id,
            name=arn_of(queue.key),
            fifo=settings.fifo is not None,
            delay_s=settings.delay_s,
            visibility_timeout_s=settings.visibility_timeout_s,
            retention_s=settings.retention_s,
            deduplication_scope="queue" if settings.fifo is None else settings.fifo.scope,
            dead_letters=None
            if policy is None
            else model.DeadLetters(target=arn_of(policy.target), max_receives=policy.max_receive_count),
            max_in_flight=self._max_in_flight,
        )


async def _there(call: Awaitable[T]) -> T:
    """Raises QueueDoesNotExist where the engine says that the queue is gone."""
    try:
        return await call
    except model.QueueGone:
        raise QueueDoesNotExist from None


def _delivery(received: model.Received) -> Delivery:
    head = _decode(received.head)
    return Delivery(
        message_id=received.message_id,
        receipt_handle=received.handle,
        body=received.body.decode(),
        body_md5=head.body_md5,
        attributes=head.attributes,
        sender_id=head.sender_id,
        sent_ms=received.sent_ms,
        receive_count=received.receive_count,
        first_received_ms=received.first_received_ms,
        sequence_number=received.sequence,
        group=received.group,
        deduplication_id=received.deduplication_id,
        trace_header=head.trace_header,
        dead_letter_source_arn=received.dead_letter_source,
    )
