"""CreateLogStream, DeleteLogStream, DescribeLogStreams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lambent.core.operations import Operation, Output, Params, RequestContext, Scope
from lambent.logs import groups, streams
from lambent.logs.api.furniture import LOGS, PAGE_ITEMS, Parts, group_named, invalid_token, page, page_start
from lambent.logs.errors import InvalidParameter
from lambent.logs.groups import group_arn
from lambent.logs.streams import LogStream
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    room = _Streams(parts)
    names = ("logGroupName", "logStreamName")
    return [
        Operation(service=LOGS, name="CreateLogStream", handler=room.create, enforced=names),
        Operation(service=LOGS, name="DeleteLogStream", handler=room.delete, enforced=names),
        Operation(
            service=LOGS,
            name="DescribeLogStreams",
            handler=room.describe,
            enforced=(
                "logGroupName",
                "logGroupIdentifier",
                "logStreamNamePrefix",
                "orderBy",
                "descending",
                "nextToken",
                "limit",
            ),
            note="The times of events are exact at once. A stream that a function made goes with its last event.",
        ),
    ]


class _Streams:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, context: RequestContext, params: Params) -> Output:
        now_ms = self._parts.now_ms()

        def work(tx: Transaction, scope: Scope) -> None:
            group = groups.require(tx, scope, params["logGroupName"])
            streams.create(tx, group, params["logStreamName"], now_ms)

        await self._parts.change(context, work)
        return None

    async def delete(self, context: RequestContext, params: Params) -> Output:
        def work(tx: Transaction, scope: Scope) -> None:
            group = groups.require(tx, scope, params["logGroupName"])
            streams.delete(tx, group, params["logStreamName"])

        await self._parts.change(context, work)
        self._parts.sweeper.wake()
        return None

    async def describe(self, context: RequestContext, params: Params) -> Output:
        name = group_named(context.scope, params)
        prefix, descending = params.get("logStreamNamePrefix", ""), params.get("descending", False)
        by_time = params.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise InvalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
        list_name = f"DescribeLogStreams {name} {prefix} {by_time} {descending}"
        after, limit = page_start(list_name, params), params.get("limit", PAGE_ITEMS)
        time_after = None if after is None or not by_time else _parsed(after)

        def work(tx: Transaction, scope: Scope) -> list[LogStream]:
            group = groups.require(tx, scope, name)
            if by_time:
                return streams.page_by_time(tx, group, after=time_after, descending=descending, limit=limit + 1)
            return streams.page_by_name(tx, group, prefix=prefix, after=after, descending=descending, limit=limit + 1)

        found = await self._parts.look(context, work)
        arn = group_arn(context.scope, name)
        key: Callable[[LogStream], str] = _time_key if by_time else _name_key
        return page(list_name, "logStreams", found, limit, key, lambda stream: _describe(arn, stream))


def _name_key(stream: LogStream) -> str:
    return stream.name


def _time_key(stream: LogStream) -> str:
    return msgspec.json.encode((stream.last_event_ms or 0, stream.name)).decode()


def _parsed(key: str) -> tuple[int, str]:
    try:
        return msgspec.json.decode(key, type=tuple[int, str])
    except msgspec.DecodeError:
        raise invalid_token() from None


def _describe(arn_of_group: str, stream: LogStream) -> dict[str, Any]:
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "firstEventTimestamp": stream.first_event_ms,
        "lastEventTimestamp": stream.last_event_ms,
        "lastIngestionTime": stream.last_ingestion_ms,
        "uploadSequenceToken": sequence_token(stream.id, stream.next_sequence) if stream.next_sequence else None,
        "arn": f"{arn_of_group}:log-stream:{stream.name}",
        "storedBytes": 0,  # CloudWatch Logs API reference, "LogStream": zero since 2019
    }


def sequence_token(stream_id: int, next_sequence: int) -> str:
    """What AWS still hands out and no longer asks for: 56 digits."""
    return f"{stream_id:028d}{next_sequence:028d}"
