"""Lambent's own routes: what the command line, people and health checks ask, beside the AWS APIs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
import psutil

from lambent import __version__
from lambent.core.clock import Clock
from lambent.core.config import DEFAULT_ACCOUNT, DEFAULT_REGION, ServerConfig
from lambent.core.errors import AwsError, UserFacingError, ValidationError
from lambent.core.operations import Scope
from lambent.execution.engine import LocalEngine
from lambent.lambda_ import code_location
from lambent.logs.model import LogRecord
from lambent.logs.query import LogReader
from lambent.sandbox.local import ProcessSandbox
from lambent.server.answers import json_response
from lambent.server.http import Endpoint
from lambent.server.internal_routes import InternalRequest
from lambent.server.wire import WireResponse
from lambent.storage.backup import Folder, backup
from lambent.storage.blobs import BlobStore
from lambent.storage.group_commit import SqliteDatabase

_TAIL_EVENTS = 10_000
_STREAM_HEADERS = (("Content-Type", "application/x-ndjson"), ("Cache-Control", "no-store"))


class NotFound(AwsError):
    """There is nothing of this name."""

    code = "ResourceNotFoundException"
    status = 404


class InternalApi:
    """The handlers; `mount` puts them on the endpoint."""

    def __init__(
        self,
        *,
        config: ServerConfig,
        engine: LocalEngine,
        sandbox: ProcessSandbox,
        logs: LogReader,
        databases: Sequence[SqliteDatabase],
        blobs: BlobStore,
        folders: Sequence[Folder],
        signing_key: bytes,
        clock: Clock,
    ) -> None:
        self._config = config
        self._engine = engine
        self._sandbox = sandbox
        self._logs = logs
        self._databases = databases
        self._blobs = blobs
        self._folders = folders
        self._signing_key = signing_key
        self._clock = clock
        self._started_at = clock.now()
        self._process = psutil.Process()

    def mount(self, endpoint: Endpoint) -> None:
        endpoint.add_route("GET", "/_lambent/health", self.health, anonymous=True)
        endpoint.add_route("GET", "/_lambent/status", self.status)
        endpoint.add_route("GET", "/_lambent/runtimes", self.runtimes)
        endpoint.add_route("GET", "/_lambent/logs", self.logs)
        endpoint.add_route("POST", "/_lambent/backup", self.backup)
        # Whoever holds the URL may fetch the package: the token in it is signed and expires.
        endpoint.add_route("GET", f"{code_location.PATH_PREFIX}*", self.code, anonymous=True)

    async def health(self, request: InternalRequest) -> WireResponse:
        """Whether requests are answered; nothing that a stranger should not know."""
        return json_response({"status": "ok", "version": __version__}, request_id=request.request_id)

    async def status(self, request: InternalRequest) -> WireResponse:
        """What the server is doing, and what limits it."""
        config = self._config
        answer = {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": round(self._clock.now() - self._started_at, 1),
            "profile": "strict-aws" if config.strict_aws else "lambent",
            "isolation": config.isolation,
            "egress": config.egress if config.isolation == "sandbox" else "not limited",
            "signatures": "verified" if config.auth_file else "not verified (loopback only)",
            "data": str(config.data),
            "resident_memory_mb": round(self._process.memory_info().rss / 2**20, 1),
            "packages": {"stored_bytes": self._blobs.usage_bytes, "quota_bytes": self._blobs.quota_bytes},
            "execution": self._engine.status(),
        }
        return json_response(answer, request_id=request.request_id)

    async def runtimes(self, request: InternalRequest) -> WireResponse:
        """Which interpreter serves which AWS runtime: `[{runtime, path, version, exact, note}]`."""
        rows = []
        for row in await self._sandbox.runtimes_table():
            entry = asdict(row)
            status = entry.pop("status")
            strict = self._config.strict_runtimes
            note = {
                "exact": "",
                "native": "runs the package's own bootstrap",
                "nearest": "refused (--strict-runtimes)" if strict else "the nearest version found; not the real one",
                "missing": "no interpreter found",
            }[status]
            rows.append({**entry, "exact": status in ("exact", "native"), "note": note})
        return json_response(rows, request_id=request.request_id)

    async def logs(self, request: InternalRequest) -> WireResponse:
        """Lines of a function as JSON lines `{timestamp_ms, stream, message}`; `follow=1` goes on for ever.

        `function` is the name, `since_ms` epoch milliseconds; account and region default as for any request.
        """
        query = {name: values[-1] for name, values in parse_qs(request.incoming.query).items()}
        name = query.get("function")
        if not name:
            raise ValidationError("the parameter function is missing")
        since_ms = _integer(query, "since_ms")
        scope = Scope(account=query.get("account", DEFAULT_ACCOUNT), region=query.get("region", DEFAULT_REGION))
        group = query.get("group", f"/aws/lambda/{name}")
        if query.get("follow") == "1":
            lines = _lines(self._logs.follow(scope, group, since_ms=since_ms))
            return WireResponse(status=200, headers=_STREAM_HEADERS, body=lines)
        records = await self._logs.tail(scope, group, since_ms=since_ms, limit=_TAIL_EVENTS)
        if records is None:
            raise NotFound(f"{name} has written nothing yet: there is no log group {group}")
        return WireResponse(status=200, headers=_STREAM_HEADERS, body=b"".join(map(_line, records)))

    async def backup(self, request: InternalRequest) -> WireResponse:
        """Copy the data directory, as of one moment, to `{"target": DIR}` on this machine."""
        try:
            target = Path(msgspec.json.decode(request.body, type=dict[str, str])["target"])
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError) as error:
            raise ValidationError('the body must be {"target": "/a/new/or/empty/folder"}') from error
        if not target.is_absolute():
            raise ValidationError("target must be an absolute path on the server's machine")
        try:
            await backup(target, self._databases, self._blobs, folders=self._folders)
        except UserFacingError as error:
            raise ValidationError(str(error)) from error
        return json_response({"target": str(target)}, request_id=request.request_id)

    async def code(self, request: InternalRequest) -> WireResponse:
        """The package that a GetFunction or GetLayerVersion URL leads to."""
        try:
            sha256 = code_location.verify(self._signing_key, request.rest, self._clock.now())
            size_bytes = self._blobs.size_bytes(sha256)
        except (code_location.InvalidToken, KeyError) as error:
            raise NotFound("this link has expired or was never given out; ask GetFunction for another") from error
        headers = (
            ("Content-Type", "application/zip"),
            ("Content-Length", str(size_bytes)),
            ("x-amzn-RequestId", request.request_id),
        )
        return WireResponse(status=200, headers=headers, body=await self._blobs.read(sha256))


def _integer(query: dict[str, str], name: str) -> int:
    try:
        return int(query.get(name, "0"))
    except ValueError as error:
        raise ValidationError(f"{name} must be a number") from error


def _line(record: LogRecord) -> bytes:
    event = {"timestamp_ms": record.timestamp_ms, "stream": record.stream, "message": record.message}
    return msgspec.json.encode(event) + b"\n"


async def _lines(records: AsyncIterator[LogRecord]) -> AsyncIterator[bytes]:
    async for record in records:
        yield _line(record)
