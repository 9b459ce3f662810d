"""What an invoke means for the messages of its batch, pure.

Lambda developer guide, "Handling errors for an SQS event source", with "Success and failure conditions":

| with ReportBatchItemFailures the answer is                                      | then        |
| ------------------------------------------------------------------------------- | ----------- |
| null, `{}`, an empty or null `batchItemFailures`, or something that is no object | all succeed |
| a list of identifiers of the batch                                              | those fail  |
| no JSON; an entry without `itemIdentifier`, or with one that is null, empty or of no message of the batch | all fail |

Without it the answer is not looked at. What failed is left to its visibility timeout, which nobody shortens.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

import msgspec

_decode: Final = msgspec.json.Decoder().decode
_FAILURES: Final = "batchItemFailures"
_IDENTIFIER: Final = "itemIdentifier"


class Invoked(Enum):
    """How an invoke ended."""

    ANSWERED = "answered"
    FUNCTION_ERROR = "function error"  # an exception, a timeout, an exit
    REFUSED = "refused"  # throttled, or the function cannot be invoked: it did not see the batch


class Verdict(Enum):
    """What became of a batch."""

    SUCCEEDED = "succeeded"
    PARTLY_FAILED = "partly failed"
    FAILED = "failed"
    MALFORMED = "malformed answer"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`succeeded` says for each message of the batch, in its order, whether it is to be deleted."""

    verdict: Verdict
    succeeded: tuple[bool, ...]
    reason: str = ""

    @property
    def failed(self) -> int:
        """How many messages come back."""
        return self.succeeded.count(False)


def judge(message_ids: Sequence[str], invoked: Invoked, answer: bytes, *, reports_failures: bool) -> Result:
    """The result of a batch of these messages; `answer` is what the function returned."""
    if invoked is not Invoked.ANSWERED:
        return _all_failed(message_ids, Verdict.FAILED, invoked.value)
    if not reports_failures or not answer.strip():
        return _all_succeeded(message_ids)
    try:
        decoded = _decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _all_failed(message_ids, Verdict.MALFORMED, "the answer is not JSON")
    failures = decoded.get(_FAILURES) if isinstance(decoded, dict) else None
    if failures is None:
        return _all_succeeded(message_ids)
    if not isinstance(failures, list):
        return _all_failed(message_ids, Verdict.MALFORMED, f"{_FAILURES} is no list")
    return _reported(message_ids, failures)


def _reported(message_ids: Sequence[str], failures: list[Any]) -> Result:
    known = frozenset(message_ids)
    failed = set()
    for entry in failures:
        identifier = entry.get(_IDENTIFIER) if isinstance(entry, dict) else None
        if not isinstance(identifier, str) or not identifier:
            return _all_failed(message_ids, Verdict.MALFORMED, f"an entry of {_FAILURES} has no {_IDENTIFIER}")
        if identifier not in known:
            return _all_failed(message_ids, Verdict.MALFORMED, f"{identifier[:100]} is no message of the batch")
        failed.add(identifier)
    if not failed:
        return _all_succeeded(message_ids)
    succeeded = tuple(message_id not in failed for message_id in message_ids)
    return Result(verdict=Verdict.PARTLY_FAILED, succeeded=succeeded, reason="the function named what failed")


def _all_succeeded(message_ids: Sequence[str]) -> Result:
    return Result(verdict=Verdict.SUCCEEDED, succeeded=(True,) * len(message_ids))


def _all_failed(message_ids: Sequence[str], verdict: Verdict, reason: str) -> Result:
    return Result(verdict=verdict, succeeded=(False,) * len(message_ids), reason=reason)
