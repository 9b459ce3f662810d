"""The SQS service, put together: what the composition root builds, starts and closes."""

from __future__ import annotations

from lambent.core.clock import Clock
from lambent.core.ids import IdSource, new_uuid
from lambent.core.operations import Operation
from lambent.sqs.api import operations
from lambent.sqs.api.furniture import Parts
from lambent.sqs.messages import Engine, Messages
from lambent.sqs.metrics import Metrics
from lambent.sqs.model import Callers
from lambent.sqs.mover import Mover
from lambent.sqs.queues import Queues
from lambent.storage.database import Database


class SqsRoom:
    """SQS of one server process, on the database that `engine` keeps its messages in.

    `strict_aws` keeps a deleted queue's name from use for 60 seconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        engine: Engine,
        clock: Clock,
        callers: Callers,
        strict_aws: bool,
        new_id: IdSource = new_uuid,
    ) -> None:
        self.queues = Queues(database, engine, clock, new_id=new_id, strict=strict_aws)
        self._mover = Mover(database, self.queues, engine, clock, new_id=new_id)
        self.metrics = Metrics(self.queues, engine, clock)
        parts = Parts(queues=self.queues, callers=callers, clock=clock)
        self.operations: list[Operation] = operations(parts, Messages(engine, self.metrics.of), self._mover)

    async def start(self) -> None:
        """Read what queues there are, and go on with the tasks that the last process did not end."""
        await self.queues.load()
        await self._mover.resume()
        self.metrics.start()

    async def close(self) -> None:
        """Stop background work. Call after the last request, before engine and database close."""
        await self._mover.close()
        await self.metrics.close()
