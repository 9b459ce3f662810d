"""One operation, compiled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lambent.core.operations import Params
from lambent.server.protocol.constraints import Violation, violations_error
from lambent.server.protocol.rest_input import Parse
from lambent.server.protocol.rest_output import Render
from lambent.server.wire import WireRequest, WireResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledOperation:
    """The closures of an operation in one protocol.

    `streaming_input` says that `parse` wants the request's body as it comes (else complete bytes), `gzipped_input` that
    the body may come compressed.
    """

    service: str
    name: str
    protocol: str
    method: str
    streaming_input: bool
    gzipped_input: bool
    _parse: Parse
    _check: Callable[[Any], list[Violation] | None] | None
    _render: Render

    def parse(self, request: WireRequest, labels: Mapping[str, str]) -> Params:
        """The input members of a request. `labels` are those that the service's `route` found (else empty).

        Raises the protocol's AwsError for what cannot be read: SerializationException, MalformedInput, MalformedXML.
        """
        return self._parse(request, labels)

    def validate(self, params: Params, *, except_paths: Collection[str] = ()) -> None:
        """Check the model's constraints (required, length, range, pattern, enum).

        Raises ValidationError with AWS's texts. Violations at `except_paths` (`runtime`, `vpcConfig.subnetIds`) are
        left to the service, for members whose rule it words itself.
        """
        if self._check is None:
            return
        found = self._check(params)
        if found is not None:
            if except_paths:
                found = [violation for violation in found if violation.path not in except_paths]
            if found:
                raise violations_error(found)

    def render(
        self, output: Mapping[str, Any], *, request_id: str, status: int | None = None, headers: Mapping[str, str]
    ) -> WireResponse:
        """The response to a request that succeeded. `status` None is the modelled one.

        Raises UnknownOutputMember for members that the model does not have.
        """
        return self._render(output, request_id=request_id, status=status, headers=headers)
