"""CreateQueue, GetQueueUrl, ListQueues, DeleteQueue, PurgeQueue and ListDeadLetterSourceQueues."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.core.pagination import paginate
from lambent.sqs import access, tags
from lambent.sqs.api.furniture import SQS, Parts, page_size, page_start, required
from lambent.sqs.api.settings import ENCRYPTION_NOTE, answer
from lambent.sqs.model import QueueKey
from lambent.sqs.names import arn_of, url_of


def operations(parts: Parts) -> list[Operation]:
    """The operations on queues as such; AWS's API pages of the same names."""
    queues = parts.queues

    async def create_queue(context: RequestContext, params: Params) -> Output:
        name = required(params, "QueueName")
        given = params.get("Attributes") or {}
        key = QueueKey(account=context.scope.account, region=context.scope.region, name=name)
        queue = await queues.create(key, given, tags.checked(params.get("tags") or {}))
        return answer({"QueueUrl": url_of(context.endpoint, queue.key, context.scope)}, given)

    async def get_queue_url(context: RequestContext, params: Params) -> Output:
        name = required(params, "QueueName")
        account = params.get("QueueOwnerAWSAccountId") or context.scope.account
        queue = queues.require(QueueKey(account=account, region=context.scope.region, name=name))
        access.check(queue, await parts.callers.identify(context), "GetQueueUrl", parts.clock)
        return {"QueueUrl": url_of(context.endpoint, queue.key, context.scope)}

    async def list_queues(context: RequestContext, params: Params) -> Output:
        limit, scope = page_size(params), context.scope
        list_name = f"queues {scope.account} {scope.region} {params.get('QueueNamePrefix', '')}"
        names = await queues.names(
            scope, prefix=params.get("QueueNamePrefix", ""), after=page_start(list_name, params), limit=limit + 1
        )
        page = paginate(names, str, list_name, limit)
        keys = [QueueKey(account=scope.account, region=scope.region, name=name) for name in page.items]
        return {
            "QueueUrls": [url_of(context.endpoint, key, scope) for key in keys] or None,
            "NextToken": page.next_marker if "MaxResults" in params else None,
        }

    async def list_dead_letter_source_queues(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "ListDeadLetterSourceQueues")
        limit, list_name = page_size(params), f"sources {queue.id}"
        keys = await queues.sources(arn_of(queue.key), after=page_start(list_name, params), limit=limit + 1)
        page = paginate(keys, lambda key: key.name, list_name, limit)
        return {
            "queueUrls": [url_of(context.endpoint, key, context.scope) for key in page.items],
            "NextToken": page.next_marker if "MaxResults" in params else None,
        }

    async def delete_queue(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "DeleteQueue")
        await queues.delete(queue)
        return None

    async def purge_queue(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "PurgeQueue")
        await queues.purge(queue)
        return None

    return [
        Operation(
            service=SQS,
            name="CreateQueue",
            handler=create_queue,
            enforced=["QueueName", "Attributes", "tags"],
            note=ENCRYPTION_NOTE + " A deleted queue's name is free at once; after 60 seconds under --strict-aws.",
        ),
        Operation(
            service=SQS,
            name="GetQueueUrl",
            handler=get_queue_url,
            enforced=["QueueName", "QueueOwnerAWSAccountId"],
        ),
        Operation(
            service=SQS,
            name="ListQueues",
            handler=list_queues,
            enforced=["QueueNamePrefix", "NextToken", "MaxResults"],
        ),
        Operation(
            service=SQS,
            name="ListDeadLetterSourceQueues",
            handler=list_dead_letter_source_queues,
            enforced=["QueueUrl", "NextToken", "MaxResults"],
        ),
        Operation(service=SQS, name="DeleteQueue", handler=delete_queue, enforced=["QueueUrl"]),
        Operation(service=SQS, name="PurgeQueue", handler=purge_queue, enforced=["QueueUrl"]),
    ]
