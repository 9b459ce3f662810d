"""FilterLogEvents: a whole group, or some of its streams, interleaved in the order of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lambent.core.operations import Operation, Output, Params, RequestContext, Scope
from lambent.core.pagination import encode_marker
from lambent.logs import groups, merge, streams
from lambent.logs.api import positions
from lambent.logs.api.furniture import (
    LOGS,
    PAGE_EVENTS,
    PageSize,
    Parts,
    group_named,
    invalid_token,
    matcher,
    only_unset,
    page_start,
)
from lambent.logs.errors import InvalidParameter
from lambent.logs.groups import LogGroup
from lambent.logs.merge import Position, Selection
from lambent.logs.model import LogRecord
from lambent.storage.database import Transaction

_LIST: Final = "FilterLogEvents"
# A call looks at so many chunks and then says where to go on, also when nothing matched so far.
_CHUNKS_PER_CALL: Final = 2048
# CloudWatch Logs API reference, "FilterLogEvents": backwards only from this time on (2024-01-01).
_BACKWARDS_SINCE_MS: Final = 1_704_067_200_000


def operations(parts: Parts) -> list[Operation]:
    return [
        Operation(
            service=LOGS,
            name="FilterLogEvents",
            handler=_FilterLogEvents(parts),
            enforced=(
                "logGroupName",
                "logGroupIdentifier",
                "logStreamNames",
                "logStreamNamePrefix",
                "startTime",
                "endTime",
                "filterPattern",
                "nextToken",
                "limit",
                "startFromHead",
                "interleaved",
            ),
            rejected={"unmask": only_unset("there are no data protection policies")},
            note="Events are always interleaved, as on AWS since 2019. Patterns: terms, JSON selectors and delimited "
            "fields; regular expressions (`%...%`) are refused.",
        )
    ]


class _FilterLogEvents:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, context: RequestContext, params: Params) -> Output:
        name = group_named(context.scope, params)
        matches = matcher(params.get("filterPattern"))
        wanted, names = _wanted(params)

        def work(tx: Transaction, scope: Scope) -> tuple[LogGroup, int]:
            group = groups.require(tx, scope, name)
            found = [streams.require(tx, group, stream).id for stream in names]
            return group, found[0] if len(found) == 1 else 0

        group, stream_id = await self._parts.look(context, work)
        since_ms = max(params.get("startTime", 0), group.expired_before_ms(self._parts.now_ms()))
        after = Position(since_ms, -1, -1)
        before = Position(params["endTime"] + 1, -1, -1) if "endTime" in params else merge.AFTER_ALL
        token = page_start(_LIST, params)
        forward = params.get("startFromHead", True)
        if token is not None:
            forward, at = _read_token(token)
            after, before = (max(after, at), before) if forward else (after, min(before, at))
        elif not forward and params.get("startTime", 0) < _BACKWARDS_SINCE_MS:
            raise InvalidParameter("startFromHead can be false only with a startTime on or after January 1, 2024.")
        selection = Selection(group.id, stream_id, after, before, None if stream_id else wanted, matches)
        records, more = await self._page(selection, forward, params.get("limit", PAGE_EVENTS))
        output: dict[str, Any] = {"events": [_describe(record) for record in records], "searchedLogStreams": []}
        if more is not None:
            output["nextToken"] = encode_marker(_LIST, f"{'f' if forward else 'b'}{positions.encode(more)}")
        return output

    async def _page(self, selection: Selection, forward: bool, limit: int) -> tuple[list[LogRecord], Position | None]:
        """The page's events, and from where the next page goes on; None at the end."""
        size, page = PageSize(limit), list[LogRecord]()
        start = selection.after if forward else selection.before
        async for batch in merge.read(self._parts.database, selection, forward=forward):
            for record in batch.records:
                if not size.takes(record):
                    return page, merge.position(page[-1])
                page.append(record)
            if batch.up_to in (merge.AFTER_ALL, merge.BEFORE_ALL):
                break
            # Going on from where this began would never end.
            if batch.looked_at >= _CHUNKS_PER_CALL and batch.up_to != start:
                return page, batch.up_to
        return page, None


def _wanted(params: Params) -> tuple[Callable[[str], bool] | None, list[str]]:
    """Which streams, and those of them that must exist. Raises InvalidParameter."""
    names, prefix = params.get("logStreamNames"), params.get("logStreamNamePrefix")
    if names is not None and prefix is not None:
        raise InvalidParameter("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
    if names is not None:
        return frozenset(names).__contains__, sorted(set(names))
    if prefix is not None:
        return lambda stream: stream.startswith(prefix), []
    return None, []


def _read_token(token: str) -> tuple[bool, Position]:
    found = positions.decode(token[1:])
    if token[:1] not in ("f", "b") or found is None:
        raise invalid_token()
    return token[0] == "f", found


def _describe(record: LogRecord) -> dict[str, Any]:
    return {
        "logStreamName": record.stream,
        "timestamp": record.timestamp_ms,
        "message": record.message,
        "ingestionTime": record.ingested_ms,
        "eventId": positions.encode(merge.position(record)),
    }
