"""What queues are, and who asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import msgspec

from lambent.core.limits import MIB
from lambent.core.operations import RequestContext

DeduplicationScope = Literal["queue", "messageGroup"]
ThroughputLimit = Literal["perQueue", "perMessageGroupId"]


class QueueKey(msgspec.Struct, frozen=True, kw_only=True):
    """What names a queue among all."""

    account: str
    region: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FifoSettings:
    """What only FIFO queues have."""

    content_based: bool = False
    scope: DeduplicationScope = "queue"
    throughput_limit: ThroughputLimit = "perQueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """A queue's attributes that can be set, with SQS's defaults. Policies are kept in the words they came in."""

    delay_s: int = 0
    max_message_bytes: int = MIB
    retention_s: int = 345_600
    wait_s: int = 0
    visibility_timeout_s: int = 30
    policy: str | None = None
    redrive_policy: str | None = None
    redrive_allow_policy: str | None = None
    kms_key_id: str | None = None
    kms_reuse_s: int = 300
    managed_sse: bool = True
    fifo: FifoSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One queue. `id` is never given out again, also when a queue of the same name is made anew."""

    id: str
    key: QueueKey
    created_s: int  # epoch seconds, as all times here
    modified_s: int
    settings: QueueSettings
    purged_s: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `user_id` is what SQS calls the SenderId."""

    account: str
    arn: str
    user_id: str


class Callers(Protocol):
    """Knows who signed a request; `platform` makes one out of what STS knows."""

    async def identify(self, context: RequestContext) -> Caller: ...


MAX_TAGS: Final = 50
