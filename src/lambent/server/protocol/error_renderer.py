"""Errors as each protocol and service puts them on the wire."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.core.errors import AwsError, ValidationError
from lambent.core.operations import Service
from lambent.server.protocol.faults import SerializationError
from lambent.server.protocol.operation import CompiledOperation
from lambent.server.protocol.service import CompiledService
from lambent.server.wire import WireResponse


def render_error(
    service: CompiledService,
    protocol: str,
    error: AwsError,
    *,
    request_id: str,
    operation: CompiledOperation | None,
    service_decl: Service | None,
) -> WireResponse:
    """The response to a request that failed. `operation` and `service_decl` are None where they are not known yet.

    Constraint failures take the service's own code for them. Neither they nor requests that could not be read get the
    members that the service's own errors carry (Lambda: `Type`). Responses to HEAD have no body.
    """
    code = error.code
    members: dict[str, Any] = dict(error.members)
    if service_decl is not None:
        if isinstance(error, ValidationError):
            code = service_decl.validation_code or code
        elif not isinstance(error, SerializationError):
            members = {**service_decl.error_members, **members}
    shape = service.error_shape(code)
    if error.query_code is not None:
        query_code = error.query_code
    elif shape is not None and shape.definition.error is not None and shape.definition.error.code:
        query_code = shape.definition.error.code
    else:
        query_code = code
    response = service.dialect(protocol).render_error(
        error, code=code, query_code=query_code, shape=shape, members=members, request_id=request_id
    )
    if operation is not None and operation.method == "HEAD":
        headers = [line for line in response.headers if line[0] != "Content-Type"]
        return msgspec.structs.replace(response, headers=headers, body=b"")
    return response
