"""SendMessage and SendMessageBatch."""

from __future__ import annotations

from typing import Any

from lambent.core.errors import AwsError
from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.sqs import batches, message_attributes, sending
from lambent.sqs.api.furniture import SQS, Parts
from lambent.sqs.errors import UnsupportedOperation
from lambent.sqs.messages import Accepted, Messages
from lambent.sqs.sending import Draft

_KIND = "SendMessageBatchRequestEntry"
_LISTS = "StringListValues and BinaryListValues are refused, as on AWS."


def operations(parts: Parts, messages: Messages) -> list[Operation]:
    """The operations that put messages into a queue; AWS's API pages of the same names."""

    async def send_message(context: RequestContext, params: Params) -> Output:
        queue, caller = await parts.queue(context, params, "SendMessage")
        draft = sending.read(params, queue.settings, trace_header=context.headers.get("x-amzn-trace-id"))
        [accepted] = await messages.send(queue, [draft], caller.user_id)
        return _answer(draft, accepted)

    async def send_message_batch(context: RequestContext, params: Params) -> Output:
        queue, caller = await parts.queue(context, params, "SendMessage")
        entries = batches.check_entries(params.get("Entries"), _KIND)
        batches.check_total(entries)
        trace_header = context.headers.get("x-amzn-trace-id")
        ids, drafts, failed = [], [], []
        for entry in entries:
            try:
                drafts.append(sending.read(entry, queue.settings, trace_header=trace_header, in_batch=True))
            except sending.WholeBatchFails as whole:
                raise whole.error from None
            except UnsupportedOperation:
                raise
            except AwsError as error:
                failed.append(batches.failure(entry["Id"], error))
            else:
                ids.append(entry["Id"])
        accepted = await messages.send(queue, drafts, caller.user_id) if drafts else []
        successful = [
            {"Id": entry_id, **_answer(draft, done)}
            for entry_id, draft, done in zip(ids, drafts, accepted, strict=True)
        ]
        return batches.outcome(successful, failed)

    plain = ["MessageBody", "DelaySeconds", "MessageDeduplicationId", "MessageGroupId"]
    attributes = ["MessageAttributes", "MessageSystemAttributes"]
    return [
        Operation(
            service=SQS,
            name="SendMessage",
            handler=send_message,
            enforced=["QueueUrl", *plain, *attributes],
            note=_LISTS,
        ),
        Operation(
            service=SQS,
            name="SendMessageBatch",
            handler=send_message_batch,
            enforced=["QueueUrl", "Entries"],
            note=_LISTS,
        ),
    ]


def _answer(draft: Draft, accepted: Accepted) -> dict[str, Any]:
    answer: dict[str, Any] = {"MessageId": accepted.message_id, "MD5OfMessageBody": draft.body_md5}
    if draft.attributes:
        answer["MD5OfMessageAttributes"] = message_attributes.digest(draft.attributes)
    if draft.system:
        answer["MD5OfMessageSystemAttributes"] = message_attributes.digest(draft.system)
    if accepted.sequence_number is not None:
        answer["SequenceNumber"] = accepted.sequence_number
    return answer
