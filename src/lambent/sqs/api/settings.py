"""GetQueueAttributes, SetQueueAttributes, AddPermission, RemovePermission, and tags."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from lambent.core.operations import Operation, Output, Params, Reply, RequestContext
from lambent.sqs import attributes, policies, tags
from lambent.sqs.api.furniture import SQS, Parts, required
from lambent.sqs.model import Queue
from lambent.sqs.names import arn_of

ENCRYPTION_NOTE: Final = (
    f"The attributes {', '.join(sorted(attributes.SIMULATED))} are simulated: stored and answered, but messages are "
    "not encrypted on disk. In policies `aws:SecureTransport` is true; variables and conditions on keys that Lambent "
    "does not know (`aws:SourceIp`, tags) are refused."
)


def answer(output: Mapping[str, Any], given: attributes.Given) -> Output:
    """The output, naming the attributes in `given` that are only simulated."""
    simulated = [f"Attributes.{name}" for name in given if name in attributes.SIMULATED]
    return Reply(output=output, headers={"x-lambent-simulated": ", ".join(simulated)}) if simulated else output


def operations(parts: Parts) -> list[Operation]:
    """The operations on what a queue is set to; AWS's API pages of the same names."""
    queues = parts.queues

    async def get_queue_attributes(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "GetQueueAttributes")
        wanted = attributes.asked_for(params.get("AttributeNames") or ())
        found = {
            "QueueArn": arn_of(queue.key),
            "CreatedTimestamp": str(queue.created_s),
            "LastModifiedTimestamp": str(queue.modified_s),
            **attributes.shown(queue.settings),
        }
        if any(map(wanted, attributes.COUNTS)):
            found.update(await queues.counts(queue))
        return {"Attributes": {name: value for name, value in found.items() if wanted(name)} or None}

    async def set_queue_attributes(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "SetQueueAttributes")
        given = required(params, "Attributes")
        await queues.change(queue, lambda old: _with(old, settings=attributes.changed(old.settings, given)))
        return answer({}, given)

    async def add_permission(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "AddPermission")
        label = required(params, "Label")

        def change(old: Queue) -> Queue:
            policy = policies.add_permission(
                old.settings.policy,
                arn=arn_of(old.key),
                partition=context.scope.partition,
                label=label,
                accounts=params.get("AWSAccountIds") or (),
                actions=params.get("Actions") or (),
            )
            return _with(old, settings=dataclasses.replace(old.settings, policy=policy))

        await queues.change(queue, change)
        return None

    async def remove_permission(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "RemovePermission")
        label = required(params, "Label")

        def change(old: Queue) -> Queue:
            policy = policies.remove_permission(old.settings.policy, label)
            return _with(old, settings=dataclasses.replace(old.settings, policy=policy))

        await queues.change(queue, change)
        return None

    async def tag_queue(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "TagQueue")
        given = tags.checked(required(params, "Tags"))
        await queues.change(queue, lambda old: _with(old, tags=tags.merged(old.tags, given)), touch=False)
        return None

    async def untag_queue(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "UntagQueue")
        gone = frozenset(required(params, "TagKeys"))
        await queues.change(
            queue,
            lambda old: _with(old, tags={key: value for key, value in old.tags.items() if key not in gone}),
            touch=False,
        )
        return None

    async def list_queue_tags(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "ListQueueTags")
        return {"Tags": queue.tags or None}

    return [
        Operation(
            service=SQS,
            name="GetQueueAttributes",
            handler=get_queue_attributes,
            enforced=["QueueUrl", "AttributeNames"],
            note="The numbers of messages are exact.",
        ),
        Operation(
            service=SQS,
            name="SetQueueAttributes",
            handler=set_queue_attributes,
            enforced=["QueueUrl", "Attributes"],
            note=ENCRYPTION_NOTE,
        ),
        Operation(
            service=SQS,
            name="AddPermission",
            handler=add_permission,
            enforced=["QueueUrl", "Label", "AWSAccountIds", "Actions"],
        ),
        Operation(service=SQS, name="RemovePermission", handler=remove_permission, enforced=["QueueUrl", "Label"]),
        Operation(service=SQS, name="TagQueue", handler=tag_queue, enforced=["QueueUrl", "Tags"]),
        Operation(service=SQS, name="UntagQueue", handler=untag_queue, enforced=["QueueUrl", "TagKeys"]),
        Operation(service=SQS, name="ListQueueTags", handler=list_queue_tags, enforced=["QueueUrl"]),
    ]


def _with(queue: Queue, **changes: Any) -> Queue:
    return dataclasses.replace(queue, **changes)
