"""The errors of SQS, by their modelled names; the edge adds the query protocol's codes (SQS API reference)."""

from __future__ import annotations

from typing import NoReturn

from lambent.core.errors import AwsError


class QueueDoesNotExist(AwsError):
    """There is no such queue, or the caller may not learn whether there is."""

    code = "QueueDoesNotExist"
    query_message = "The specified queue does not exist for this wsdl version."

    def __init__(self) -> None:
        super().__init__("The specified queue does not exist.")


class QueueNameExists(AwsError):
    """The name is taken by a queue with other attributes."""

    code = "QueueNameExists"


class QueueDeletedRecently(AwsError):
    """A queue of this name was deleted less than a minute ago (only under the strict profile)."""

    code = "QueueDeletedRecently"

    def __init__(self) -> None:
        super().__init__(
            "You must wait 60 seconds after deleting a queue before you can create another with the same name."
        )


class InvalidParameterValue(AwsError):
    """A parameter's value makes no sense. Not in the model, and yet what SQS answers."""

    code = "InvalidParameterValueException"
    query_code = "InvalidParameterValue"


class MissingParameter(AwsError):
    """A parameter that must be there is not. Not in the model either."""

    code = "MissingRequiredParameterException"
    query_code = "MissingParameter"

    def __init__(self, name: str) -> None:
        super().__init__(f"The request must contain the parameter {name}.")


class InvalidAttributeName(AwsError):
    code = "InvalidAttributeName"


class InvalidAttributeValue(AwsError):
    code = "InvalidAttributeValue"


class InvalidMessageContents(AwsError):
    """Characters that XML does not have."""

    code = "InvalidMessageContents"

    def __init__(self) -> None:
        super().__init__(INVALID_CHARACTERS)


class ReceiptHandleIsInvalid(AwsError):
    """Not a handle, or one of another queue."""

    code = "ReceiptHandleIsInvalid"

    def __init__(self, handle: str) -> None:
        super().__init__(f'The input receipt handle "{handle[:1024]}" is not a valid receipt handle.')


class MessageNotInflight(AwsError):
    code = "MessageNotInflight"


class EmptyBatchRequest(AwsError):
    code = "EmptyBatchRequest"


class TooManyEntriesInBatchRequest(AwsError):
    code = "TooManyEntriesInBatchRequest"


class BatchEntryIdsNotDistinct(AwsError):
    code = "BatchEntryIdsNotDistinct"


class InvalidBatchEntryId(AwsError):
    code = "InvalidBatchEntryId"


class BatchRequestTooLong(AwsError):
    code = "BatchRequestTooLong"


class PurgeQueueInProgress(AwsError):
    code = "PurgeQueueInProgress"
    status = 403


class OverLimit(AwsError):
    code = "OverLimit"
    status = 403


class UnsupportedOperation(AwsError):
    code = "UnsupportedOperation"


class ResourceNotFound(AwsError):
    code = "ResourceNotFoundException"
    status = 404


class InvalidAddress(AwsError):
    """A queue URL that is none."""

    code = "InvalidAddress"

    def __init__(self, url: str) -> None:
        super().__init__(f"The address {url[:512]} is not valid for this endpoint.")


class AccessDenied(AwsError):
    """No policy lets the caller do this to the queue, or one forbids it."""

    code = "AccessDenied"
    status = 403

    def __init__(self, action: str, resource: str) -> None:
        super().__init__(f"Access to the resource {resource} is denied: not authorized to perform: sqs:{action}")


INVALID_CHARACTERS = (
    "Invalid characters found. Valid unicode characters are "
    "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
)


def invalid_value(value: object, parameter: str, reason: str) -> InvalidParameterValue:
    """SQS's usual words for a value that it does not take."""
    return InvalidParameterValue(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def unknown_attribute(name: str) -> NoReturn:
    raise InvalidAttributeName(f"Unknown Attribute {name}.")
