"""StartMessageMoveTask, ListMessageMoveTasks and CancelMessageMoveTask."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.sqs import access, moves
from lambent.sqs.api.furniture import SQS, Parts, required
from lambent.sqs.errors import ResourceNotFound, invalid_value
from lambent.sqs.model import Queue
from lambent.sqs.mover import Mover
from lambent.sqs.names import require_key


def operations(parts: Parts, mover: Mover) -> list[Operation]:
    """The operations on move tasks; AWS's API pages of the same names."""

    async def source_of(context: RequestContext, arn: str, action: str) -> Queue:
        queue = parts.queues.find(require_key(arn, "SourceArn"))
        if queue is None:
            raise ResourceNotFound("The resource that you specified for the SourceArn parameter doesn't exist.")
        access.check(queue, await parts.callers.identify(context), action, parts.clock)
        return queue

    async def start(context: RequestContext, params: Params) -> Output:
        source = await source_of(context, required(params, "SourceArn"), "StartMessageMoveTask")
        destination = None
        if params.get("DestinationArn") is not None:
            destination = parts.queues.find(require_key(params["DestinationArn"], "DestinationArn"))
            if destination is None:
                raise ResourceNotFound(
                    "The resource that you specified for the DestinationArn parameter doesn't exist."
                )
            caller = await parts.callers.identify(context)
            access.check(destination, caller, "SendMessage", parts.clock)
        rate = params.get("MaxNumberOfMessagesPerSecond")
        if rate is not None and not 1 <= rate <= moves.MAX_RATE:
            raise invalid_value(
                rate, "MaxNumberOfMessagesPerSecond", f"Must be between 1 and {moves.MAX_RATE}, if provided."
            )
        return {"TaskHandle": moves.handle_of(await mover.start_task(source, destination, rate))}

    async def list_tasks(context: RequestContext, params: Params) -> Output:
        limit = params.get("MaxResults", 1)
        if not 1 <= limit <= moves.KEPT_TASKS:
            raise invalid_value(
                limit, "MaxResults", f"Value for parameter MaxResults must be between 1 and {moves.KEPT_TASKS}."
            )
        source = await source_of(context, required(params, "SourceArn"), "ListMessageMoveTasks")
        return {"Results": [moves.as_output(task) for task in await mover.tasks_of(source, limit)]}

    async def cancel(context: RequestContext, params: Params) -> Output:
        task_id, source_arn = moves.read_handle(required(params, "TaskHandle"))
        source = await source_of(context, source_arn, "CancelMessageMoveTask")
        return {"ApproximateNumberOfMessagesMoved": await mover.cancel_task(source, task_id)}

    return [
        Operation(
            service=SQS,
            name="StartMessageMoveTask",
            handler=start,
            enforced=["SourceArn", "DestinationArn", "MaxNumberOfMessagesPerSecond"],
            note="A task goes on after a restart of the server.",
        ),
        Operation(service=SQS, name="ListMessageMoveTasks", handler=list_tasks, enforced=["SourceArn", "MaxResults"]),
        Operation(service=SQS, name="CancelMessageMoveTask", handler=cancel, enforced=["TaskHandle"]),
    ]
