"""What happens in an environment, as events for the extensions that have subscribed to them.

The same events are the lines of JSON logs (`platform_lines` tells both). They are kept from the beginning of the init
on, so that a subscriber, which can only come during the init, gets all of them; without one, nothing is kept after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from lambent.core.clock import Clock
from lambent.sandbox.telemetry_delivery import Connect, Delivery, encode
from lambent.sandbox.telemetry_subscription import Subscription

# What is kept of an init for subscribers that have not come yet.
_MAX_EARLY_EVENTS: Final = 10_000
_NOT_IN_LOGS_API: Final = frozenset(
    {"platform.initStart", "platform.initRuntimeDone", "platform.initReport", "platform.telemetrySubscription"}
)


class Telemetry:
    """The subscribers of one init and what they get. `on_subscribed` hears (extension, types, over the Logs API)."""

    def __init__(
        self,
        *,
        json_logs: bool,
        connect: Connect,
        clock: Clock,
        on_subscribed: Callable[[str, Sequence[str], bool], None],
    ) -> None:
        self._json_logs = json_logs
        self._connect = connect
        self._clock = clock
        self._on_subscribed = on_subscribed
        self._early: list[tuple[float, str, Any]] = []
        self._deliveries: dict[str, Delivery] = {}
        self.open = True

    @property
    def wanted(self) -> bool:
        """Whether anybody hears of what happens, or may yet come to."""
        return self.open or bool(self._deliveries)

    def subscribe(self, extension: str, subscription: Subscription) -> None:
        """A second subscription of an extension takes the place of its first."""
        replaced = self._deliveries.pop(extension, None)
        if replaced is not None:
            replaced.close()
        delivery = self._deliveries[extension] = Delivery(subscription, self._connect, self._clock)
        for now_s, kind, record in self._early:
            _hand_over(delivery, now_s, kind, record)
        self._on_subscribed(extension, subscription.types, subscription.logs_api)

    def close_subscription(self) -> None:
        """The init is over."""
        self.open = False
        self._early.clear()

    def platform(self, now_s: float, kind: str, record: dict[str, Any]) -> None:
        """An event; see `platform_lines.PlatformObserver`."""
        if self.open and len(self._early) < _MAX_EARLY_EVENTS:
            self._early.append((now_s, kind, record))
        for delivery in self._deliveries.values():
            _hand_over(delivery, now_s, kind, record)

    def lines(self, source: str, lines: Sequence[str]) -> None:
        """Lines that the function or an extension has written."""
        now_s = self._clock.now()
        for line in lines:
            self.platform(now_s, source, self._record(line.removesuffix("\n")))

    def _record(self, line: str) -> Any:
        """A line; what it says, where functions log JSON objects."""
        if self._json_logs and line.startswith("{"):
            try:
                return msgspec.json.decode(line)
            except msgspec.DecodeError:
                return line
        return line

    async def flush(self, timeout_s: float) -> None:
        """Deliver what is held back, as far as that can be done in this time."""
        flushes: list[Awaitable[None]] = [delivery.flush() for delivery in self._deliveries.values()]
        if flushes:
            try:
                async with asyncio.timeout(timeout_s):
                    await asyncio.gather(*flushes)
            except TimeoutError:
                return

    def close(self) -> None:
        """Idempotent."""
        for delivery in self._deliveries.values():
            delivery.close()
        self._deliveries.clear()
        self.open = False


def _hand_over(delivery: Delivery, now_s: float, kind: str, record: Any) -> None:
    subscription = delivery.subscription
    if kind.partition(".")[0] not in subscription.types:
        return
    events = [(kind, record)]
    if subscription.logs_api:
        if kind in _NOT_IN_LOGS_API:
            return
        if kind == "platform.runtimeDone":
            ended = ("platform.end", {"requestId": record["requestId"]})
            done = {"requestId": record["requestId"], "status": record["status"]}
            events = [ended] if subscription.schema == "2020-08-15" else [(kind, done), ended]
        elif kind == "platform.report":
            events = [(kind, {"requestId": record["requestId"], "metrics": record["metrics"]})]
    for one, what in events:
        delivery.add(encode(now_s, one, what))
