"""The public Runtime API, 2018-06-01, for custom runtimes and official runtime clients.

AWS documentation, "Using the Lambda runtime API for custom runtimes"; statuses and error texts are those of AWS's own
server.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Mapping

import msgspec

from lambent.core import limits
from lambent.sandbox import failures
from lambent.sandbox.failures import Failure
from lambent.sandbox.http_connection import BodySink, Discard, HttpConnection, Request, WholeBody
from lambent.sandbox.lifecycle import InvalidTransition, RuntimeState
from lambent.sandbox.protocol import Invocation
from lambent.sandbox.session import InvalidRequestId, Session

ADDRESS_VARIABLE = "AWS_LAMBDA_RUNTIME_API"
BASE = "/2018-06-01"
INVOCATION = re.compile(BASE + r"/runtime/invocation/([^/]+)/(response|error)")
_ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")
_OK = b'{"status":"OK"}\n'
_ERROR_TYPE_HEADER = "lambda-runtime-function-error-type"
_ERROR_BODY_TRAILER = "lambda-runtime-function-error-body"
_MODE_HEADER = "lambda-runtime-function-response-mode"


def error_type(reported: str) -> str:
    """The error type that counts, of what a runtime put into the header."""
    if _ERROR_TYPE.fullmatch(reported):
        return reported
    return "Function.Unknown" if reported.startswith("Function.") else "Runtime.Unknown"


def error_type_of(request: Request) -> str:
    """The error type that counts, of a request that reports an error."""
    return error_type(request.header(_ERROR_TYPE_HEADER))


class RuntimeApi:
    """Implements `session.Transport` as a service of an `ApiServer` that the runtime polls.

    `invocation_id`, if any, goes with the event: clients that know the header send it back with the answer.
    """

    def __init__(self, session: Session, invocation_id: str = "") -> None:
        self._session = session
        self.invocation_id = invocation_id
        self._connections: set[HttpConnection] = set()
        self._polls: list[HttpConnection] = []
        self._undelivered: Invocation | None = None
        self._current: Invocation | None = None
        self._streaming: HttpConnection | None = None
        self._all_closed: asyncio.Future[None] | None = None

    # session.Transport

    def deliver(self, invocation: Invocation) -> None:
        self._session.dispatched(invocation)
        self._current = invocation
        if self._polls:
            self._send(self._polls.pop(), invocation)
        else:
            self._undelivered = invocation

    def resume(self) -> None:
        if self._streaming is not None:
            self._streaming.resume()

    async def wait_closed(self) -> None:
        if self._connections:
            self._all_closed = asyncio.get_running_loop().create_future()
            await self._all_closed

    def close(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    # http_connection.Service

    def connected(self, connection: HttpConnection) -> None:
        self._connections.add(connection)

    def disconnected(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        if connection in self._polls:
            self._polls.remove(connection)
        if not self._connections and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)

    def request(self, connection: HttpConnection, request: Request) -> BodySink:
        method, path = request.method, request.path
        if method == "GET" and path == BASE + "/runtime/invocation/next":
            return self._next(connection)
        if method == "POST" and (match := INVOCATION.fullmatch(path)):
            if match[2] == "response":
                return self._response(connection, request, match[1])
            return self._error(connection, request, match[1])
        if method == "POST" and path == BASE + "/runtime/init/error":
            return self._init_error(connection, request)
        if method == "GET" and path in ("/ping", BASE + "/ping"):
            connection.respond(200, b"pong", "text/plain")
        else:
            connection.respond(404, b"404 page not found\n", "text/plain; charset=utf-8")
        return Discard()

    def _next(self, connection: HttpConnection) -> BodySink:
        if self._undelivered is not None and self._session.state is RuntimeState.RUNNING:
            # The poll that was to get this event broke; the event has waited for the next one.
            invocation, self._undelivered = self._undelivered, None
            self._send(connection, invocation)
            return Discard()
        self._polls.append(connection)
        try:
            self._session.ready()
        except InvalidTransition as error:
            self._polls.remove(connection)
            refuse(connection, 403, "InvalidStateTransition", str(error))
        return Discard()

    def _send(self, connection: HttpConnection, invocation: Invocation) -> None:
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.invoked_function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
            "Lambda-Runtime-Client-Context": invocation.client_context,
            "Lambda-Runtime-Cognito-Identity": invocation.cognito_identity,
            "Lambda-Runtime-Aws-Tenant-Id": invocation.tenant_id,
            "Lambda-Runtime-Invocation-Id": self.invocation_id,
        }
        connection.respond(200, invocation.payload, headers={name: value for name, value in headers.items() if value})

    def _admit(self, connection: HttpConnection, request_id: str, begin: Callable[[], None]) -> bool:
        """Whether an answer to `request_id` may come in; it has been refused when not."""
        try:
            self._session.check(request_id)
            begin()
        except InvalidRequestId:
            refuse(connection, 400, "InvalidRequestID", "Invalid request ID")
            return False
        except InvalidTransition as error:
            refuse(connection, 403, "InvalidStateTransition", str(error))
            return False
        return True

    def _response(self, connection: HttpConnection, request: Request, request_id: str) -> BodySink:
        if not self._admit(connection, request_id, self._session.begin_response):
            return Discard()
        mode = request.header(_MODE_HEADER).lower()
        content_type = request.header("content-type", "application/json")
        if mode == "streaming":
            self._session.stream_begun(content_type)
            self._streaming = connection
            return _Streamed(self, connection, request_id)
        if mode:
            self.fail(request_id, failures.invalid_response_mode())
            refuse(connection, 400, "InvalidFunctionResponseMode", "Invalid function response mode")
            return Discard()
        return _Buffered(self, connection, request_id, lambda body: self._session.answered(content_type, body))

    def _error(self, connection: HttpConnection, request: Request, request_id: str) -> BodySink:
        if not self._admit(connection, request_id, self._session.begin_error):
            return Discard()
        kind = error_type_of(request)
        return _Buffered(self, connection, request_id, lambda body: self._session.failed(kind, body))

    def break_stream(self, connection: HttpConnection, request: Request) -> BodySink:
        """An error for an event whose answer is being streamed on another connection: the stream ends with it."""
        kind = error_type_of(request)

        def complete(body: bytes | None) -> None:
            if not self._session.streaming:
                refuse(connection, 400, "InvalidRequestID", "Invalid request ID")
                return
            accept(connection)
            self._session.failed(kind, body if body is not None else failures.too_large())

        return WholeBody(limits.LAMBDA_RESPONSE_BYTES, complete)

    def _init_error(self, connection: HttpConnection, request: Request) -> BodySink:
        if self._session.state is not RuntimeState.STARTED:
            refusal = InvalidTransition(self._session.state, RuntimeState.INIT_ERROR)
            refuse(connection, 403, "InvalidStateTransition", str(refusal))
            return Discard()
        kind = error_type_of(request)
        return _Buffered(self, connection, "", lambda body: self._session.init_failed(kind, body))

    # For the sinks.

    @property
    def session(self) -> Session:
        return self._session

    def fail(self, request_id: str, failure: Failure) -> None:
        """The answer that was coming in is none."""
        if self._session.state in (RuntimeState.RESPONSE, RuntimeState.ERROR_RESPONSE):
            self._session.failed(failure.error_type, failure.body(request_id))

    def stream_over(self) -> None:
        self._streaming = None


class _Buffered:
    """A body that is taken as a whole."""

    def __init__(
        self, api: RuntimeApi, connection: HttpConnection, request_id: str, complete: Callable[[bytes], None]
    ) -> None:
        self._api = api
        self._connection = connection
        self._request_id = request_id
        self._complete = complete
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def data(self, data: bytes) -> bool:
        self._size_bytes += len(data)
        if self._size_bytes > limits.LAMBDA_RESPONSE_BYTES:
            self._parts.clear()  # what is too large is read to its end and thrown away
        else:
            self._parts.append(data)
        return True

    def end(self, trailers: Mapping[str, bytes]) -> None:
        session = self._api.session
        if session.state is RuntimeState.EXITED:
            return
        # Answered first: completing may end the runtime, and with it this connection.
        if self._size_bytes > limits.LAMBDA_RESPONSE_BYTES and self._request_id:
            refuse(self._connection, 413, "RequestEntityTooLarge", _TOO_LARGE)
            session.failed(failures.TOO_LARGE, failures.too_large())
            return
        accept(self._connection)
        try:
            self._complete(b"".join(self._parts))
        except InvalidTransition:
            # Two init errors at once on two connections: the first one counts.
            return

    def aborted(self) -> None:
        if self._request_id:
            self._api.fail(self._request_id, failures.truncated())


class _Streamed:
    """A body that is passed on as it comes."""

    def __init__(self, api: RuntimeApi, connection: HttpConnection, request_id: str) -> None:
        self._api = api
        self._connection = connection
        self._request_id = request_id

    def data(self, data: bytes) -> bool:
        # An event that was ended from another side: the rest is read and thrown away.
        return not self._api.session.streaming or self._api.session.stream_chunk(data)

    def end(self, trailers: Mapping[str, bytes]) -> None:
        self._api.stream_over()
        session = self._api.session
        if session.state is not RuntimeState.RESPONSE:
            refuse(self._connection, 400, "InvalidRequestID", "Invalid request ID")
            return
        accept(self._connection)
        reported = trailers.get(_ERROR_TYPE_HEADER)
        if reported is None:
            session.stream_ended()
        else:
            session.failed(error_type(reported.decode("latin-1")), _decode(trailers.get(_ERROR_BODY_TRAILER, b"")))

    def aborted(self) -> None:
        self._api.stream_over()
        self._api.fail(self._request_id, failures.truncated())


_TOO_LARGE = f"Exceeded maximum allowed payload size ({limits.LAMBDA_RESPONSE_BYTES} bytes)."


def _decode(body: bytes) -> bytes:
    """A trailer's error JSON, which is base64; as it is when it is not."""
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return body


def accept(connection: HttpConnection) -> None:
    """Say that what was posted has been taken in."""
    connection.respond(202, _OK)


def refuse(connection: HttpConnection, status: int, kind: str, message: str) -> None:
    """Answer a request with an error as AWS's server words it."""
    connection.respond(status, msgspec.json.encode({"errorMessage": message, "errorType": kind}) + b"\n")
