"""Carries out tasks that move messages out of dead-letter queues.

A task's progress is stored with every step that it takes, so a task that a restart interrupts goes on after it. A
message is moved in one unit of work: it is always in exactly one queue.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Final

from lambent.core.clock import Clock
from lambent.core.ids import IdSource
from lambent.core.tasks import Supervisor
from lambent.sqs import moves, names, store
from lambent.sqs.errors import InvalidParameterValue, ResourceNotFound
from lambent.sqs.messages import Engine
from lambent.sqs.model import Queue
from lambent.sqs.moves import MoveTask
from lambent.sqs.queues import Queues
from lambent.storage.database import Database, StorageError, Transaction

log = logging.getLogger("lambent.sqs")

# Messages that one step moves: short enough to let others at the database.
STEP_MESSAGES: Final = 50
# A step of a task with a rate; shorter steps would only cost more commits.
STEP_S: Final = 0.2
RATED_STEP_MESSAGES: Final = 2 * int(moves.MAX_RATE * STEP_S)
_RETRY_S: Final = 1.0
_NO_DESTINATION: Final = "AWS.SimpleQueueService.NonExistentQueue"
_TOO_LONG: Final = "The task ran for 36 hours."


class Mover:
    """Starts, lists and cancels tasks; one loop for each that is active."""

    def __init__(self, database: Database, queues: Queues, engine: Engine, clock: Clock, *, new_id: IdSource) -> None:
        self._database = database
        self._queues = queues
        self._engine = engine
        self._clock = clock
        self._new_id = new_id
        self._tasks = Supervisor("message moves")

    async def resume(self) -> None:
        """Go on with what the last process did not end."""
        for task in await self._database.read(store.active_tasks):
            self._tasks.spawn(self._run(task), task.id)

    async def close(self) -> None:
        """Stop; tasks go on with the next start."""
        await self._tasks.close()

    async def start_task(self, source: Queue, destination: Queue | None, rate: int | None) -> MoveTask:
        """Raises InvalidParameterValue for a source that is no dead-letter queue, or whose letters move already."""
        arn = names.arn_of(source.key)
        if not await self._queues.sources(arn):
            raise InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
        if destination is not None and destination.id == source.id:
            raise InvalidParameterValue("Source queue arn and destination queue arn cannot be the same.")
        if destination is not None and (destination.settings.fifo is None) != (source.settings.fifo is None):
            raise InvalidParameterValue("Source queue and destination queue must be of the same type.")
        counts = await self._engine.counts(source)
        task = MoveTask(
            id=self._new_id(),
            source_arn=arn,
            destination_arn=None if destination is None else names.arn_of(destination.key),
            rate=rate,
            status="RUNNING",
            started_ms=int(self._clock.now() * 1000),
            moved=0,
            to_move=counts.visible,
        )

        def work(tx: Transaction) -> None:
            latest = store.tasks_of(tx, arn, 1)
            if latest and latest[0].active:
                raise InvalidParameterValue(
                    "There is already a task running. Only one active task is allowed for a source queue arn at a "
                    "given time."
                )
            store.save_task(tx, task)
            store.forget_tasks(tx, arn, keep=moves.KEPT_TASKS)

        await self._database.run(work, key=source.key)
        self._tasks.spawn(self._run(task), task.id)
        return task

    async def tasks_of(self, source: Queue, limit: int) -> list[MoveTask]:
        """The newest first."""
        arn = names.arn_of(source.key)
        return await self._database.read(lambda tx: store.tasks_of(tx, arn, limit))

    async def cancel_task(self, source: Queue, task_id: str) -> int:
        """How many messages were moved so far. Raises ResourceNotFound, and InvalidParameterValue once it ended."""
        arn = names.arn_of(source.key)

        def work(tx: Transaction) -> int:
            task = store.find_task(tx, task_id)
            if task is None or task.source_arn != arn:
                raise ResourceNotFound("Task does not exist.")
            if task.status != "RUNNING":
                raise InvalidParameterValue("Only active tasks can be cancelled.")
            store.save_task(tx, dataclasses.replace(task, status="CANCELLING"))
            return task.moved

        return await self._database.run(work, key=source.key)

    async def _run(self, task: MoveTask) -> None:
        """Take steps until nothing is left to do."""
        due_s, owed = self._clock.monotonic(), 0.0
        while True:
            limit = STEP_MESSAGES
            if task.rate is not None:
                now_s = self._clock.monotonic()
                # What a pause left undone is made up for by a second's worth at most.
                owed = min(owed + (now_s - due_s) * task.rate, float(task.rate))
                due_s, limit = now_s, min(int(owed), RATED_STEP_MESSAGES)
            try:
                after = await self._step(task, limit)
            except StorageError as error:
                log.warning("messages of %s cannot be moved now: %s", task.source_arn, error)
                await self._clock.sleep(_RETRY_S)
                continue
            if not after.active:
                return
            owed -= after.moved - task.moved
            task = after
            if task.rate is not None:
                await self._clock.sleep(max(STEP_S, 1.0 / task.rate))
            else:
                await self._clock.sleep(0)

    async def _step(self, task: MoveTask, limit: int) -> MoveTask:
        """Move up to `limit` messages and store how far the task is, in one unit."""
        now_ms = int(self._clock.now() * 1000)
        source = self._find(task.source_arn)
        destination = None if task.destination_arn is None else self._find(task.destination_arn)

        def work(tx: Transaction) -> MoveTask:
            current = store.find_task(tx, task.id) or task
            if not current.active:
                return current
            after = current
            if current.status == "CANCELLING":
                after = dataclasses.replace(current, status="CANCELLED")
            elif source is None or (current.destination_arn is not None and destination is None):
                after = dataclasses.replace(current, status="FAILED", failure=_NO_DESTINATION)
            elif now_ms - current.started_ms > moves.MAX_TASK_S * 1000:
                after = dataclasses.replace(current, status="FAILED", failure=_TOO_LONG)
            elif limit:
                moved, failed = self._engine.move(tx, source, destination, limit)
                after = dataclasses.replace(current, moved=current.moved + moved)
                if failed:
                    after = dataclasses.replace(after, status="FAILED", failure=_NO_DESTINATION)
                elif moved < limit or after.moved >= after.to_move:
                    after = dataclasses.replace(after, status="COMPLETED")
            if after != current:
                store.save_task(tx, after)
            return after

        after = await self._database.run(work, key=task.source_arn)
        self._engine.moved(source, destination)
        return after

    def _find(self, arn: str) -> Queue | None:
        key = names.key_of_arn(arn)
        return None if key is None else self._queues.find(key)
