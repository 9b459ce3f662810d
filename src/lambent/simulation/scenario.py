"""A question about a burst, and its answer in each mode: what the command line asks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lambent.scaling import mapping_provisioned, mapping_standard
from lambent.simulation import arrivals
from lambent.simulation.arrivals import Arrival
from lambent.simulation.burst import Handler, Result, simulate
from lambent.simulation.modes import Mode, Provisioned, Standard

MODES: Final = ("standard", "provisioned")
# A profile names the ramp of standard mode and whether pollers grow at once.
PROFILES: Final = {
    "aws": ("aws", False),
    "legacy": ("legacy", False),
    "article": ("article", True),
    "instant": ("aws", True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Without `rate_per_s` all messages wait at the start; `trace` takes the place of both."""

    messages: int = 100_000
    rate_per_s: float | None = None
    trace: Sequence[Arrival] | None = None
    handler: Handler
    profile: str = "aws"
    minimum_pollers: int = 2
    maximum_pollers: int = 200
    concurrency: int | None = None
    seed: int = 0

    def arrivals(self) -> Sequence[Arrival]:
        """The same for the same seed, and for all modes."""
        if self.trace is not None:
            return self.trace
        if self.rate_per_s is None:
            return list(arrivals.at_once(self.messages))
        return list(arrivals.at_rate(self.messages, self.rate_per_s, random.Random(self.seed)))

    def mode(self, name: str) -> Mode:
        """One of `MODES` as this scenario configures it."""
        ramp, instant = PROFILES[self.profile]
        if name == "standard":
            return Standard(mapping_standard.Config(profile=mapping_standard.PROFILES[ramp]), self.concurrency)
        config = mapping_provisioned.Config(
            minimum_pollers=self.minimum_pollers,
            maximum_pollers=self.maximum_pollers,
            instant=instant,
            batch_size=self.handler.batch_size,
        )
        return Provisioned(config, self.concurrency)


def answer(scenario: Scenario, modes: Sequence[str]) -> list[Result]:
    """What happens in each mode. Raises DoesNotEnd."""
    arriving = scenario.arrivals()
    return [simulate(arriving, scenario.handler, scenario.mode(name)) for name in modes]
