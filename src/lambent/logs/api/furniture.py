"""What the operations of CloudWatch Logs share: their parts, names and ARNs of groups, pages, limits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from lambent.core.arns import Arn
from lambent.core.clock import Clock
from lambent.core.ids import IdSource
from lambent.core.limits import MIB
from lambent.core.operations import Params, Rejection, RequestContext, Scope, Service
from lambent.core.pagination import InvalidMarker, decode_marker, paginate
from lambent.logs.errors import InvalidParameter, no_such_group
from lambent.logs.model import EVENT_OVERHEAD_BYTES, LogRecord
from lambent.logs.news import News
from lambent.logs.patterns import InvalidPattern, Matcher, compile_pattern
from lambent.logs.sink import DatabaseLogSink
from lambent.logs.sweeper import Sweeper
from lambent.storage.database import Database, StorageError, Transaction

T = TypeVar("T")

LOGS: Final = Service(
    name="logs", validation_code="InvalidParameterException", unsupported_code="InvalidParameterException"
)

# CloudWatch Logs API reference, "GetLogEvents" and "FilterLogEvents".
PAGE_EVENTS: Final = 10_000
PAGE_BYTES: Final = MIB
# CloudWatch Logs API reference, "DescribeLogGroups" and "DescribeLogStreams".
PAGE_ITEMS: Final = 50


def only_unset(reason: str) -> Rejection:
    """A switch that may be given as false."""
    return Rejection(reason=reason, harmless=lambda value: value is False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the operations work with."""

    database: Database
    clock: Clock
    sink: DatabaseLogSink
    news: News
    sweeper: Sweeper
    new_id: IdSource  # a UUID

    async def change(self, context: RequestContext, work: Callable[[Transaction, Scope], T]) -> T:
        """Run `work(tx, scope)` durably, after what functions have written so far."""
        await self.settle()
        return await self.database.run(lambda tx: work(tx, context.scope), key=("logs", context.scope))

    async def look(self, context: RequestContext, work: Callable[[Transaction, Scope], T]) -> T:
        """Run `work(tx, scope)`, which only reads, and sees what functions have written so far."""
        await self.settle()
        return await self.database.read(lambda tx: work(tx, context.scope))

    async def settle(self) -> None:
        """Store what functions have written; what the disk refuses now, the sink keeps, and says so in the log."""
        with contextlib.suppress(StorageError):
            await self.sink.flush()

    def now_ms(self) -> int:
        return int(self.clock.now() * 1000)


def group_named(scope: Scope, params: Params) -> str:
    """The group's name from `logGroupName` or `logGroupIdentifier`. Raises InvalidParameter and ResourceNotFound."""
    name, identifier = params.get("logGroupName"), params.get("logGroupIdentifier")
    if name is not None and identifier is not None:
        raise InvalidParameter("LogGroup name and LogGroup ARN are mutually exclusive parameters.")
    if name is not None:
        return str(name)
    if identifier is None:
        raise InvalidParameter("Either LogGroup name or LogGroup ARN should be provided.")
    return named_by(scope, identifier)


def named_by(scope: Scope, identifier: str) -> str:
    """The name behind a group's name or ARN. Raises ResourceNotFound for another account's or region's."""
    if not identifier.startswith("arn:"):
        return identifier
    try:
        parsed = Arn.parse(identifier)
    except ValueError:
        raise InvalidParameter(f"Invalid log group ARN: {identifier}") from None
    kind, _, name = parsed.resource.partition(":")
    name = name.removesuffix(":*")
    if parsed.service != "logs" or kind != "log-group" or not name:
        raise InvalidParameter(f"Invalid log group ARN: {identifier}")
    if (parsed.account, parsed.region) != (scope.account, scope.region):
        raise no_such_group()
    return name


def page_start(list_name: str, params: Params) -> str | None:
    """The key after which the page starts. Raises InvalidParameter."""
    token = params.get("nextToken")
    if token is None:
        return None
    try:
        return decode_marker(list_name, token)
    except InvalidMarker:
        raise invalid_token() from None


def page(
    list_name: str, member: str, items: Sequence[T], limit: int, key: Callable[[T], str], render: Callable[[T], Any]
) -> dict[str, Any]:
    """One page of a list. `items` start after the token, and may be one more than `limit`."""
    cut = paginate(items, key, list_name, limit)
    output: dict[str, Any] = {member: [render(item) for item in cut.items]}
    if cut.next_marker is not None:
        output["nextToken"] = cut.next_marker
    return output


def invalid_token() -> InvalidParameter:
    return InvalidParameter("The specified nextToken is invalid.")


def matcher(pattern: str | None) -> Matcher | None:
    """None where every message matches. Raises InvalidParameter."""
    if pattern is None or not pattern.strip():
        return None
    try:
        return compile_pattern(pattern)
    except InvalidPattern as invalid:
        raise InvalidParameter(f"Invalid filter pattern: {invalid}") from None


class PageSize:
    """Counts a page's events and bytes up to the limits."""

    def __init__(self, limit: int) -> None:
        self._events = limit
        self._bytes = PAGE_BYTES
        self._first = True

    def takes(self, record: LogRecord) -> bool:
        """Whether the event still has room; a page's first event always has."""
        size_bytes = len(record.message.encode()) + EVENT_OVERHEAD_BYTES
        if not self._first and (self._events < 1 or self._bytes < size_bytes):
            return False
        self._first = False
        self._events -= 1
        self._bytes -= size_bytes
        return True
