"""What queues are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from lambent.core.limits import MIB

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


MAX_TAGS: Final = 50
