"""Answers that no service's model shapes: refusals at the gate, our own routes, services that are not served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from lambent.core.errors import AwsError, InternalFailure, NotImplementedOperation, UnknownOperation
from lambent.server.gate import Refusal
from lambent.server.protocol import cbor, rpc_v2_cbor
from lambent.server.wire import WireResponse


class MethodNotAllowed(AwsError):
    code = "MethodNotAllowed"
    status = 405

    def __init__(self) -> None:
        super().__init__("The specified method is not allowed against this resource.")


class S3NotImplemented(AwsError):
    code = "NotImplemented"
    status = 501


class S3InternalError(AwsError):
    code = "InternalError"
    status = 500

    def __init__(self) -> None:
        super().__init__("We encountered an internal error. Please try again.")


class ServiceException(AwsError):
    """Lambda's word for a fault of its own (Lambda API reference, common to all operations)."""

    code = "ServiceException"
    status = 500

    def __init__(self) -> None:
        super().__init__("An error occurred and the request cannot be processed.", members={"Type": "Service"})


class RequestEntityTooLarge(AwsError):
    code = "RequestEntityTooLargeException"
    status = 413

    def __init__(self, limit_bytes: int, operation: str) -> None:
        super().__init__(f"Request must be smaller than {limit_bytes} bytes for the {operation} operation")


class Refused(AwsError):
    """What the gate refuses is not AWS's business, so it has a code of its own."""

    code = "LambentRefusedException"
    status = 403


def internal_failure(service: str) -> AwsError:
    """How the service says that the fault is ours."""
    if service == "lambda":
        return ServiceException()
    if service == "s3":
        return S3InternalError()
    return InternalFailure("The request processing has failed because of an unknown error, exception or failure.")


def unknown_operation(service: str, asked: str) -> AwsError:
    """The request names nothing that the service's model has. `asked` is the target, or method and path."""
    if service == "s3":
        return MethodNotAllowed()
    return UnknownOperation(f"The service {service} has no operation {asked[:256]}.")


def not_implemented(service: str, operation: str) -> AwsError:
    """AWS has the operation, Lambent does not."""
    message = f"Lambent does not implement the operation {operation} of the service {service} yet."
    return S3NotImplemented(message) if service == "s3" else NotImplementedOperation(message)


def not_served(service: str | None, served: tuple[str, ...]) -> AwsError:
    if service is None:
        return UnknownOperation(
            "The request names no AWS service: nothing in its target, signature, host or path does."
        )
    return NotImplementedOperation(f"Lambent does not serve '{service}'. It serves: {', '.join(served)}.")


def refused(refusal: Refusal, *, request_id: str) -> WireResponse:
    return json_error(Refused(refusal.message), request_id=request_id)


def outside(error: AwsError, headers: Mapping[str, str], *, service: str | None, request_id: str) -> WireResponse:
    """An error where no service's model is at hand: XML for S3 and the query protocol, CBOR for RPC v2, else JSON."""
    if service == "s3":
        return _xml_error(error, request_id=request_id, bare=True)
    if "x-amz-target" not in headers and headers.get("content-type", "").startswith(
        "application/x-www-form-urlencoded"
    ):
        return _xml_error(error, request_id=request_id)
    if rpc_v2_cbor.spoken_in(headers):
        return _cbor_error(error, request_id=request_id)
    return json_error(error, request_id=request_id)


def json_response(value: Any, *, request_id: str, status: int = 200) -> WireResponse:
    """`value` as JSON, for our own routes."""
    headers = [("Content-Type", "application/json"), ("x-amzn-RequestId", request_id)]
    return WireResponse(status=status, headers=headers, body=msgspec.json.encode(value))


def json_error(error: AwsError, *, request_id: str) -> WireResponse:
    """An error that every JSON client understands: the code in the body and in the header."""
    headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-RequestId", request_id),
        ("x-amzn-ErrorType", error.code),
    ]
    body = {"__type": error.code, "message": error.message, **error.members}
    return WireResponse(status=error.status, headers=headers, body=msgspec.json.encode(body))


def _cbor_error(error: AwsError, *, request_id: str) -> WireResponse:
    headers = [
        ("Content-Type", "application/cbor"),
        (rpc_v2_cbor.HEADER, rpc_v2_cbor.HEADER_VALUE),
        ("x-amzn-RequestId", request_id),
    ]
    body = {"__type": error.code, "message": error.message, **error.members}
    return WireResponse(status=error.status, headers=headers, body=cbor.encode(body))


def _xml_error(error: AwsError, *, request_id: str, bare: bool = False) -> WireResponse:
    fault = "Sender" if error.sender_fault else "Receiver"
    code, message = escape(error.query_code or error.code), escape(error.message)
    if bare:
        text = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId></Error>"
    else:
        text = (
            f"<ErrorResponse><Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)]
    return WireResponse(status=error.status, headers=headers, body=text.encode())
