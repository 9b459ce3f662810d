"""What queues did, counted once: for Prometheus, and for CloudWatch under AWS/SQS.

SQS developer guide, "Available CloudWatch metrics for Amazon SQS". Moves of dead letters are not counted as sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from lambent.core.clock import Clock
from lambent.core.metric_data import MetricSample, single
from lambent.core.operations import Scope
from lambent.core.prometheus import Family
from lambent.core.tasks import Supervisor
from lambent.sqs.counters import Counters
from lambent.sqs.messages import Counts, Engine
from lambent.sqs.model import Queue
from lambent.sqs.queues import Queues
from lambent.storage.database import StorageError

NAMESPACE: Final = "AWS/SQS"
# SQS reports every minute; a queue that nobody has used for six hours is not reported.
GAUGES_S: Final = 60.0
ACTIVE_S: Final = 6 * 3600.0


class Metrics:
    """The counters of all queues, by their ids."""

    def __init__(self, queues: Queues, engine: Engine, clock: Clock) -> None:
        self._queues = queues
        self._engine = engine
        self._clock = clock
        self._counters: dict[str, Counters] = {}
        self._told: dict[str, tuple[int, int, int, int, int]] = {}  # what CloudWatch knows of the counters
        self._gauges: list[MetricSample] = []
        self._tasks = Supervisor("SQS metrics")

    def of(self, queue: Queue) -> Counters:
        """The queue's counters, which the caller counts with now."""
        counters = self._counters.get(queue.id)
        if counters is None:
            counters = self._counters[queue.id] = Counters()
        counters.used_s = self._clock.monotonic()
        return counters

    def start(self) -> None:
        """Look at the depths of queues once a minute from now on."""
        self._tasks.spawn(self._look(), "gauges")

    async def close(self) -> None:
        await self._tasks.close()

    def take(self) -> list[MetricSample]:
        """The samples of what happened since the last call, for CloudWatch."""
        at_s = self._clock.now()
        samples, self._gauges = self._gauges, []
        living = {queue.id: queue for queue in self._queues}
        for queue_id, counters in list(self._counters.items()):
            queue = living.get(queue_id)
            if queue is None:
                del self._counters[queue_id]
                self._told.pop(queue_id, None)
            else:
                samples += self._since(queue, counters, at_s)
        return samples

    async def families(self) -> list[Family]:
        """Every queue, for Prometheus."""
        counted = [Family(f"lambent_queue_messages_{name}_total", "counter", text) for name, text in _COUNTED.items()]
        depth = Family("lambent_queue_messages", "gauge", "Messages, by state.")
        oldest = Family("lambent_queue_oldest_message_age_seconds", "gauge", "Age of the oldest message.")
        for queue in sorted(self._queues, key=lambda each: (each.key.account, each.key.region, each.key.name)):
            key = queue.key
            labels = {"account": key.account, "region": key.region, "queue": key.name}
            counters = self._counters.get(queue.id) or _NOTHING
            for family, value in zip(counted, (counters.sent, counters.received, counters.deleted), strict=True):
                family.add(value, labels)
            counts = await self._engine.counts(queue)
            for state, number in _states(counts):
                depth.add(number, {**labels, "state": state})
            oldest.add(self._age_s(counts), labels)
        return [*counted, depth, oldest]

    def _since(self, queue: Queue, counters: Counters, at_s: float) -> Iterator[MetricSample]:
        now = (counters.sent, counters.sent_bytes, counters.received, counters.empty_receives, counters.deleted)
        before = self._told.get(queue.id, (0, 0, 0, 0, 0))
        if now == before:
            return
        self._told[queue.id] = now
        sent, sent_bytes, received, empty, deleted = (new - old for new, old in zip(now, before, strict=True))
        for name, value in (
            ("NumberOfMessagesSent", sent),
            ("NumberOfMessagesReceived", received),
            ("NumberOfEmptyReceives", empty),
            ("NumberOfMessagesDeleted", deleted),
        ):
            if value:
                yield _sample(queue, name, "Count", at_s, value)
        if sent:
            scope = Scope(account=queue.key.account, region=queue.key.region)
            yield MetricSample(
                scope=scope,
                namespace=NAMESPACE,
                name="SentMessageSize",
                dimensions=(("QueueName", queue.key.name),),
                unit="Bytes",
                at_s=at_s,
                count=sent,
                sum=sent_bytes,
                minimum=counters.smallest_bytes,
                maximum=counters.largest_bytes,
            )
            counters.smallest_bytes = counters.largest_bytes = 0

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(GAUGES_S)
            at_s, idle_since_s = self._clock.now(), self._clock.monotonic() - ACTIVE_S
            gauges: list[MetricSample] = []
            for queue in self._queues:
                counters = self._counters.get(queue.id)
                if counters is None or counters.used_s < idle_since_s:
                    continue
                try:
                    gauges += self._depths(queue, await self._engine.counts(queue), at_s)
                except StorageError:
                    continue  # the next look is in a minute
            self._gauges = gauges

    def _depths(self, queue: Queue, counts: Counts, at_s: float) -> Iterable[MetricSample]:
        for name, value in (
            ("ApproximateNumberOfMessagesVisible", counts.visible),
            ("ApproximateNumberOfMessagesNotVisible", counts.in_flight),
            ("ApproximateNumberOfMessagesDelayed", counts.delayed),
        ):
            yield _sample(queue, name, "Count", at_s, value)
        yield _sample(queue, "ApproximateAgeOfOldestMessage", "Seconds", at_s, self._age_s(counts))

    def _age_s(self, counts: Counts) -> float:
        if counts.oldest_ms is None:
            return 0.0
        return max(0.0, float(int(self._clock.now() - counts.oldest_ms / 1000)))


def _states(counts: Counts) -> tuple[tuple[str, int], ...]:
    return ("visible", counts.visible), ("in_flight", counts.in_flight), ("delayed", counts.delayed)


def _sample(queue: Queue, name: str, unit: str, at_s: float, value: float) -> MetricSample:
    return single(
        scope=Scope(account=queue.key.account, region=queue.key.region),
        namespace=NAMESPACE,
        name=name,
        dimensions=(("QueueName", queue.key.name),),
        unit=unit,
        at_s=at_s,
        value=value,
    )


_NOTHING: Final = Counters()
_COUNTED: Final = {
    "sent": "Messages that were sent.",
    "received": "Messages that were received, each time anew.",
    "deleted": "Messages that were deleted.",
}
