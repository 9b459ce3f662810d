"""CreateLogGroup, DeleteLogGroup, DescribeLogGroups, PutRetentionPolicy, DeleteRetentionPolicy."""

from __future__ import annotations

from typing import Any, Final

from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext, Scope
from lambent.logs import groups
from lambent.logs.api.furniture import LOGS, PAGE_ITEMS, Parts, named_by, only_unset, page, page_start
from lambent.logs.errors import InvalidParameter
from lambent.logs.groups import LogGroup, group_arn

_STANDARD: Final = "STANDARD"


def operations(parts: Parts) -> list[Operation]:
    room = _Groups(parts)
    return [
        Operation(
            service=LOGS,
            name="CreateLogGroup",
            handler=room.create,
            enforced=("logGroupName", "tags"),
            rejected={
                "kmsKeyId": Rejection(reason="logs are not encrypted"),
                "logGroupClass": Rejection(
                    reason="every log group is of class STANDARD", harmless=lambda value: value == _STANDARD
                ),
                "deletionProtectionEnabled": only_unset("log groups cannot be protected"),
            },
        ),
        Operation(service=LOGS, name="DeleteLogGroup", handler=room.delete, enforced=("logGroupName",)),
        Operation(
            service=LOGS,
            name="DescribeLogGroups",
            handler=room.describe,
            enforced=(
                "logGroupNamePrefix",
                "logGroupNamePattern",
                "logGroupClass",
                "logGroupIdentifiers",
                "nextToken",
                "limit",
            ),
            rejected={
                "accountIdentifiers": Rejection(reason="there are no linked accounts"),
                "includeLinkedAccounts": only_unset("there are no linked accounts"),
            },
        ),
        Operation(
            service=LOGS,
            name="PutRetentionPolicy",
            handler=room.put_retention,
            enforced=("logGroupName", "retentionInDays"),
            note="Expired events are hidden at once, and removed from disk within an hour. All logs together are "
            "bounded by a quota as well: the oldest events of all groups go first.",
        ),
        Operation(
            service=LOGS, name="DeleteRetentionPolicy", handler=room.delete_retention, enforced=("logGroupName",)
        ),
    ]


class _Groups:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, context: RequestContext, params: Params) -> Output:
        now_ms = self._parts.now_ms()
        await self._parts.change(
            context, lambda tx, scope: groups.create(tx, scope, params["logGroupName"], params.get("tags", {}), now_ms)
        )
        return None

    async def delete(self, context: RequestContext, params: Params) -> Output:
        await self._parts.change(context, lambda tx, scope: groups.delete(tx, scope, params["logGroupName"]))
        self._parts.sweeper.wake()
        return None

    async def describe(self, context: RequestContext, params: Params) -> Output:
        prefix, pattern = params.get("logGroupNamePrefix"), params.get("logGroupNamePattern")
        identifiers = params.get("logGroupIdentifiers")
        if prefix is not None and pattern is not None:
            raise InvalidParameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        if identifiers is not None and not params.keys() <= {"logGroupIdentifiers", "includeLinkedAccounts"}:
            raise InvalidParameter("No other filter can be given together with logGroupIdentifiers.")
        if params.get("logGroupClass", _STANDARD) != _STANDARD:
            return {"logGroups": []}
        if identifiers is not None:
            return await self._identified(context, identifiers)
        list_name = f"DescribeLogGroups {prefix or ''} {pattern or ''}"
        after, limit = page_start(list_name, params) or "", params.get("limit", PAGE_ITEMS)
        found = await self._parts.look(
            context,
            lambda tx, scope: groups.page(
                tx, scope, prefix=prefix or "", pattern=pattern or "", after=after, limit=limit + 1
            ),
        )
        brief = bool(pattern)
        return page(
            list_name,
            "logGroups",
            found,
            limit,
            lambda group: group.name,
            lambda group: _describe(context.scope, group, brief=brief),
        )

    async def _identified(self, context: RequestContext, identifiers: list[str]) -> Output:
        names = sorted({named_by(context.scope, identifier) for identifier in identifiers})
        found = await self._parts.look(context, lambda tx, scope: [groups.find(tx, scope, name) for name in names])
        return {"logGroups": [_describe(context.scope, group) for group in found if group is not None]}

    async def put_retention(self, context: RequestContext, params: Params) -> Output:
        days = params["retentionInDays"]
        if days not in groups.RETENTION_DAYS:
            allowed = ", ".join(map(str, groups.RETENTION_DAYS))
            raise InvalidParameter(
                f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{allowed}]"
            )
        await self._set_retention(context, params["logGroupName"], days)
        return None

    async def delete_retention(self, context: RequestContext, params: Params) -> Output:
        await self._set_retention(context, params["logGroupName"], None)
        return None

    async def _set_retention(self, context: RequestContext, name: str, days: int | None) -> None:
        await self._parts.change(context, lambda tx, scope: groups.set_retention(tx, scope, name, days))


def _describe(scope: Scope, group: LogGroup, *, brief: bool = False) -> dict[str, Any]:
    arn = group_arn(scope, group.name)
    described: dict[str, Any] = {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "arn": f"{arn}:*",
    }
    if brief:
        return described
    return described | {
        "retentionInDays": group.retention_days,
        "metricFilterCount": 0,
        "storedBytes": max(0, group.stored_bytes),
        "logGroupClass": _STANDARD,
        "logGroupArn": arn,
    }
