"""PutLogEvents: a batch is refused as a whole, or stored but for events that are too old or too new."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from lambent.core.limits import MIB
from lambent.core.log_events import LogEvent
from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext, Scope
from lambent.logs import groups, store, streams
from lambent.logs.api.furniture import LOGS, Parts
from lambent.logs.api.streams import sequence_token
from lambent.logs.errors import InvalidParameter
from lambent.logs.groups import DAY_MS, LogGroup
from lambent.logs.model import EVENT_OVERHEAD_BYTES, pack
from lambent.storage.database import Transaction

# CloudWatch Logs API reference, "PutLogEvents".
BATCH_BYTES: Final = MIB
BATCH_SPAN_MS: Final = DAY_MS
_OLDEST_MS: Final = 14 * DAY_MS
_NEWEST_MS: Final = 2 * 3_600_000


def operations(parts: Parts) -> list[Operation]:
    return [
        Operation(
            service=LOGS,
            name="PutLogEvents",
            handler=_PutLogEvents(parts),
            enforced=("logGroupName", "logStreamName", "logEvents", "sequenceToken"),
            rejected={"entity": Rejection(reason="events are not grouped by entity")},
            note="Any sequenceToken is accepted, as on AWS since 2023: batches need no order.",
        )
    ]


class _PutLogEvents:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, context: RequestContext, params: Params) -> Output:
        name, stream_name = params["logGroupName"], params["logStreamName"]
        events = [LogEvent(timestamp_ms=event["timestamp"], message=event["message"]) for event in params["logEvents"]]
        check_batch(events)
        now_ms = self._parts.now_ms()

        def work(tx: Transaction, scope: Scope) -> tuple[dict[str, Any], int]:
            group = groups.require(tx, scope, name)
            stream = streams.require(tx, group, stream_name)
            begin, end, rejected = accepted(group, events, now_ms)
            disk_bytes = 0
            if begin < end:
                disk_bytes = store.append(tx, list(pack(scope, name, stream_name, events[begin:end])), now_ms)
            output: dict[str, Any] = {
                "nextSequenceToken": sequence_token(stream.id, stream.next_sequence + max(0, end - begin))
            }
            if rejected:
                output["rejectedLogEventsInfo"] = rejected
            return output, disk_bytes

        # Not after what functions have written: a shipper's batch must not wait for it, and needs none of it.
        output, disk_bytes = await self._parts.database.run(
            lambda tx: work(tx, context.scope), key=("logs", context.scope)
        )
        self._parts.news.announce([(context.scope, name)])
        await self._parts.sink.make_room(disk_bytes)
        return output


def check_batch(events: Sequence[LogEvent]) -> None:
    """The rules on a batch that the service model does not have. Raises InvalidParameter."""
    size_bytes = sum(len(event.message.encode()) + EVENT_OVERHEAD_BYTES for event in events)
    if size_bytes > BATCH_BYTES:
        raise InvalidParameter(f"Upload too large: {size_bytes} bytes exceeds limit of {BATCH_BYTES}")
    earlier_ms = events[0].timestamp_ms
    for event in events:
        if event.timestamp_ms < earlier_ms:
            raise InvalidParameter("Log events in a single PutLogEvents request must be in chronological order.")
        earlier_ms = event.timestamp_ms
    if earlier_ms - events[0].timestamp_ms > BATCH_SPAN_MS:
        raise InvalidParameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )


def accepted(group: LogGroup, events: Sequence[LogEvent], now_ms: int) -> tuple[int, int, dict[str, int]]:
    """Which of the events (in chronological order) are stored, from and up to; and what the answer says of the rest."""

    def first_at(time_ms: int) -> int:
        return bisect_left(events, time_ms, key=lambda event: event.timestamp_ms)

    too_old, expired = first_at(now_ms - _OLDEST_MS), first_at(group.expired_before_ms(now_ms))
    too_new = first_at(now_ms + _NEWEST_MS + 1)
    rejected: dict[str, int] = {}
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired:
        rejected["expiredLogEventEndIndex"] = expired
    if too_new < len(events):
        rejected["tooNewLogEventStartIndex"] = too_new
    return max(too_old, expired), too_new, rejected
