"""The Telemetry API, 2022-07-01, and the older Logs API, 2020-08-15, over HTTP: how extensions subscribe."""

from __future__ import annotations

from typing import Final

from lambent.sandbox import telemetry_subscription
from lambent.sandbox.extensions import Extensions, Refused
from lambent.sandbox.extensions_api import IDENTIFIER_HEADER, refuse
from lambent.sandbox.http_connection import BodySink, Discard, HttpConnection, Request, WholeBody
from lambent.sandbox.telemetry import Telemetry
from lambent.sandbox.telemetry_subscription import ValidationError

TELEMETRY_VERSION: Final = "/2022-07-01"
LOGS_VERSION: Final = "/2020-08-15"
_MAX_BODY_BYTES: Final = 1 << 16


class TelemetryApi:
    """Implements `http_connection.Service` for both versions."""

    def __init__(self, extensions: Extensions, telemetry: Telemetry, *, managed: bool) -> None:
        self._extensions = extensions
        self._telemetry = telemetry
        self._managed = managed

    def connected(self, connection: HttpConnection) -> None:
        return

    def disconnected(self, connection: HttpConnection) -> None:
        return

    def request(self, connection: HttpConnection, request: Request) -> BodySink:
        logs_api = request.path == LOGS_VERSION + "/logs"
        if request.method != "PUT" or not (logs_api or request.path == TELEMETRY_VERSION + "/telemetry"):
            connection.respond(404, b"404 page not found\n", "text/plain; charset=utf-8")
            return Discard()
        name = "Logs" if logs_api else "Telemetry"
        try:
            extension = self._extensions.find(request.header(IDENTIFIER_HEADER))
            if not self._telemetry.open:
                raise Refused(f"{name}.SubscriptionClosed", f"{name} API subscription is closed")
            if logs_api and self._managed:
                raise Refused("Logs.NotSupported", "Logs API is not supported on managed instances")
        except Refused as refused:
            refuse(connection, 403, refused.error_type, str(refused))
            return Discard()

        def subscribe(body: bytes | None) -> None:
            try:
                if body is None:
                    raise ValidationError("the request body is too large")
                wanted = telemetry_subscription.parse(body, logs_api=logs_api, managed=self._managed)
            except ValidationError as error:
                refuse(connection, 400, "ValidationError", str(error))
                return
            self._telemetry.subscribe(extension.name, wanted)
            connection.respond(200, b'"OK"')

        return WholeBody(_MAX_BODY_BYTES, subscribe)
