"""How a room offers its AWS operations to the endpoint without knowing the endpoint.

A room's `api.py` returns `Operation`s. Each says what becomes of every parameter: *enforced* (has the
effect that it has on AWS), *simulated* (stored and answered; the note says what does not happen, and the
answer names it in `x-lambent-simulated`) or *rejected*. A parameter in neither list is rejected: nothing
that a newer service model brings can be accepted and ignored. `docs/compatibility.md` prints these tables.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Params = dict[str, Any]
"""Input members by their model names. Blobs are bytes, timestamps epoch seconds (float), a streaming blob
is an `AsyncIterator[bytes]`, structures are dicts, absent members are absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What every resource belongs to."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        if self.region.startswith("cn-"):
            return "aws-cn"
        if self.region.startswith("us-gov-"):
            return "aws-us-gov"
        return "aws"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """Who asks for what. `endpoint` is the base URL to put into answers, e.g. `http://localhost:4566`."""

    service: str
    operation: str
    scope: Scope
    request_id: str
    endpoint: str
    access_key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    received_at: float = 0.0  # epoch seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that sets more than output members. `status` None means the modelled success status."""

    output: Mapping[str, Any]
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Output = Mapping[str, Any] | Reply | None
"""Output members by their model names. A structure may be a `msgspec.Raw` that holds its JSON, for services that speak
JSON only. A payload blob may be bytes or an `AsyncIterator[bytes]`; an event
stream member is an `AsyncIterator` of one-member dicts."""

Handler = Callable[[RequestContext, Params], Awaitable[Output]]
Body = AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a parameter is refused, and the values (no-op defaults that tools send) that pass all the same."""

    reason: str
    harmless: Callable[[Any], bool] = lambda value: value in (None, [], {}, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the edge must know of a service beyond its botocore model.

    `validation_code` is the error code of model-constraint failures, None where the room words them itself (SQS, S3).
    `unsupported_code` is the code for rejected parameters. `error_members` are added to service-layer
    errors (Lambda: `Type: User`), never to constraint failures.
    """

    name: str
    validation_code: str | None = "ValidationException"
    unsupported_code: str = "ValidationException"
    error_members: Mapping[str, str] = field(default_factory=dict)
    max_body_bytes: int = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One AWS operation: its handler and the truth about its parameters.

    Paths name input members; a dot goes into structures (`Code.ImageUri`). A path covers what lies below it unless
    that is listed itself. `note` goes into the compatibility table.

    `own_validation` are constraint paths as AWS's errors spell them (`runtime`) whose rule the handler words itself;
    the edge skips the model's constraint there. `too_large` makes the error for a body over the limit, where the
    operation has its own.
    """

    service: Service
    name: str
    handler: Handler
    enforced: Sequence[str] = ()
    simulated: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, Rejection] = field(default_factory=dict)
    note: str = ""
    max_body_bytes: int | None = None  # overrides the service's
    own_validation: Sequence[str] = ()
    too_large: Callable[[], Exception] | None = None
