"""CloudWatch's operations on metrics: one module each, with `operations(parts) -> list[Operation]`."""

from __future__ import annotations

from lambent.cloudwatch.api import get_metric_data, get_metric_statistics, list_metrics, put_metric_data
from lambent.cloudwatch.api.furniture import Parts
from lambent.cloudwatch.recorder import Recorder
from lambent.core.clock import Clock
from lambent.core.operations import Operation
from lambent.storage.database import Database


def operations(database: Database, clock: Clock, *, recorder: Recorder) -> list[Operation]:
    """Everything that CloudWatch offers here. `database` holds the tables of `cloudwatch.store.MIGRATIONS`."""
    parts = Parts(database=database, clock=clock, recorder=recorder)
    rooms = (put_metric_data, get_metric_data, get_metric_statistics, list_metrics)
    return [operation for room in rooms for operation in room.operations(parts)]
