"""What this room needs of others: functions, queues, tags, and the fleets that poll. `platform` hands them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lambent.core.operations import Scope
from lambent.event_sources.model import EventSourceMapping
from lambent.storage.database import Transaction


class FunctionReference(Protocol):
    """A function's name, and the version or alias that was asked for."""

    @property
    def scope(self) -> Scope: ...
    @property
    def name(self) -> str: ...
    @property
    def qualifier(self) -> str | None: ...
    @property
    def qualified_arn(self) -> str: ...


class FunctionFacts(Protocol):
    """What matters of a function. `reserved_concurrency` is None where nothing is reserved."""

    @property
    def timeout_s(self) -> float: ...
    @property
    def role_arn(self) -> str: ...
    @property
    def reserved_concurrency(self) -> int | None: ...


class Functions(Protocol):
    """Lambda's functions."""

    def reference(self, scope: Scope, text: str) -> FunctionReference:
        """Take a FunctionName parameter apart. Raises AwsError for what names no function of the scope."""

    async def find(self, scope: Scope, name: str, qualifier: str | None) -> FunctionFacts | None:
        """The function, version or alias; None when there is none."""


class QueueFacts(Protocol):
    """What matters of a queue. `max_receive_count` is None where there is no dead-letter queue."""

    @property
    def visibility_timeout_s(self) -> int: ...
    @property
    def max_receive_count(self) -> int | None: ...


class Queues(Protocol):
    """SQS's queues."""

    def find(self, queue_arn: str) -> QueueFacts | None:
        """The queue, None when there is none."""

    def refused_action(self, queue_arn: str, role_arn: str) -> str | None:
        """The first of ReceiveMessage, DeleteMessage and GetQueueAttributes that the role may not do to the queue."""


class Tags(Protocol):
    """Tags of Lambda's resources, by ARN, on the database that holds the mappings."""

    def put_tags(self, tx: Transaction, arn: str, tags: Mapping[str, str], /) -> None:
        """Add tags. Raises AwsError for too many of them and for reserved keys."""

    def tags_of(self, tx: Transaction, arn: str, /) -> dict[str, str]:
        """The resource's tags; empty when it has none."""

    def delete_tags(self, tx: Transaction, arn: str, /) -> None:
        """Remove every tag."""


class Fleets(Protocol):
    """The pollers of all mappings. What goes wrong with a queue or a function they show in `status`, and try again."""

    async def start(self, mapping: EventSourceMapping) -> None:
        """Poll for this mapping, of which nothing polls yet. Returns once its pollers are there."""

    async def update(self, mapping: EventSourceMapping) -> None:
        """Poll by the mapping's new settings from now on; what is in flight ends as it began."""

    async def stop(self, uuid: str) -> None:
        """Receive nothing more for this mapping (which need not be polled for). Returns once no receive is under way.

        Invokes in flight go on, and what they succeed with is deleted.
        """

    def status(self, uuid: str) -> Mapping[str, Any]:
        """What the mapping's pollers do right now, for people: names and JSON values. Empty when nothing polls."""
