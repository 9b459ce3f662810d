"""The modes of a mapping behind one face: told numbers once a second, each says what may run until the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lambent.scaling import mapping_provisioned, mapping_standard
from lambent.scaling.mapping_limits import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What happened since the last decision, and what is waiting now."""

    waiting: int
    in_flight: int
    receives_per_s: float
    bytes_per_s: float
    message_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What may happen until the next decision. A rate without bound is infinite."""

    concurrency: int
    limit: Limit
    pollers: int = 0
    receives_per_s: float = float("inf")
    bytes_per_s: float = float("inf")


class Mode(Protocol):
    name: str

    def decide(self, seen: Seen, now_s: float) -> Allowed: ...

    @property
    def full_concurrency(self) -> int:
        """The most that can ever run."""

    @property
    def poller_unit_hours(self) -> float: ...


class Standard:
    """Standard mode."""

    name = "standard"
    poller_unit_hours = 0.0

    def __init__(self, config: mapping_standard.Config, function_concurrency: int | None) -> None:
        self._config = config
        self._function_concurrency = function_concurrency
        self._state = mapping_standard.start(config, 0.0)

    def decide(self, seen: Seen, now_s: float) -> Allowed:
        observation = mapping_standard.Observation(
            waiting=seen.waiting, in_flight=seen.in_flight, function_concurrency=self._function_concurrency
        )
        self._state, decision = mapping_standard.decide(self._state, observation, now_s, self._config)
        return Allowed(concurrency=decision.concurrency, limit=decision.limit)

    @property
    def full_concurrency(self) -> int:
        ceiling = self._config.profile.ceiling
        return min(ceiling, self._config.maximum_concurrency or ceiling, self._function_concurrency or ceiling)


class Provisioned:
    """Provisioned mode."""

    name = "provisioned"

    def __init__(self, config: mapping_provisioned.Config, function_concurrency: int | None) -> None:
        self._config = config
        self._function_concurrency = function_concurrency
        self._state = mapping_provisioned.start(config, 0.0)

    def decide(self, seen: Seen, now_s: float) -> Allowed:
        observation = mapping_provisioned.Observation(
            waiting=seen.waiting,
            in_flight=seen.in_flight,
            receives_per_s=seen.receives_per_s,
            bytes_per_s=seen.bytes_per_s,
            message_bytes=seen.message_bytes,
            function_concurrency=self._function_concurrency,
        )
        self._state, decision = mapping_provisioned.decide(self._state, observation, now_s, self._config)
        return Allowed(
            concurrency=decision.concurrency,
            limit=decision.limit,
            pollers=decision.pollers,
            receives_per_s=decision.receives_per_s,
            bytes_per_s=decision.bytes_per_s,
        )

    @property
    def full_concurrency(self) -> int:
        most = self._config.maximum_pollers * mapping_provisioned.INVOKES_PER_POLLER
        return min(most, self._config.maximum_concurrency or most, self._function_concurrency or most)

    @property
    def poller_unit_hours(self) -> float:
        return self._state.poller_unit_hours
