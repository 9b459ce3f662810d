"""What AWS answers to requests that cannot be read, before any service sees them."""

from __future__ import annotations

from lambent.core.errors import AwsError


class SerializationError(AwsError):
    """A JSON body that is not JSON, or holds a value of the wrong type (AWS JSON protocols, rest-json)."""

    code = "SerializationException"


class MalformedInput(AwsError):
    """A query-protocol parameter that cannot be read."""

    code = "MalformedInput"


class MalformedXml(AwsError):
    """An XML body that is not well formed or does not fit the schema."""

    code = "MalformedXML"

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message or "The XML you provided was not well-formed or did not validate against our published schema"
        )


class InvalidAction(AwsError):
    """A query request for an action that the service does not have."""

    code = "InvalidAction"


class Unreadable(Exception):
    """Raised inside the parsers; `parse` turns it into the protocol's own error."""


class InvalidArgument(AwsError):
    """A header, label or query parameter of a rest-xml request that cannot be read (S3 API Reference, error codes)."""

    code = "InvalidArgument"
