"""TagResource, UntagResource, ListTagsForResource on log groups, and the older operations that go by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from lambent.core.operations import Operation, Output, Params, RequestContext, Scope
from lambent.logs import groups
from lambent.logs.api.furniture import LOGS, Parts, named_by
from lambent.logs.errors import InvalidParameter, TooManyTags
from lambent.storage.database import Transaction

_MAX_TAGS: Final = 50


def operations(parts: Parts) -> list[Operation]:
    room = _Tagging(parts)
    return [
        Operation(service=LOGS, name="TagResource", handler=room.tag, enforced=("resourceArn", "tags")),
        Operation(service=LOGS, name="UntagResource", handler=room.untag, enforced=("resourceArn", "tagKeys")),
        Operation(service=LOGS, name="ListTagsForResource", handler=room.list, enforced=("resourceArn",)),
        Operation(service=LOGS, name="TagLogGroup", handler=room.tag, enforced=("logGroupName", "tags")),
        Operation(service=LOGS, name="UntagLogGroup", handler=room.untag, enforced=("logGroupName", "tags")),
        Operation(service=LOGS, name="ListTagsLogGroup", handler=room.list, enforced=("logGroupName",)),
    ]


class _Tagging:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def tag(self, context: RequestContext, params: Params) -> Output:
        new: dict[str, str] = params["tags"]
        if any(key.lower().startswith("aws:") for key in new):
            raise InvalidParameter("Tag keys that start with aws: are reserved for system use.")

        def change(tags: Mapping[str, str]) -> dict[str, str]:
            merged = {**tags, **new}
            if len(merged) > _MAX_TAGS:
                text = f"A log group cannot have more than {_MAX_TAGS} tags."
                raise TooManyTags(text) if context.operation == "TagResource" else InvalidParameter(text)
            return merged

        await self._change(context, params, change)
        return None

    async def untag(self, context: RequestContext, params: Params) -> Output:
        gone = set(params["tagKeys"] if "tagKeys" in params else params["tags"])
        await self._change(context, params, lambda tags: {key: value for key, value in tags.items() if key not in gone})
        return None

    async def list(self, context: RequestContext, params: Params) -> Output:
        name = _named(context.scope, params)
        group = await self._parts.look(context, lambda tx, scope: groups.require(tx, scope, name))
        return {"tags": group.tags}

    async def _change(
        self, context: RequestContext, params: Params, change: Callable[[Mapping[str, str]], dict[str, str]]
    ) -> None:
        name = _named(context.scope, params)

        def work(tx: Transaction, scope: Scope) -> None:
            group = groups.require(tx, scope, name)
            groups.set_tags(tx, group, change(group.tags))

        await self._parts.change(context, work)


def _named(scope: Scope, params: Params) -> str:
    if "logGroupName" in params:
        return str(params["logGroupName"])
    arn: str = params["resourceArn"]
    if not arn.startswith("arn:"):
        raise InvalidParameter(f"Invalid resource ARN: {arn}")
    return named_by(scope, arn)
