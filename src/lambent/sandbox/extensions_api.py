"""The Extensions API, 2020-01-01, over HTTP. Statuses and error texts are those of AWS's own server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from lambent.core import ids
from lambent.sandbox.extensions import Extension, Extensions, ExtensionState, Refused
from lambent.sandbox.http_connection import BodySink, Discard, HttpConnection, Request, WholeBody
from lambent.sandbox.protocol import EnvironmentSpec

VERSION: Final = "/2020-01-01"
BASE: Final = VERSION + "/extension"
IDENTIFIER_HEADER: Final = "lambda-extension-identifier"
_ERROR_TYPE_HEADER: Final = "lambda-extension-function-error-type"
_OK: Final = b'{"status":"OK"}\n'
_MAX_BODY_BYTES: Final = 1 << 20
_ERRORS: Final = {"/init/error": ExtensionState.INIT_ERROR, "/exit/error": ExtensionState.EXIT_ERROR}


class _Registration(msgspec.Struct, frozen=True):
    events: tuple[str, ...] = ()


class ExtensionsApi:
    """Implements `http_connection.Service` for the extensions of one init."""

    def __init__(self, spec: EnvironmentSpec, extensions: Extensions) -> None:
        self._spec = spec
        self._extensions = extensions
        self._polls: dict[HttpConnection, tuple[Extension, Callable[[bytes], None]]] = {}

    def connected(self, connection: HttpConnection) -> None:
        return

    def disconnected(self, connection: HttpConnection) -> None:
        poll = self._polls.pop(connection, None)
        if poll is not None:
            self._extensions.forget_poll(*poll)

    def request(self, connection: HttpConnection, request: Request) -> BodySink:
        path = request.path.removeprefix(BASE)
        try:
            if request.method == "POST" and path == "/register":
                return WholeBody(_MAX_BODY_BYTES, lambda body: self._register(connection, request, body))
            if request.method == "GET" and path == "/event/next":
                self._next(connection, self._extensions.find(request.header(IDENTIFIER_HEADER)))
            elif request.method == "POST" and path in _ERRORS:
                self._failed(connection, request, _ERRORS[path])
            else:
                connection.respond(404, b"404 page not found\n", "text/plain; charset=utf-8")
        except Refused as refused:
            refuse(connection, 403, refused.error_type, str(refused))
        return Discard()

    def _register(self, connection: HttpConnection, request: Request, body: bytes | None) -> None:
        try:
            wanted = msgspec.json.decode(body or b"", type=_Registration)
        except msgspec.DecodeError as error:
            refuse(connection, 403, "InvalidRequestFormat", str(error))
            return
        try:
            extension = self._extensions.register(request.header("lambda-extension-name"), wanted.events)
        except Refused as refused:
            refuse(connection, 403, refused.error_type, str(refused))
            return
        answer = {
            "functionName": self._spec.function_name,
            "functionVersion": self._spec.function_version,
            "handler": self._spec.handler,
        }
        features = request.header("lambda-extension-accept-feature").split(",")
        if "accountId" in map(str.strip, features):
            answer["accountId"] = self._spec.account
        headers = {"Lambda-Extension-Identifier": extension.identifier}
        connection.respond(200, msgspec.json.encode(answer), headers=headers)

    def _next(self, connection: HttpConnection, extension: Extension) -> None:
        def reply(event: bytes) -> None:
            self._polls.pop(connection, None)
            connection.respond(200, event, headers={"Lambda-Extension-Event-Identifier": ids.new_uuid()})

        self._polls[connection] = (extension, reply)
        try:
            self._extensions.next(extension, reply)
        except Refused:
            del self._polls[connection]
            raise

    def _failed(self, connection: HttpConnection, request: Request, state: ExtensionState) -> None:
        extension = self._extensions.find(request.header(IDENTIFIER_HEADER))
        error_type = request.header(_ERROR_TYPE_HEADER)
        if not error_type:
            raise Refused("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
        self._extensions.failed(extension, state, error_type)
        connection.respond(202, _OK)


def refuse(connection: HttpConnection, status: int, kind: str, message: str) -> None:
    """Answer with an error in the shape that all these APIs have."""
    connection.respond(status, msgspec.json.encode({"errorMessage": message, "errorType": kind}) + b"\n")
