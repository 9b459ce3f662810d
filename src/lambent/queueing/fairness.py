"""Fair queues: which message groups of a standard queue are noisy neighbours.

SQS developer guide, "Amazon SQS fair queues". A group is noisy while it holds more than a tenth of what is in
flight, and thirty messages at least, or took more than a tenth of the consumers' recent time; and no longer once it has
sent nothing for five minutes. Groups are known here by their lanes, and only while consumers have messages of
theirs or took time for them lately: at most as many as may be in flight, and a bounded number of others. What is
known is approximate, as it is on AWS: a message whose visibility timeout ran out counts as held until it is deleted,
and a restart forgets.
"""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.1
MIN_IN_FLIGHT: Final = 30
QUIET_AFTER_MS: Final = 300_000
# Consumers' time counts for half after a minute.
_HALF_LIFE_MS: Final = 60_000
# One slow message is no neighbourhood problem: shares of less than this much recent time are not looked at.
_MIN_BUSY_MS: Final = 30_000
_MAX_IDLE: Final = 1000


class _Tenant:
    __slots__ = ("busy_ms", "in_flight", "sent_ms")

    def __init__(self, sent_ms: int) -> None:
        self.in_flight = 0
        self.busy_ms = 0.0  # as of the tenants' `_at_ms`
        self.sent_ms = sent_ms


class Tenants:
    """The groups of one queue. Messages without a group are everybody's own: they count in sums only."""

    __slots__ = ("_at_ms", "_busy_ms", "_in_flight", "_known", "_loud")

    def __init__(self) -> None:
        self._known: dict[int, _Tenant] = {}
        self._loud: set[int] = set()  # those that reach a minimum: only they can be noisy
        self._in_flight = 0
        self._busy_ms = 0.0
        self._at_ms = 0

    def sent(self, lane: int, now_ms: int) -> None:
        """A message of the group came. Only groups that are known already need to be remembered."""
        tenant = self._known.get(lane)
        if tenant is not None:
            tenant.sent_ms = now_ms

    def received(self, lane: int, now_ms: int) -> None:
        """A message is in flight from now on."""
        self._in_flight += 1
        if lane:
            tenant = self._known.get(lane)
            if tenant is None:
                self._forget_some()
                tenant = self._known[lane] = _Tenant(now_ms)
            tenant.in_flight += 1
            if tenant.in_flight >= MIN_IN_FLIGHT:
                self._loud.add(lane)

    def released(self, lane: int, busy_ms: int, now_ms: int) -> None:
        """A message is in flight no more, after a consumer had it for `busy_ms`."""
        self._in_flight = max(0, self._in_flight - 1)
        self._decay(now_ms)
        self._busy_ms += busy_ms
        tenant = self._known.get(lane)
        if tenant is not None:
            tenant.in_flight = max(0, tenant.in_flight - 1)
            tenant.busy_ms += busy_ms
            if tenant.busy_ms > _MIN_BUSY_MS:
                self._loud.add(lane)

    def noisy(self, now_ms: int) -> dict[int, int]:
        """The lanes that must stand back, each with its messages in flight; some twenty at most."""
        if not self._loud:
            return {}
        self._decay(now_ms)
        found: dict[int, int] = {}
        for lane in list(self._loud):
            tenant = self._known.get(lane)
            if tenant is None or (tenant.in_flight < MIN_IN_FLIGHT and tenant.busy_ms <= _MIN_BUSY_MS):
                self._loud.discard(lane)
                continue
            if now_ms - tenant.sent_ms > QUIET_AFTER_MS:
                continue
            holds = tenant.in_flight >= MIN_IN_FLIGHT and tenant.in_flight > SHARE * self._in_flight
            takes = tenant.busy_ms > _MIN_BUSY_MS and tenant.busy_ms > SHARE * self._busy_ms
            if holds or takes:
                found[lane] = tenant.in_flight
        return found

    def _decay(self, now_ms: int) -> None:
        passed_ms = now_ms - self._at_ms
        if passed_ms < 1000:
            return
        self._at_ms = now_ms
        factor = 0.5 ** (passed_ms / _HALF_LIFE_MS)
        self._busy_ms *= factor
        for tenant in self._known.values():
            tenant.busy_ms *= factor

    def _forget_some(self) -> None:
        if len(self._known) > _MAX_IDLE:
            self._known = {
                lane: tenant for lane, tenant in self._known.items() if tenant.in_flight or tenant.busy_ms > 1000
            }
