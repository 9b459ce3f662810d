"""Whether this machine takes another environment: it refuses while there is still room, instead of swapping.

How much memory a new environment will take is not known when it starts. Reserving all of its MemorySize would refuse
far too early (a function of 1,024 MB typically uses 40), reserving nothing would admit a burst on one reading and then
swap. So each start promises the smaller of MemorySize and what earlier environments of the same function came to use
(64 MB before there is any experience). A promise counts on top of the machine's own figures until the environment has
run its first event, or for ten seconds: by then its memory shows in those figures. While it grows it is counted
twice in part, which errs on the safe side. Beyond the promises a floor always stays free for the growth of what
already runs: 5 % of the memory, at least 512 MB, but at most a quarter of a small machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from lambent.core.clock import Clock
from lambent.core.limits import LAMBDA_INIT_TIMEOUT_S, MIB
from lambent.execution.host import HostReading

READING_MAX_AGE_S: Final = 0.1
PROMISE_MAX_AGE_S: Final = LAMBDA_INIT_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRules:
    """The numbers behind a refusal. `starts` are limited because a machine that starts too much at once runs nothing:
    beyond what its cores can do, every start makes all others miss their 10 s of init."""

    starts_per_s: int
    starting: int
    environments: int | None = None
    floor_bytes: int = 512 * MIB
    floor_fraction: float = 0.05
    floor_fraction_at_most: float = 0.25
    default_environment_bytes: int = 64 * MIB
    processes_per_environment: int = 16
    swapping_bytes_per_s: int = 1 * MIB

    @classmethod
    def for_cores(cls, cores: int) -> HostRules:
        """A fork takes some 4 ms of one core; an interpreter that starts afresh some 30 ms."""
        return cls(starts_per_s=250 * cores, starting=64 * cores)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLoad:
    """What we ourselves have going: promises that the machine's figures do not show yet, starts, environments."""

    promised_bytes: int
    promised_environments: int
    starting: int
    starts_last_s: int
    environments: int
    swapped_out_bytes_per_s: float


