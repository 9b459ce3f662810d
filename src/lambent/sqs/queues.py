"""The queues of this server: found in memory, changed on disk first.

Every queue's definition is held in memory, since each request needs one; messages never are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from lambent.core.clock import Clock
from lambent.core.ids import IdSource
from lambent.core.operations import Scope
from lambent.sqs import attributes, names, redrive, store
from lambent.sqs.errors import (
    PurgeQueueInProgress,
    QueueDeletedRecently,
    QueueDoesNotExist,
    QueueNameExists,
    invalid_value,
)
from lambent.sqs.messages import Engine
from lambent.sqs.model import Queue, QueueKey
from lambent.storage.database import Database, Transaction

# SQS API reference, "DeleteQueue" and "PurgeQueue".
NAME_REST_S: Final = 60.0
PURGE_REST_S: Final = 60.0


class Queues:
    """Creates, finds, changes and deletes queues. `strict` keeps a deleted queue's name from use for a minute."""

    def __init__(self, database: Database, engine: Engine, clock: Clock, *, new_id: IdSource, strict: bool) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock
        self._new_id = new_id
        self._strict = strict
        self._known: dict[QueueKey, Queue] = {}

    async def load(self) -> None:
        """Read every queue from disk, and tell the engine of it."""
        for queue in await self._database.read(store.everything):
            self._known[queue.key] = queue

    def __iter__(self) -> Iterator[Queue]:
        return iter(list(self._known.values()))

    def find(self, key: QueueKey) -> Queue | None:
        return self._known.get(key)

    def require(self, key: QueueKey) -> Queue:
        """Raises QueueDoesNotExist."""
        queue = self._known.get(key)
        if queue is None:
            raise QueueDoesNotExist
        return queue

    async def create(self, key: QueueKey, given: attributes.Given, tags: Mapping[str, str]) -> Queue:
        """The new queue, or the one that is there and agrees with every attribute in `given`.

        Raises InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue, QueueNameExists and
        QueueDeletedRecently.
        """
        fifo = attributes.wants_fifo(given)
        names.check_new_name(key.name, fifo=fifo)
        settings = attributes.initial(given, fifo=fifo)
        now_s = self._clock.now()
        queue = Queue(
            id=self._new_id(), key=key, created_s=int(now_s), modified_s=int(now_s), settings=settings, tags=tags
        )

        def work(tx: Transaction) -> Queue:
            there = store.find(tx, key)
            if there is not None:
                name = attributes.different(there.settings, given)
                if name is not None:
                    raise QueueNameExists(
                        f"A queue already exists with the same name and a different value for attribute {name}"
                    )
                return there
            if self._strict and store.deleted_since(tx, key, now_s - NAME_REST_S):
                raise QueueDeletedRecently
            _check_dead_letters(tx, queue)
            store.insert(tx, queue)
            self._engine.create(tx, queue)
            return queue

        made = await self._database.run(work, key=key)
        return self._known.setdefault(key, made)

    async def change(self, queue: Queue, work: Callable[[Queue], Queue], *, touch: bool = True) -> Queue:
        """Store what `work` makes of the queue as it is now. Raises QueueDoesNotExist, and what `work` raises."""
        now_s = int(self._clock.now())

        def unit(tx: Transaction) -> Queue:
            old = _current(tx, queue)
            new = work(old)
            if touch:
                new = dataclasses.replace(new, modified_s=now_s)
            if new.settings.redrive_policy != old.settings.redrive_policy:
                _check_dead_letters(tx, new)
            store.update(tx, new)
            self._engine.configure(tx, new)
            return new

        changed = await self._database.run(unit, key=queue.key)
        self._replace(queue, changed)
        return changed

    async def delete(self, queue: Queue) -> None:
        """Remove the queue with all its messages. Raises QueueDoesNotExist."""
        now_s = self._clock.now()

        def unit(tx: Transaction) -> None:
            store.delete(tx, _current(tx, queue), now_s)
            self._engine.delete(tx, queue)

        await self._database.run(unit, key=queue.key)
        self._replace(queue, None)
        self._engine.deleted(queue)

    async def purge(self, queue: Queue) -> None:
        """Remove all messages. Raises QueueDoesNotExist and PurgeQueueInProgress."""
        now_s = self._clock.now()

        def unit(tx: Transaction) -> Queue:
            old = _current(tx, queue)
            if old.purged_s is not None and now_s - old.purged_s < PURGE_REST_S:
                raise PurgeQueueInProgress(
                    f"Only one PurgeQueue operation on {queue.key.name} is allowed every 60 seconds."
                )
            new = dataclasses.replace(old, purged_s=now_s)
            store.update(tx, new)
            return new

        purged = await self._database.run(unit, key=queue.key)
        self._replace(queue, purged)
        await self._engine.purge(queue)

    async def counts(self, queue: Queue) -> dict[str, str]:
        """The three numbers of messages that GetQueueAttributes answers."""
        counts = await self._engine.counts(queue)
        return dict(
            zip(attributes.COUNTS, (str(counts.visible), str(counts.in_flight), str(counts.delayed)), strict=True)
        )

    async def names(self, scope: Scope, *, prefix: str, after: str, limit: int) -> list[str]:
        """Names in their order, of at most `limit` queues."""
        return await self._database.read(lambda tx: store.names(tx, scope, prefix=prefix, after=after, limit=limit))

    async def sources(self, dead_letter_arn: str, *, after: str = "", limit: int = 1) -> list[QueueKey]:
        """Queues whose dead letters go to this one, in the order of their names."""
        return await self._database.read(lambda tx: store.sources(tx, dead_letter_arn, after=after, limit=limit))

    def _replace(self, old: Queue, new: Queue | None) -> None:
        """Put what was stored in the place of `old`, unless another queue of its name has taken that by now."""
        there = self._known.get(old.key)
        if there is not None and there.id == old.id:
            if new is None:
                del self._known[old.key]
            else:
                self._known[old.key] = new


def _current(tx: Transaction, queue: Queue) -> Queue:
    there = store.find(tx, queue.key)
    if there is None or there.id != queue.id:
        raise QueueDoesNotExist
    return there


def _check_dead_letters(tx: Transaction, queue: Queue) -> None:
    """Raise InvalidParameterValue unless the queue's dead letters have somewhere to go."""
    text = queue.settings.redrive_policy
    if text is None:
        return
    target_key = redrive.parse_policy(text).target
    if target_key.account != queue.key.account:
        raise invalid_value(text, "RedrivePolicy", "Dead-letter target owner should be same as the source.")
    if target_key.region != queue.key.region:
        raise invalid_value(text, "RedrivePolicy", "Dead-letter target must be in the same region as the source.")
    target = queue if target_key == queue.key else store.find(tx, target_key)
    if target is None:
        raise invalid_value(text, "RedrivePolicy", "Dead letter target does not exist.")
    if (target.settings.fifo is None) != (queue.settings.fifo is None):
        raise invalid_value(text, "RedrivePolicy", "Dead-letter queue must be same type of queue as the source.")
    allowed = target.settings.redrive_allow_policy
    if allowed is not None and not redrive.parse_allow_policy(allowed).allows(names.arn_of(queue.key)):
        raise invalid_value(
            text, "RedrivePolicy", "The redrive allow policy of the dead-letter target does not allow this queue."
        )
