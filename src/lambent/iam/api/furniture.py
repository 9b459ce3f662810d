"""What IAM's operations share: their parts, pages, and how documents and dates look on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

from lambent.core.clock import Clock
from lambent.core.ids import IdSource
from lambent.core.operations import Params, RequestContext, Service
from lambent.core.pagination import InvalidMarker, decode_marker, paginate
from lambent.iam.errors import IamValidationError
from lambent.storage.database import Database, Transaction

T = TypeVar("T")

IAM = Service(name="iam", validation_code="ValidationError", unsupported_code="ValidationError")

NOT_EVALUATED: Final = "stored and answered; policies are not evaluated yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the operations work with."""

    database: Database
    clock: Clock
    new_id: IdSource  # 32 hexadecimal digits

    async def change(self, context: RequestContext, work: Callable[[Transaction, str], T]) -> T:
        """Run `work(tx, account)` durably; changes of one account take their turns."""
        account = context.scope.account
        return await self.database.run(lambda tx: work(tx, account), key=("iam", account))

    async def look(self, context: RequestContext, work: Callable[[Transaction, str], T]) -> T:
        """Run `work(tx, account)`, which only reads."""
        account = context.scope.account
        return await self.database.read(lambda tx: work(tx, account))

    def now_s(self) -> int:
        """Epoch seconds: IAM's dates are whole seconds."""
        return int(self.clock.now())


def page_start(context: RequestContext, params: Params) -> tuple[str, int]:
    """The key after which the page starts, and how many items it may have. Raises ValidationError."""
    limit = params.get("MaxItems", 100)
    marker = params.get("Marker")
    if marker is None:
        return "", limit
    try:
        return decode_marker(context.operation, marker), limit
    except InvalidMarker:
        raise IamValidationError(f"Invalid Marker: {marker}") from None


def page(
    context: RequestContext, member: str, items: Sequence[T], limit: int, key: Callable[[T], str],
    render: Callable[[T], Any],
) -> dict[str, Any]:  # fmt: skip
    """One page of a list. `items` start after the marker, in the order of `key`, and may be more than `limit`."""
    cut = paginate(items, key, context.operation, limit)
    output: dict[str, Any] = {member: [render(item) for item in cut.items], "IsTruncated": cut.next_marker is not None}
    if cut.next_marker is not None:
        output["Marker"] = cut.next_marker
    return output


def sorted_page(
    context: RequestContext, params: Params, member: str, items: Sequence[T], key: Callable[[T], str],
    render: Callable[[T], Any],
) -> dict[str, Any]:  # fmt: skip
    """One page of a list that is short enough to be read whole."""
    after, limit = page_start(context, params)
    rest = sorted((item for item in items if key(item) > after), key=key)
    return page(context, member, rest, limit, key, render)


def encoded(document: str) -> str:
    """A policy document as answers hold it: percent-encoded as by RFC 3986."""
    return quote(document, safe="")


def present(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without the members that are None or empty."""
    return {name: value for name, value in members.items() if value not in (None, "", [], {})}
