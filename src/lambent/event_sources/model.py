"""What an event source mapping is (Lambda API reference, "EventSourceMappingConfiguration")."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from lambent.core.arns import Arn, arn
from lambent.core.operations import Scope

State = Literal["Creating", "Enabling", "Enabled", "Updating", "Disabling", "Disabled", "Deleting"]

SETTLED: Final[frozenset[State]] = frozenset({"Enabled", "Disabled"})
ARN_KIND: Final = "event-source-mapping"
DEFAULT_BATCH_SIZE: Final = 10


class ProvisionedPollers(msgspec.Struct, frozen=True, kw_only=True):
    """ProvisionedPollerConfig, with SQS's defaults."""

    minimum: int = 2
    maximum: int = 200


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a queue is polled. Filters are patterns in the words they came in."""

    batch_size: int = DEFAULT_BATCH_SIZE
    window_s: int = 0
    filters: tuple[str, ...] = ()
    report_batch_item_failures: bool = False
    maximum_concurrency: int | None = None
    pollers: ProvisionedPollers | None = None
    metrics: tuple[str, ...] = ()


class EventSourceMapping(msgspec.Struct, frozen=True, kw_only=True):
    """One event source mapping.

    `enabled` is what was asked for and `state` how far that is. `qualifier` is the function's version or alias as it
    was given (`$LATEST` too); None is the unqualified function.
    """

    uuid: str
    scope: Scope
    function_name: str
    qualifier: str | None
    function_arn: str
    event_source_arn: str
    settings: Settings
    enabled: bool
    state: State
    last_modified: float  # epoch seconds

    @property
    def arn(self) -> str:
        """What tags hang on."""
        return arn("lambda", self.scope, f"{ARN_KIND}:{self.uuid}")

    @property
    def fifo(self) -> bool:
        return is_fifo(self.event_source_arn)

    @property
    def source_region(self) -> str:
        return Arn.parse(self.event_source_arn).region

    @property
    def in_transition(self) -> bool:
        """Whether a change is under way, which refuses any further one."""
        return self.state not in SETTLED


def is_fifo(queue_arn: str) -> bool:
    """Whether an ARN is that of a FIFO queue: their names end so, and no others' do."""
    return queue_arn.endswith(".fifo")


def updating(mapping: EventSourceMapping, *, enabled: bool) -> State:
    """The state in which an update of a settled mapping is carried out, `enabled` being what it asks for."""
    if mapping.enabled == enabled:
        return "Updating"
    return "Enabling" if enabled else "Disabling"


def settled(mapping: EventSourceMapping) -> State | None:
    """The state that the present one leads to; None means that the mapping is gone then."""
    if mapping.state == "Deleting":
        return None
    return "Enabled" if mapping.enabled else "Disabled"
