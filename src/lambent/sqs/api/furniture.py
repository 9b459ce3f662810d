"""What the operations of SQS share: the service's declaration, the queue that a request means, required parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lambent.core.clock import Clock
from lambent.core.limits import MIB
from lambent.core.operations import Params, RequestContext, Service
from lambent.core.pagination import InvalidMarker, decode_marker
from lambent.sqs import access
from lambent.sqs.errors import InvalidParameterValue, MissingParameter, invalid_value
from lambent.sqs.model import Caller, Callers, Queue
from lambent.sqs.names import key_of_url
from lambent.sqs.queues import Queues

# A mebibyte of messages is three of them where JSON or a form escapes every character; the rest is names.
SQS: Final = Service(name="sqs", validation_code=None, unsupported_code="UnsupportedOperation", max_body_bytes=8 * MIB)
PAGE_ITEMS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the operations work with."""

    queues: Queues
    callers: Callers
    clock: Clock

    async def queue(self, context: RequestContext, params: Params, action: str) -> tuple[Queue, Caller]:
        """The queue of `QueueUrl` and who asks. Raises MissingParameter, QueueDoesNotExist, AccessDenied."""
        queue = self.queues.require(key_of_url(required(params, "QueueUrl"), context.scope))
        caller = await self.callers.identify(context)
        access.check(queue, caller, action, self.clock)
        return queue, caller


def required(params: Params, name: str) -> Any:
    """A parameter that must be there, and not empty. Raises MissingParameter."""
    value = params.get(name)
    if value is None or value in ("", [], {}):
        raise MissingParameter(name)
    return value


def page_size(params: Params) -> int:
    """`MaxResults`, 1,000 where it is not given. Raises InvalidParameterValue."""
    limit: int = params.get("MaxResults", PAGE_ITEMS)
    if not 1 <= limit <= PAGE_ITEMS:
        raise invalid_value(limit, "MaxResults", f"MaxResults must be an integer between 1 and {PAGE_ITEMS}.")
    return limit


def page_start(list_name: str, params: Params) -> str:
    """The name after which the page starts. Raises InvalidParameterValue."""
    token = params.get("NextToken")
    if token is None:
        return ""
    if "MaxResults" not in params:
        raise InvalidParameterValue("Parameter MaxResults must be specified together with NextToken.")
    try:
        return decode_marker(list_name, token)
    except InvalidMarker:
        raise invalid_value(token[:128], "NextToken", "Invalid or expired next token.") from None
