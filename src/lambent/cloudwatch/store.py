"""CloudWatch's tables, and every statement on them. Every function here runs inside a unit of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from lambent.cloudwatch import distribution
from lambent.cloudwatch.errors import LimitExceeded
from lambent.cloudwatch.model import LISTED_S, MINUTE_S, RETENTION_S, MetricKey, Point
from lambent.core.metric_data import MetricSample
from lambent.core.operations import Scope
from lambent.storage.database import Row, Transaction
from lambent.storage.migrations import Migration

# Not AWS's numbers: what keeps a client that makes up names from filling the disk (about 200 bytes a point).
MAX_METRICS: Final = 100_000
MAX_POINTS: Final = 5_000_000

MIGRATIONS: Final = (
    Migration(
        room="cloudwatch",
        version=1,
        statements=(
            """CREATE TABLE cw_metrics (
                id INTEGER PRIMARY KEY,
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                namespace TEXT NOT NULL,
                name TEXT NOT NULL,
                dimensions TEXT NOT NULL,
                last_s INTEGER NOT NULL,
                UNIQUE (account, region, namespace, name, dimensions)
            )""",
            "CREATE INDEX cw_metrics_by_time ON cw_metrics (last_s)",
            """CREATE TABLE cw_points (
                metric_id INTEGER NOT NULL,
                resolution_s INTEGER NOT NULL,
                start_s INTEGER NOT NULL,
                unit TEXT NOT NULL,
                count REAL NOT NULL,
                sum REAL NOT NULL,
                minimum REAL NOT NULL,
                maximum REAL NOT NULL,
                buckets BLOB,
                PRIMARY KEY (metric_id, resolution_s, start_s, unit)
            )""",
            "CREATE INDEX cw_points_by_time ON cw_points (resolution_s, start_s)",
            """CREATE TABLE cw_totals (
                id INTEGER PRIMARY KEY,
                next_id INTEGER NOT NULL,
                metrics INTEGER NOT NULL,
                points INTEGER NOT NULL
            )""",
            "INSERT INTO cw_totals VALUES (1, 1, 0, 0)",
        ),
    ),
)


class KnownMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric as listed. Names sort as (namespace, name, dimensions)."""

    key: MetricKey
    dimensions_text: str


