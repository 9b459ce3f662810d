"""`GET /_lambent/metrics`: what the server counts, in Prometheus's text format.

The counters are those of `execution.metrics`, which the status page and CloudWatch read too; nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import psutil

from lambent import __version__
from lambent.core import prometheus
from lambent.core.arns import Arn
from lambent.core.prometheus import Family
from lambent.execution.engine import LocalEngine
from lambent.execution.metrics import BOUNDS_PER_DOUBLING, DURATION_BOUNDS_MS, Histogram
from lambent.logs.sink import DatabaseLogSink
from lambent.server.http import Endpoint
from lambent.server.internal_routes import InternalRequest
from lambent.server.wire import WireResponse
from lambent.storage.group_commit import SqliteDatabase

# Powers of two are enough for a dashboard: each bucket is a series for each function.
_STEP: Final = BOUNDS_PER_DOUBLING
_BOUNDS_S: Final = tuple(bound_ms / 1000 for bound_ms in DURATION_BOUNDS_MS[::_STEP])

Labels = Mapping[str, str]


class MetricsPage:
    """The page; `mount` puts it on the endpoint. Its cost is that of a look, none of it falls on an invoke."""

    def __init__(
        self,
        *,
        engine: LocalEngine,
        sink: DatabaseLogSink,
        databases: Sequence[SqliteDatabase],
        others: Sequence[Callable[[], Awaitable[Iterable[Family]]]] = (),
        anonymous: bool,
    ) -> None:
        self._engine = engine
        self._sink = sink
        self._databases = databases
        self._others = others
        self._anonymous = anonymous
        self._process = psutil.Process()

    def mount(self, endpoint: Endpoint) -> None:
        # A scraper sends no header of ours, and no web page can read the answer: the gate sees to that. Where
        # signatures are verified, strangers may reach the server, and functions' names are none of their business.
        endpoint.add_route("GET", "/_lambent/metrics", self.metrics, anonymous=self._anonymous)

    async def metrics(self, request: InternalRequest) -> WireResponse:
        """The page."""
        headers = (("Content-Type", prometheus.CONTENT_TYPE), ("x-amzn-RequestId", request.request_id))
        families = [*self._functions(), *self._environments(), *self._server()]
        for other in self._others:
            families += await other()
        return WireResponse(status=200, headers=headers, body=prometheus.page(families))

    def _functions(self) -> Iterator[Family]:
        known = [(arn, _labels(arn), counters) for arn, counters in sorted(self._engine.metrics.items())]
        for name, text, attribute in _COUNTERS:
            family = Family(f"lambent_function_{name}_total", "counter", text)
            for _, labels, counters in known:
                family.add(getattr(counters, attribute), labels)
            yield family
        throttles = Family("lambent_function_throttles_total", "counter", "Events that were refused, by AWS's reason.")
        concurrency = Family("lambent_function_concurrency", "gauge", "Events that are running.")
        durations = Family("lambent_function_duration_seconds", "histogram", "How long handlers took.")
        inits = Family("lambent_function_init_duration_seconds", "histogram", "How long initialisations took.")
        for arn, labels, counters in known:
            for reason, count in sorted(counters.throttles.items()):
                throttles.add(count, {**labels, "reason": reason})
            concurrency.add(self._engine.concurrency_of(arn), labels)
            _add_durations(durations, counters.durations, labels)
            _add_durations(inits, counters.inits, labels)
        yield from (throttles, concurrency, durations, inits)

    def _environments(self) -> Iterator[Family]:
        family = Family("lambent_environments", "gauge", "Execution environments, by state.")
        for arn, states in sorted(self._engine.environments().items()):
            for state, count in states.items():
                family.add(count, {**_labels(arn), "state": state})
        yield family

    def _server(self) -> Iterator[Family]:
        build = Family("lambent_build_info", "gauge", "The version that runs.")
        build.add(1, {"version": __version__})
        dropped = Family("lambent_log_events_dropped_total", "counter", "Log events that the disk was too slow for.")
        dropped.add(self._sink.dropped_events)
        commits = Family("lambent_database_commits_total", "counter", "Commits that reached the disk.")
        pending = Family("lambent_database_pending_units", "gauge", "Units of work that wait for their commit.")
        for database in self._databases:
            labels = {"database": database.path.name}
            commits.add(database.generation, labels)
            pending.add(database.pending, labels)
        with self._process.oneshot():
            memory = Family("process_resident_memory_bytes", "gauge", "Resident memory of the server's process.")
            memory.add(self._process.memory_info().rss)
            started = Family("process_start_time_seconds", "gauge", "When the process began, in epoch seconds.")
            started.add(self._process.create_time())
            spent = Family("process_cpu_seconds_total", "counter", "Processor time of the server's process.")
            times = self._process.cpu_times()
            spent.add(times.user + times.system)
        yield from (build, dropped, commits, pending, memory, started, spent)


_COUNTERS: Final = (
    ("invocations", "Events that an environment was given.", "invocations"),
    ("errors", "Events that ended with a function error.", "errors"),
    ("cold_starts", "Events that were the first of an environment started for them.", "cold_starts"),
    ("abandoned", "Events whose caller went away before the answer.", "abandoned"),
    ("provisioned_invocations", "Events on environments of provisioned concurrency.", "provisioned_invocations"),
    ("spillover_invocations", "Events that provisioned concurrency had no environment for.", "spillover_invocations"),
)


def _add_durations(family: Family, histogram: Histogram, labels: Labels) -> None:
    counts = histogram.counts
    coarse = [counts[0]]
    coarse += [sum(counts[place - _STEP + 1 : place + 1]) for place in range(_STEP, len(counts) - 1, _STEP)]
    coarse.append(counts[-1])
    family.add_histogram(_BOUNDS_S, coarse, histogram.sum_ms / 1000, labels)


def _labels(function_arn: str) -> Labels:
    arn = Arn.parse(function_arn)
    return {"account": arn.account, "region": arn.region, "function": arn.resource.removeprefix("function:")}
