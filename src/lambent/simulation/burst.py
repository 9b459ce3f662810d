"""A burst on a queue, simulated by events: arrivals, batches that end, and a decision of the mode each second.

Messages are counts with the time they arrived, and batches that start together end together, so a million messages cost
as much as their distinct moments. Nothing is lost: what arrived is handled, in flight or waiting at every moment.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from lambent.scaling.mapping_limits import Limit
from lambent.simulation.arrivals import Arrival
from lambent.simulation.modes import Allowed, Mode, Seen

_TICK_S = 1.0
# How often rates that are used up are looked at again.
_REFILL_S = 0.05
_MESSAGES_PER_RECEIVE = 10
_MAX_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """What the function does with a batch."""

    batch_size: int = 10
    duration_s: float = 0.2
    message_bytes: float = 1024.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One second: what is waiting and running at its end, and the latencies of what started in it (None: nothing)."""

    at_s: float
    waiting: int
    in_flight: int
    allowed: int
    pollers: int
    latency_p50_s: float | None
    latency_p99_s: float | None
    limit: Limit


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of the burst. Latency is from arrival to the start of the invoke."""

    mode: str
    arrived: int = 0
    handled: int = 0
    invocations: int = 0
    drained_s: float = 0.0
    full_concurrency: int = 0
    full_concurrency_s: float | None = None
    peak_concurrency: int = 0
    peak_waiting: int = 0
    poller_unit_hours: float = 0.0
    latencies_ms: Counter[int] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)

    def latency_s(self, share: float) -> float:
        """A percentile of latency: `share` 0.99 is the 99th."""
        return percentile_ms(self.latencies_ms, share) / 1000


class DoesNotEnd(Exception):
    """The burst would take longer than anybody waits."""


def percentile_ms(latencies_ms: Counter[int], share: float) -> float:
    """The smallest latency that at least `share` of the messages do not exceed; 0 without messages."""
    wanted = share * latencies_ms.total()
    seen = 0
    for latency_ms in sorted(latencies_ms):
        seen += latencies_ms[latency_ms]
        if seen >= wanted:
            return float(latency_ms)
    return 0.0


def simulate(arrivals: Iterable[Arrival], handler: Handler, mode: Mode) -> Result:
    """Run until everything has been handled. Raises DoesNotEnd after 30 virtual days."""
    return _Burst(arrivals, handler, mode).run()


class _Burst:
    def __init__(self, arrivals: Iterable[Arrival], handler: Handler, mode: Mode) -> None:
        self._arrivals = iter(arrivals)
        self._next = next(self._arrivals, None)
        self._handler = handler
        self._mode = mode
        self._result = Result(mode=mode.name, full_concurrency=mode.full_concurrency)
        self._queue: deque[list[float]] = deque()  # [arrived at, messages]
        self._waiting = 0
        self._in_flight = 0
        self._most_in_flight = 0
        self._ends: list[float] = []  # moments when batches end, a heap
        self._ending: dict[float, list[int]] = {}  # moment -> [batches, messages]
        self._receives = 0
        self._latencies: Counter[int] = Counter()
        self._received = 0
        self._tokens_s = 0.0
        self._receive_tokens = self._byte_tokens = 0.0
        self._refill_s = math.inf
        self._allowed = Allowed(concurrency=0, limit=Limit.BACKLOG)

    def run(self) -> Result:
        tick_s = now_s = 0.0
        result = self._result
        while True:
            self._arrive(now_s)
            self._end(now_s)
            if now_s >= tick_s:
                self._decide(now_s)
                tick_s += _TICK_S
            self._start(now_s)
            if self._next is None and not self._waiting and not self._in_flight:
                break
            now_s = min(
                tick_s,
                self._ends[0] if self._ends else math.inf,
                self._next[0] if self._next is not None else math.inf,
                self._refill_s,
            )
            if now_s > _MAX_S:
                raise DoesNotEnd(f"{self._waiting} messages would still wait after {_MAX_S / 86_400:.0f} days")
        result.drained_s = now_s
        self._decide(now_s)
        result.poller_unit_hours = self._mode.poller_unit_hours
        return result

    def _arrive(self, now_s: float) -> None:
        while self._next is not None and self._next[0] <= now_s:
            at_s, messages = self._next
            self._queue.append([at_s, messages])
            self._waiting += messages
            self._result.arrived += messages
            self._next = next(self._arrivals, None)

    def _end(self, now_s: float) -> None:
        while self._ends and self._ends[0] <= now_s:
            batches, messages = self._ending.pop(heapq.heappop(self._ends))
            self._in_flight -= batches
            self._result.handled += messages

    def _decide(self, now_s: float) -> None:
        result = self._result
        self._start(now_s)  # what ended in this moment is in use again before anybody looks
        result.samples.append(
            Sample(
                at_s=now_s,
                waiting=self._waiting,
                in_flight=self._in_flight,
                allowed=self._allowed.concurrency,
                pollers=self._allowed.pollers,
                latency_p50_s=percentile_ms(self._latencies, 0.5) / 1000 if self._latencies else None,
                latency_p99_s=percentile_ms(self._latencies, 0.99) / 1000 if self._latencies else None,
                limit=self._allowed.limit,
            )
        )
        result.peak_waiting = max(result.peak_waiting, self._waiting)
        seen = Seen(
            waiting=self._waiting,
            in_flight=self._most_in_flight,
            receives_per_s=self._receives / _TICK_S,
            bytes_per_s=self._received * self._handler.message_bytes / _TICK_S,
            message_bytes=self._handler.message_bytes,
        )
        self._allowed = self._mode.decide(seen, now_s)
        self._receives = self._received = 0
        self._most_in_flight = self._in_flight
        self._latencies = Counter()

    def _start(self, now_s: float) -> None:
        """Start batches while messages wait and everything allows it: whole groups of equal batches at a time."""
        self._refill(now_s)
        size = self._handler.batch_size
        while self._waiting and self._in_flight < self._allowed.concurrency:
            messages = min(size, self._waiting)
            wanted = self._waiting // messages
            batches = min(wanted, self._allowed.concurrency - self._in_flight, self._affordable(messages))
            if batches <= 0:
                self._refill_s = now_s + _REFILL_S
                return
            self._take(batches * messages, now_s)
            self._spend(batches, messages)
            self._begin(batches, batches * messages, now_s)

    def _begin(self, batches: int, messages: int, now_s: float) -> None:
        result = self._result
        ends_s = now_s + self._handler.duration_s
        if ends_s not in self._ending:
            heapq.heappush(self._ends, ends_s)
        counts = self._ending.setdefault(ends_s, [0, 0])
        counts[0] += batches
        counts[1] += messages
        self._in_flight += batches
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        result.invocations += batches
        result.peak_concurrency = max(result.peak_concurrency, self._in_flight)
        if result.full_concurrency_s is None and self._in_flight >= result.full_concurrency:
            result.full_concurrency_s = now_s

    def _take(self, messages: int, now_s: float) -> None:
        self._waiting -= messages
        while messages:
            first = self._queue[0]
            taken = min(messages, int(first[1]))
            latency_ms = _rounded_ms(now_s - first[0])
            self._latencies[latency_ms] += taken
            self._result.latencies_ms[latency_ms] += taken
            first[1] -= taken
            messages -= taken
            if not first[1]:
                self._queue.popleft()

    def _refill(self, now_s: float) -> None:
        """Tokens for receives and bytes; a second's worth at most is saved up."""
        elapsed_s = now_s - self._tokens_s
        self._tokens_s, self._refill_s = now_s, math.inf
        allowed = self._allowed
        if math.isfinite(allowed.receives_per_s):
            gained = self._receive_tokens + elapsed_s * allowed.receives_per_s
            self._receive_tokens = min(allowed.receives_per_s, gained)
        if math.isfinite(allowed.bytes_per_s):
            self._byte_tokens = min(allowed.bytes_per_s, self._byte_tokens + elapsed_s * allowed.bytes_per_s)

    def _affordable(self, messages: int) -> int:
        """Batches of so many messages that the pollers can bring now."""
        if math.isinf(self._allowed.receives_per_s):
            return self._waiting
        by_receives = self._receive_tokens / math.ceil(messages / _MESSAGES_PER_RECEIVE)
        bytes_each = messages * self._handler.message_bytes
        # A batch larger than a second's worth of bytes is paid for with all of them.
        full = self._byte_tokens >= self._allowed.bytes_per_s > 0
        by_bytes = max(self._byte_tokens / bytes_each, 1.0 if full else 0.0) if bytes_each else math.inf
        return int(min(by_receives, by_bytes, self._waiting))

    def _spend(self, batches: int, messages: int) -> None:
        receives = batches * math.ceil(messages / _MESSAGES_PER_RECEIVE)
        self._receives += receives
        self._received += batches * messages
        if math.isfinite(self._allowed.receives_per_s):
            self._receive_tokens -= receives
            self._byte_tokens -= batches * messages * self._handler.message_bytes


def _rounded_ms(latency_s: float) -> int:
    """Milliseconds with three digits: enough for percentiles, and few enough to count."""
    latency_ms = round(latency_s * 1000)
    if latency_ms < 1000:
        return latency_ms
    unit: int = 10 ** (len(str(latency_ms)) - 3)
    return int(round(latency_ms / unit) * unit)
