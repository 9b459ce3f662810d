"""What the three batch operations check alike, before they look at an entry (SQS API reference, "SendMessageBatch")."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lambent.core.errors import AwsError
from lambent.core.limits import MIB
from lambent.sqs import sending
from lambent.sqs.errors import (
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InvalidBatchEntryId,
    MissingParameter,
    TooManyEntriesInBatchRequest,
)

MAX_ENTRIES: Final = 10
MAX_BATCH_BYTES: Final = MIB

_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")

Entry = Mapping[str, Any]


def check_entries(entries: Sequence[Entry | None] | None, kind: str, required: Sequence[str] = ()) -> list[Entry]:
    """The entries of a batch of `kind` (`DeleteMessageBatchRequestEntry`).

    Raises EmptyBatchRequest, TooManyEntriesInBatchRequest, MissingParameter, InvalidBatchEntryId and
    BatchEntryIdsNotDistinct.
    """
    if not entries:
        raise EmptyBatchRequest(f"There should be at least one {kind} in the request.")
    if len(entries) > MAX_ENTRIES:
        raise TooManyEntriesInBatchRequest(
            f"Maximum number of entries per request are {MAX_ENTRIES}. You have sent {len(entries)}."
        )
    found: dict[str, Entry] = {}
    for number, given in enumerate(entries, 1):
        entry = given or {}
        for name in ("Id", *required):
            if entry.get(name) is None:
                raise MissingParameter(f"{kind}.{number}.{name}")
        entry_id = entry["Id"]
        if not _ID.fullmatch(entry_id):
            raise InvalidBatchEntryId(
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long."
            )
        if entry_id in found:
            raise BatchEntryIdsNotDistinct(f"Id {entry_id} repeated.")
        found[entry_id] = entry
    return list(found.values())


def check_total(entries: Sequence[Entry]) -> None:
    """Raise BatchRequestTooLong for messages that are over the limit together."""
    total = sum(sending.size_bytes(entry) for entry in entries)
    if total > MAX_BATCH_BYTES:
        raise BatchRequestTooLong(
            f"Batch requests cannot be longer than {MAX_BATCH_BYTES} bytes. You have sent {total} bytes."
        )


def failure(entry_id: str, error: AwsError) -> dict[str, Any]:
    """One element of `Failed`; codes there are those of the query protocol."""
    return {
        "Id": entry_id,
        "Code": error.query_code or _QUERY_CODES.get(error.code, error.code),
        "Message": error.message,
        "SenderFault": error.sender_fault,
    }


def outcome(successful: list[dict[str, Any]], failed: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch's answer: a list that is empty is not there."""
    output: dict[str, Any] = {}
    if successful:
        output["Successful"] = successful
    if failed:
        output["Failed"] = failed
    return output


_QUERY_CODES: Final[Mapping[str, str]] = {
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}
