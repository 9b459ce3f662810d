"""DeleteMessage, ChangeMessageVisibility and their batches: what consumers do with what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lambent.core.errors import AwsError
from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.sqs import batches
from lambent.sqs.api.furniture import SQS, Parts, required
from lambent.sqs.errors import MissingParameter, invalid_value
from lambent.sqs.messages import Messages

MAX_TIMEOUT_S: Final = 43_200


def check_timeout(value: int) -> None:
    """Raise InvalidParameterValue for a VisibilityTimeout that is none."""
    if not 0 <= value <= MAX_TIMEOUT_S:
        raise invalid_value(value, "VisibilityTimeout", f"Must be between 0 and {MAX_TIMEOUT_S}.")


def operations(parts: Parts, messages: Messages) -> list[Operation]:
    """The operations that take receipt handles; AWS's API pages of the same names."""

    async def delete_message(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "DeleteMessage")
        _raise(await messages.delete(queue, [required(params, "ReceiptHandle")]))
        return None

    async def delete_message_batch(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "DeleteMessage")
        entries = batches.check_entries(params.get("Entries"), "DeleteMessageBatchRequestEntry", ("ReceiptHandle",))
        errors = await messages.delete(queue, [entry["ReceiptHandle"] for entry in entries])
        return _outcome(entries, errors)

    async def change_visibility(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "ChangeMessageVisibility")
        handle, timeout_s = required(params, "ReceiptHandle"), params.get("VisibilityTimeout")
        if timeout_s is None:
            raise MissingParameter("VisibilityTimeout")
        check_timeout(timeout_s)
        _raise(await messages.change_visibility(queue, [(handle, timeout_s)]))
        return None

    async def change_visibility_batch(context: RequestContext, params: Params) -> Output:
        queue, _ = await parts.queue(context, params, "ChangeMessageVisibility")
        kind = "ChangeMessageVisibilityBatchRequestEntry"
        entries = batches.check_entries(params.get("Entries"), kind, ("ReceiptHandle",))
        valid, errors = [], dict[str, AwsError | None]()
        for entry in entries:
            try:
                # The model lets the timeout out of an entry, and then there is nothing to change it to.
                if entry.get("VisibilityTimeout") is None:
                    raise MissingParameter("VisibilityTimeout")
                check_timeout(entry["VisibilityTimeout"])
            except AwsError as error:
                errors[entry["Id"]] = error
            else:
                valid.append(entry)
        changes = [(entry["ReceiptHandle"], entry["VisibilityTimeout"]) for entry in valid]
        outcomes = await messages.change_visibility(queue, changes) if changes else []
        errors.update(zip([entry["Id"] for entry in valid], outcomes, strict=True))
        return _outcome(entries, [errors[entry["Id"]] for entry in entries])

    return [
        Operation(service=SQS, name="DeleteMessage", handler=delete_message, enforced=["QueueUrl", "ReceiptHandle"]),
        Operation(
            service=SQS, name="DeleteMessageBatch", handler=delete_message_batch, enforced=["QueueUrl", "Entries"]
        ),
        Operation(
            service=SQS,
            name="ChangeMessageVisibility",
            handler=change_visibility,
            enforced=["QueueUrl", "ReceiptHandle", "VisibilityTimeout"],
        ),
        Operation(
            service=SQS,
            name="ChangeMessageVisibilityBatch",
            handler=change_visibility_batch,
            enforced=["QueueUrl", "Entries"],
        ),
    ]


def _raise(errors: Sequence[AwsError | None]) -> None:
    for error in errors:
        if error is not None:
            raise error


def _outcome(entries: Sequence[batches.Entry], errors: Sequence[AwsError | None]) -> dict[str, Any]:
    successful, failed = [], []
    for entry, error in zip(entries, errors, strict=True):
        if error is None:
            successful.append({"Id": entry["Id"]})
        else:
            failed.append(batches.failure(entry["Id"], error))
    return batches.outcome(successful, failed)
