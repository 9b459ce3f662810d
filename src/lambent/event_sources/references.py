"""Which queue and which function a request means.

Documentation, and so many a first try, uses account numbers that are none (`arn:aws:sqs:us-east-1:123456789:q`). Where
Lambent need not answer as AWS does, a number that is too short to be an account's stands for the caller's own.
"""

from __future__ import annotations

import re
from typing import Final

from lambent.core.arns import Arn
from lambent.core.operations import Scope
from lambent.event_sources.errors import InvalidParameterValue, constraint

# The services that AWS's mappings read besides queues.
_OTHER_SOURCES: Final = {
    "kinesis": "Kinesis streams",
    "dynamodb": "DynamoDB streams",
    "kafka": "Kafka topics",
    "mq": "brokers of Amazon MQ",
    "rds": "DocumentDB change streams",
}
_SHORT_ACCOUNT: Final = re.compile(r"(?P<head>arn:[^:]*:(?:sqs|lambda):[^:]*:|(?=[0-9]+:))[0-9]{1,11}(?P<rest>:.*)")
# The service model's own text, for the constraint error.
_ARN_TEXT: Final = (
    r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)"
)
_ARN: Final = re.compile(_ARN_TEXT, re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
UNRECOGNIZED: Final = "Unrecognized event source."


def own_account(scope: Scope, text: str) -> str:
    """An ARN or partial ARN whose account number is too short, with the caller's in its place; others as they are."""
    match = _SHORT_ACCOUNT.fullmatch(text)
    return text if match is None else f"{match['head']}{scope.account}{match['rest']}"


def check_arn(text: str) -> None:
    """Raises ValidationError for an EventSourceArn that is no ARN."""
    if not _ARN.fullmatch(text):
        raise constraint(text, "eventSourceArn", f"Member must satisfy regular expression pattern: {_ARN_TEXT}")


def queue_arn(scope: Scope, text: str | None) -> str:
    """Check an EventSourceArn. Raises InvalidParameterValue for what is no queue here, ValidationError for no ARN."""
    if not text:
        raise InvalidParameterValue(UNRECOGNIZED)
    check_arn(text)
    parsed = Arn.parse(text)
    if parsed.service in _OTHER_SOURCES:
        raise InvalidParameterValue(
            f"Lambent does not support {_OTHER_SOURCES[parsed.service]} as event sources yet, only SQS queues."
        )
    if parsed.service != "sqs" or not parsed.account or not _NAME.fullmatch(parsed.resource):
        raise InvalidParameterValue(UNRECOGNIZED)
    if parsed.region != scope.region:
        raise InvalidParameterValue(
            f"The event source must be in the region of the function ('{scope.region}'), not in '{parsed.region}'."
        )
    return text