def record(tx: Transaction, samples: Sequence[MetricSample]) -> None:
    """Add `samples` up into their minutes (and seconds, where asked for). Raises LimitExceeded: too many metrics."""
    added = 0
    for sample in samples:
        metric_id = _metric(tx, sample)
        at_s = int(sample.at_s // 1)
        added += _add(tx, metric_id, MINUTE_S, at_s - at_s % MINUTE_S, sample)
        if sample.high_resolution:
            added += _add(tx, metric_id, 1, at_s, sample)
    tx.execute("UPDATE cw_totals SET points = points + ?", (added,))


def _metric(tx: Transaction, sample: MetricSample) -> int:
    scope, dimensions = sample.scope, _text(sample.dimensions)
    row = tx.one(
        "SELECT id, last_s FROM cw_metrics"
        " WHERE account = ? AND region = ? AND namespace = ? AND name = ? AND dimensions = ?",
        (scope.account, scope.region, sample.namespace, sample.name, dimensions),
    )
    at_s = int(sample.at_s)
    if row is not None:
        if row["last_s"] < at_s:
            tx.execute("UPDATE cw_metrics SET last_s = ? WHERE id = ?", (at_s, row["id"]))
        return int(row["id"])
    totals = tx.one("SELECT next_id, metrics FROM cw_totals")
    assert totals is not None  # written with the table
    if totals["metrics"] >= MAX_METRICS:
        raise LimitExceeded(f"This server keeps {MAX_METRICS} different metrics at most.")
    metric_id = int(totals["next_id"])
    tx.execute("UPDATE cw_totals SET next_id = next_id + 1, metrics = metrics + 1")
    tx.execute(
        "INSERT INTO cw_metrics VALUES (?, ?, ?, ?, ?, ?, ?)",
        (metric_id, scope.account, scope.region, sample.namespace, sample.name, dimensions, at_s),
    )
    return metric_id


def _add(tx: Transaction, metric_id: int, resolution_s: int, start_s: int, sample: MetricSample) -> int:
    """How many points are more than before."""
    place = (metric_id, resolution_s, start_s, sample.unit)
    buckets = None if sample.values is None else distribution.of_values(sample.values)
    known = tx.one(
        "SELECT buckets FROM cw_points WHERE metric_id = ? AND resolution_s = ? AND start_s = ? AND unit = ?", place
    )
    if known is None:
        tx.execute(
            "INSERT INTO cw_points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, sample.count, sample.sum, sample.minimum, sample.maximum, distribution.pack(buckets)),
        )
        return 1
    both = distribution.unpack(known["buckets"])
    if both is not None and buckets is not None:
        distribution.add(both, buckets)
    else:
        both = None
    tx.execute(
        "UPDATE cw_points SET count = count + ?, sum = sum + ?, minimum = MIN(minimum, ?), maximum = MAX(maximum, ?),"
        " buckets = ? WHERE metric_id = ? AND resolution_s = ? AND start_s = ? AND unit = ?",
        (sample.count, sample.sum, sample.minimum, sample.maximum, distribution.pack(both), *place),
    )
    return 0


def points(
    tx: Transaction,
    key: MetricKey,
    *,
    resolution_s: int,
    since_s: int,
    until_s: int,
    unit: str | None,
    buckets: bool,
    limit: int,
) -> list[Point]:
    """The points of a metric that begin in a span of time, in its order; units one after the other."""
    column = "p.buckets" if buckets else "NULL AS buckets"
    of_unit, units = ("", ()) if unit is None else (" AND p.unit = ?", (unit,))
    # The metric's id in the same statement: the primary key answers all of it.
    rows = tx.all(
        f"SELECT p.start_s, p.unit, p.count, p.sum, p.minimum, p.maximum, {column}"
        " FROM cw_metrics m CROSS JOIN cw_points p ON p.metric_id = m.id"
        " WHERE m.account = ? AND m.region = ? AND m.namespace = ? AND m.name = ? AND m.dimensions = ?"
        f" AND p.resolution_s = ? AND p.start_s >= ? AND p.start_s < ?{of_unit} ORDER BY p.start_s, p.unit LIMIT ?",
        (
            key.scope.account,
            key.scope.region,
            key.namespace,
            key.name,
            _text(key.dimensions),
            resolution_s,
            since_s,
            until_s,
            *units,
            limit,
        ),
    )
    return [_point(row) for row in rows]


def page(
    tx: Transaction,
    scope: Scope,
    *,
    namespace: str | None,
    name: str | None,
    since_s: int,
    after: tuple[str, str, str],
    limit: int,
) -> list[KnownMetric]:
    """Metrics with data since `since_s` by namespace, name and dimensions, beyond `after`."""
    conditions, values = "", list[str]()
    for column, value in (("namespace", namespace), ("name", name)):
        if value is not None:
            conditions += f" AND {column} = ?"
            values.append(value)
    rows = tx.all(
        "SELECT namespace, name, dimensions FROM cw_metrics WHERE account = ? AND region = ?"
        f" AND (namespace, name, dimensions) > (?, ?, ?) AND last_s >= ?{conditions}"
        " ORDER BY namespace, name, dimensions LIMIT ?",
        (scope.account, scope.region, *after, since_s, *values, limit),
    )
    return [
        KnownMetric(
            key=MetricKey(scope=scope, namespace=row["namespace"], name=row["name"], dimensions=_dimensions(row)),
            dimensions_text=row["dimensions"],
        )
        for row in rows
    ]


def remove_old(tx: Transaction, now_s: int, limit: int) -> bool:
    """Remove some of what has expired, and of the oldest points where there are too many; whether there was any."""
    totals = tx.one("SELECT points FROM cw_totals")
    assert totals is not None  # written with the table
    over = totals["points"] - MAX_POINTS
    for resolution_s, kept_s in RETENTION_S.items():
        # The quota takes from the minutes: seconds are gone after three hours anyway.
        crowded = resolution_s == MINUTE_S and over > 0
        before_s = now_s + MINUTE_S if crowded else now_s - kept_s
        rows = tx.all(
            "SELECT metric_id, start_s, unit FROM cw_points WHERE resolution_s = ? AND start_s < ?"
            " ORDER BY start_s LIMIT ?",
            (resolution_s, before_s, min(limit, over) if crowded else limit),
        )
        for row in rows:
            tx.execute(
                "DELETE FROM cw_points WHERE metric_id = ? AND resolution_s = ? AND start_s = ? AND unit = ?",
                (row["metric_id"], resolution_s, row["start_s"], row["unit"]),
            )
        if rows:
            tx.execute("UPDATE cw_totals SET points = points - ?", (len(rows),))
            return True
    oldest_s = now_s - max(LISTED_S, *RETENTION_S.values())
    removed = tx.execute(
        "DELETE FROM cw_metrics WHERE id IN (SELECT id FROM cw_metrics WHERE last_s < ? LIMIT ?)", (oldest_s, limit)
    )
    tx.execute("UPDATE cw_totals SET metrics = metrics - ?", (removed,))
    return removed > 0


def _text(dimensions: Sequence[tuple[str, str]]) -> str:
    return msgspec.json.encode(dimensions).decode()


def _dimensions(row: Row) -> tuple[tuple[str, str], ...]:
    return msgspec.json.decode(row["dimensions"], type=tuple[tuple[str, str], ...])


def _point(row: Row) -> Point:
    return Point(
        start_s=row["start_s"],
        unit=row["unit"],
        count=row["count"],
        sum=row["sum"],
        minimum=row["minimum"],
        maximum=row["maximum"],
        buckets=distribution.unpack(row["buckets"]),
    )