Kind = Literal["memory", "processes", "starts", "environments"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRefusal:
    """Which of the machine's limits binds; `detail` is fit for the caller. Ending idle environments helps against
    every kind but `starts`."""

    kind: Kind
    detail: str


def decide(reading: HostReading, load: HostLoad, rules: HostRules, wanted_bytes: int) -> HostRefusal | None:
    """Whether one more environment that will use `wanted_bytes` may start; None means yes. Pure."""
    if rules.environments is not None and load.environments >= rules.environments:
        detail = f"this machine: {load.environments} environments are running, which is its limit"
        return HostRefusal(kind="environments", detail=detail)
    if load.starting >= rules.starting:
        return HostRefusal(kind="starts", detail=f"this machine: {load.starting} environments are already starting")
    if load.starts_last_s >= rules.starts_per_s:
        detail = f"this machine: {load.starts_last_s} environments started within the last second"
        return HostRefusal(kind="starts", detail=detail)
    floor = max(rules.floor_bytes, int(reading.total_bytes * rules.floor_fraction))
    floor = min(floor, int(reading.total_bytes * rules.floor_fraction_at_most))
    if reading.available_bytes - load.promised_bytes - wanted_bytes < floor:
        detail = (
            f"this machine: a new environment needs about {_mb(wanted_bytes)} MB; of {_mb(reading.available_bytes)} MB"
            f" available to {reading.memory_of}, {_mb(load.promised_bytes)} MB are promised to environments that are"
            f" starting and {_mb(floor)} MB are kept free"
        )
        return HostRefusal(kind="memory", detail=detail)
    if load.swapped_out_bytes_per_s >= rules.swapping_bytes_per_s:
        detail = f"this machine: it is swapping, {_mb(int(load.swapped_out_bytes_per_s))} MB/s going out"
        return HostRefusal(kind="memory", detail=detail)
    if reading.processes_limit is not None:
        promised = (load.promised_environments + 1) * rules.processes_per_environment
        spare = reading.processes_limit // 20
        if reading.processes + promised + spare > reading.processes_limit:
            detail = (
                f"this machine: {reading.processes} of {reading.processes_limit} processes and threads of"
                f" {reading.processes_of} are in use"
            )
            return HostRefusal(kind="processes", detail=detail)
    return None


class Reservation:
    """The room that one environment was given, from before its start until after its end."""

    __slots__ = ("_host", "expires_s", "function_key", "promised_bytes", "released", "starting")

    def __init__(self, host: HostAdmission, function_key: str, promised_bytes: int, expires_s: float) -> None:
        self._host = host
        self.function_key = function_key
        self.promised_bytes = promised_bytes  # 0 once the promise is over
        self.expires_s = expires_s
        self.starting = True
        self.released = False

    def started(self) -> None:
        """The environment can take an event."""
        self._host._started(self)

    def settled(self, used_mb: int) -> None:
        """The environment has run its first event and used `used_mb` at most; ends the promise at the next reading."""
        self._host._settled(self, used_mb * MIB)

    def release(self) -> None:
        """The environment has ended or never came to be. Idempotent."""
        self._host._released(self)


class HostAdmission:
    """Asks `decide` with readings that are at most 100 ms old. All calls come from the event loop."""

    def __init__(self, *, read: Callable[[], HostReading], rules: HostRules, clock: Clock) -> None:
        self._read = read
        self._rules = rules
        self._clock = clock
        self._reading: HostReading | None = None
        self._read_at_s = 0.0
        self._swapped_out_bytes_per_s = 0.0
        self._promises: deque[Reservation] = deque()  # in the order of their expiry
        self._settling: list[Reservation] = []
        self._promised_bytes = 0
        self._promised_environments = 0
        self._starts: deque[float] = deque()
        self._starting = 0
        self._environments = 0
        self._used_bytes: dict[str, int] = {}  # by function key: what an environment comes to use

    def try_reserve(self, function_key: str, memory_mb: int) -> Reservation | HostRefusal:
        """Room for one environment of the function, or why there is none."""
        now_s = self._clock.monotonic()
        self._refresh(now_s)
        assert self._reading is not None
        wanted = min(memory_mb * MIB, self._used_bytes.get(function_key, self._rules.default_environment_bytes))
        refusal = decide(self._reading, self._load(now_s), self._rules, wanted)
        if refusal is not None:
            return refusal
        reservation = Reservation(self, function_key, wanted, now_s + PROMISE_MAX_AGE_S)
        self._promises.append(reservation)
        self._promised_bytes += wanted
        self._promised_environments += 1
        self._starts.append(now_s)
        self._starting += 1
        self._environments += 1
        return reservation

    def expire_reading(self) -> None:
        """Look at the machine again before the next decision: something has just ended."""
        self._reading = None

    def forget(self, function_key: str) -> None:
        """Drop what was learned of a function version that is gone."""
        self._used_bytes.pop(function_key, None)

    def as_data(self) -> dict[str, object]:
        """Plain data for a status page."""
        now_s = self._clock.monotonic()
        self._refresh(now_s)
        assert self._reading is not None
        load = self._load(now_s)
        refusal = decide(self._reading, load, self._rules, self._rules.default_environment_bytes)
        return {
            "memory_total_bytes": self._reading.total_bytes,
            "memory_available_bytes": self._reading.available_bytes,
            "memory_promised_bytes": load.promised_bytes,
            "processes": self._reading.processes,
            "processes_limit": self._reading.processes_limit,
            "environments": load.environments,
            "starting": load.starting,
            "starts_last_s": load.starts_last_s,
            "refuses_because": refusal.detail if refusal else None,
        }

    def _load(self, now_s: float) -> HostLoad:
        while self._starts and self._starts[0] <= now_s - 1:
            self._starts.popleft()
        return HostLoad(
            promised_bytes=self._promised_bytes,
            promised_environments=self._promised_environments,
            starting=self._starting,
            starts_last_s=len(self._starts),
            environments=self._environments,
            swapped_out_bytes_per_s=self._swapped_out_bytes_per_s,
        )

    def _refresh(self, now_s: float) -> None:
        before = self._reading
        if before is not None and now_s - self._read_at_s < READING_MAX_AGE_S:
            return
        reading = self._read()
        if before is not None:
            swapped = reading.swapped_out_bytes - before.swapped_out_bytes
            self._swapped_out_bytes_per_s = swapped / (now_s - self._read_at_s)
        self._reading, self._read_at_s = reading, now_s
        # Only now do the machine's figures show what these environments took.
        for reservation in self._settling:
            self._end_promise(reservation)
        self._settling.clear()
        while self._promises and self._promises[0].expires_s <= now_s:
            self._end_promise(self._promises.popleft())

    def _end_promise(self, reservation: Reservation) -> None:
        if reservation.promised_bytes:
            self._promised_bytes -= reservation.promised_bytes
            self._promised_environments -= 1
            reservation.promised_bytes = 0

    def _started(self, reservation: Reservation) -> None:
        if reservation.starting:
            reservation.starting = False
            self._starting -= 1

    def _settled(self, reservation: Reservation, used_bytes: int) -> None:
        if used_bytes:  # 0: the sandbox cannot tell
            # A peak is forgotten slowly: the next environment may well come to it again.
            known = self._used_bytes.get(reservation.function_key, 0)
            self._used_bytes[reservation.function_key] = max(used_bytes, known - known // 20)
        if reservation.promised_bytes:
            self._settling.append(reservation)

    def _released(self, reservation: Reservation) -> None:
        if reservation.released:
            return
        reservation.released = True
        self._started(reservation)
        self._end_promise(reservation)
        self._environments -= 1


def _mb(size_bytes: int) -> int:
    return size_bytes // MIB
