"""CloudWatch Logs' operations: one module per subject, each with `operations(parts) -> list[Operation]`."""

from __future__ import annotations

from lambent.core.clock import Clock
from lambent.core.ids import IdSource, new_uuid
from lambent.core.operations import Operation
from lambent.logs.api import filter_events, get_events, groups, live_tail, metric_filters, put_events, streams, tagging
from lambent.logs.api.furniture import Parts
from lambent.logs.news import News
from lambent.logs.sink import DatabaseLogSink
from lambent.logs.sweeper import Sweeper
from lambent.storage.database import Database


def operations(
    database: Database,
    clock: Clock,
    *,
    sink: DatabaseLogSink,
    news: News,
    sweeper: Sweeper,
    new_id: IdSource = new_uuid,
) -> list[Operation]:
    """Everything that CloudWatch Logs offers, on the database that `sink` writes to."""
    parts = Parts(database=database, clock=clock, sink=sink, news=news, sweeper=sweeper, new_id=new_id)
    rooms = (groups, streams, put_events, get_events, filter_events, tagging, metric_filters, live_tail)
    return [operation for room in rooms for operation in room.operations(parts)]
