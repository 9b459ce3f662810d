"""GetLogEvents: one stream, forwards or backwards, with tokens that stay what they are at either end."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext, Scope
from lambent.logs import groups, merge, streams
from lambent.logs.api import positions
from lambent.logs.api.furniture import LOGS, PAGE_EVENTS, PageSize, Parts, group_named, invalid_token, only_unset
from lambent.logs.groups import LogGroup
from lambent.logs.merge import Position, Selection
from lambent.logs.model import LogRecord
from lambent.logs.streams import LogStream
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    return [
        Operation(
            service=LOGS,
            name="GetLogEvents",
            handler=_GetLogEvents(parts),
            enforced=(
                "logGroupName",
                "logGroupIdentifier",
                "logStreamName",
                "startTime",
                "endTime",
                "nextToken",
                "limit",
                "startFromHead",
            ),
            rejected={"unmask": only_unset("there are no data protection policies")},
            note="A token says its own direction, whatever startFromHead says.",
        )
    ]


class _GetLogEvents:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, context: RequestContext, params: Params) -> Output:
        name = group_named(context.scope, params)

        def work(tx: Transaction, scope: Scope) -> tuple[LogGroup, LogStream]:
            group = groups.require(tx, scope, name)
            return group, streams.require(tx, group, params["logStreamName"])

        group, stream = await self._parts.look(context, work)
        since_ms = max(params.get("startTime", 0), group.expired_before_ms(self._parts.now_ms()))
        after = start = Position(since_ms, -1, -1)
        before = Position(params["endTime"], -1, -1) if "endTime" in params else merge.AFTER_ALL
        token = params.get("nextToken")
        forward, at = params.get("startFromHead", False), start
        if token is not None:
            forward, at = _read_token(token)
            after, before = (max(after, at), before) if forward else (after, min(before, at))
        records = await self._page(
            Selection(group.id, stream.id, after, before), forward, params.get("limit", PAGE_EVENTS)
        )
        if records:
            first, last = merge.position(records[0]), merge.position(records[-1])
        elif token is None:
            first = last = start
        elif forward:  # what was read last is the first thing backwards
            first, last = at._replace(sequence=at.sequence + 1), at
        else:
            first, last = at, at._replace(sequence=at.sequence - 1 if at.sequence >= 0 else at.sequence)
        return {
            "events": [
                {"timestamp": record.timestamp_ms, "message": record.message, "ingestionTime": record.ingested_ms}
                for record in records
            ],
            "nextForwardToken": f"f/{positions.encode(last)}/s",
            "nextBackwardToken": f"b/{positions.encode(first)}/s",
        }

    async def _page(self, selection: Selection, forward: bool, limit: int) -> list[LogRecord]:
        """The page's events in the order of time."""
        size, page = PageSize(limit), list[LogRecord]()
        async for batch in merge.read(self._parts.database, selection, forward=forward):
            for record in batch.records:
                if not size.takes(record):
                    return page if forward else page[::-1]
                page.append(record)
        return page if forward else page[::-1]


def _read_token(token: str) -> tuple[bool, Position]:
    """Its direction and place. Raises InvalidParameter."""
    direction, _, rest = token.partition("/")
    found = positions.decode(rest.removesuffix("/s"))
    if direction not in ("f", "b") or found is None:
        raise invalid_token()
    return direction == "f", found
