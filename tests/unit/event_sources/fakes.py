"""Functions, queues and fleets that are only said to be there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lambent.core.operations import Scope
from lambent.event_sources.model import EventSourceMapping, Settings
from lambent.lambda_.names import FunctionReference, parse_function

SCOPE = Scope(account="000000000000", region="us-east-1")
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
FIFO = f"{QUEUE}.fifo"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
ROLE = "arn:aws:iam::000000000000:role/r"


@dataclass(frozen=True, kw_only=True)
class Function:
    timeout_s: float = 3.0
    role_arn: str = ROLE
    reserved_concurrency: int | None = None


@dataclass(frozen=True, kw_only=True)
class Queue:
    visibility_timeout_s: int = 30
    max_receive_count: int | None = None


@dataclass(kw_only=True)
class Functions:
    """By name and qualifier; all in SCOPE."""

    there: dict[tuple[str, str | None], Function] = field(default_factory=lambda: {("f", None): Function()})

    def reference(self, scope: Scope, text: str) -> FunctionReference:
        return parse_function(scope, text)

    async def find(self, scope: Scope, name: str, qualifier: str | None) -> Function | None:
        return self.there.get((name, qualifier)) if scope == SCOPE else None


@dataclass(kw_only=True)
class Queues:
    """By ARN."""

    there: dict[str, Queue] = field(default_factory=lambda: {QUEUE: Queue(), FIFO: Queue()})
    refused: str | None = None

    def find(self, queue_arn: str) -> Queue | None:
        return self.there.get(queue_arn)

    def refused_action(self, queue_arn: str, role_arn: str) -> str | None:
        return self.refused


class Fleets:
    """Remembers what it was told; `ready` cleared, pollers take for ever to come and go."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.polled: dict[str, EventSourceMapping] = {}
        self.ready = asyncio.Event()
        self.ready.set()

    async def start(self, mapping: EventSourceMapping) -> None:
        assert mapping.uuid not in self.polled
        await self._take("start", mapping.uuid)
        self.polled[mapping.uuid] = mapping

    async def update(self, mapping: EventSourceMapping) -> None:
        assert mapping.uuid in self.polled
        await self._take("update", mapping.uuid)
        self.polled[mapping.uuid] = mapping

    async def stop(self, uuid: str) -> None:
        await self._take("stop", uuid)
        self.polled.pop(uuid, None)

    def status(self, uuid: str) -> Mapping[str, Any]:
        return {"pollers": 5} if uuid in self.polled else {}

    async def _take(self, what: str, uuid: str) -> None:
        self.told.append((what, uuid))
        await self.ready.wait()


def mapping(uuid: str = "u", **fields: Any) -> EventSourceMapping:
    """A mapping of QUEUE to `f`; what is no field of a mapping is one of its settings."""
    own = {name: fields.pop(name) for name in list(fields) if name in EventSourceMapping.__struct_fields__}
    plain = EventSourceMapping(
        uuid=uuid,
        scope=SCOPE,
        function_name="f",
        qualifier=None,
        function_arn=FUNCTION,
        event_source_arn=QUEUE,
        settings=Settings(**fields),
        enabled=True,
        state="Enabled",
        last_modified=1_767_225_600.0,
    )
    return msgspec.structs.replace(plain, **own)
