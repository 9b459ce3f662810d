"""A Lambda room with real storage and a fake engine: functions are created through the operations."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from lambent.core.operations import Operation, Output, Reply, RequestContext, Scope
from lambent.execution.model import FunctionVersion, InvokeRequest, InvokeResult, ProvisionedStatus
from lambent.lambda_.api import aliases, code, concurrency, functions, invoke, provisioned, recursion, versions
from lambent.lambda_.api.furniture import Basics, Parts
from lambent.lambda_.concurrency import ReservedConcurrency
from lambent.lambda_.directory import Directory
from lambent.lambda_.errors import InvalidParameterValue
from lambent.lambda_.function_attachments import FunctionAttachments
from lambent.lambda_.invocation import Invoker
from lambent.lambda_.layer_resolver import ResolvedLayer
from lambent.lambda_.lifecycle import Lifecycle
from lambent.lambda_.migrations import MIGRATIONS
from lambent.lambda_.packages import ObjectMissing, Packages
from lambent.lambda_.provisioned import ProvisionedConcurrency
from lambent.sandbox.protocol import InvocationReport, StreamBroken
from lambent.storage.blobs import BlobStore
from lambent.storage.code_store import CodeStore
from lambent.storage.database import Database, Transaction
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock
from tests.unit.lambda_.room import SCOPE, counting_ids

ROLE = "arn:aws:iam::000000000000:role/r"
KEY = b"signing key"


def zipped(text: str = "def handler(event, context): return event", name: str = "h.py") -> bytes:
    """A package with one file; the same text gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


class FakeResult:
    """An answer that is all there."""

    def __init__(
        self,
        chunks: tuple[bytes, ...] = (b"{}",),
        *,
        function_error: str | None = None,
        broken: StreamBroken | None = None,
        log_tail: bytes = b"START\nEND\nREPORT\n",
    ) -> None:
        self._chunks = chunks
        self._broken = broken
        self._log_tail = log_tail
        self.function_error = function_error
        self.content_type = "application/json"
        self.streaming = broken is not None or len(chunks) != 1

    async def body(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._broken is not None:
            raise self._broken

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.body()])

    async def report(self) -> InvocationReport:
        return InvocationReport(
            duration_ms=1.0, billed_duration_ms=1, memory_mb=128, max_memory_used_mb=30, log_tail=self._log_tail
        )


def plain(value: Any) -> Any:
    """`value` with everything that is ready as JSON decoded."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


Answer = Callable[[FunctionVersion, InvokeRequest], Awaitable[InvokeResult]]


class FakeEngine:
    """Answers what `answer` says, by default the payload."""

    def __init__(self) -> None:
        self.invoked: list[tuple[FunctionVersion, InvokeRequest]] = []
        self.retired: list[str] = []
        self.reserved: dict[str, int | None] = {}
        self.provisioned: dict[str, int] = {}  # wanted, by version key
        self.available: dict[str, int] = {}
        self.answer: Answer = _echo

    async def invoke(self, function: FunctionVersion, request: InvokeRequest) -> InvokeResult:
        self.invoked.append((function, request))
        return await self.answer(function, request)

    def set_reserved_concurrency(self, function_arn: str, limit: int | None) -> None:
        self.reserved[function_arn] = limit

    def set_account_concurrency(self, scope: Scope, limit: int) -> None:
        raise AssertionError("not used here")

    def set_provisioned_concurrency(self, function: FunctionVersion, wanted: int) -> None:
        self.provisioned[function.key] = wanted
        if not wanted:
            del self.provisioned[function.key]

    def provisioned_concurrency(self, key: str) -> ProvisionedStatus | None:
        wanted = self.provisioned.get(key)
        if wanted is None:
            return None
        available = min(wanted, self.available.get(key, 0))
        status: Literal["READY", "IN_PROGRESS"] = "READY" if available == wanted else "IN_PROGRESS"
        return ProvisionedStatus(requested=wanted, available=available, in_use=0, status=status)

    def retire(self, key: str) -> None:
        self.provisioned.pop(key, None)
        self.retired.append(key)


async def _echo(function: FunctionVersion, request: InvokeRequest) -> InvokeResult:
    return FakeResult((request.payload,))


class FakeLayers:
    """Layer versions by ARN; removing one here deletes it."""

    def __init__(self) -> None:
        self.known: dict[str, ResolvedLayer] = {}

    def add(self, arn: str, *, sha256: str, unzipped_bytes: int = 10) -> str:
        self.known[arn] = ResolvedLayer(arn=arn, code_size=5, sha256=sha256, unzipped_bytes=unzipped_bytes)
        return arn

    def resolve(self, tx: Transaction, scope: Scope, arn: str) -> ResolvedLayer:
        if arn not in self.known:
            raise InvalidParameterValue(f"Layer version {arn} does not exist.")
        return self.known[arn]


class FakeObjects:
    """One bucket, `b`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def read(self, scope: Scope, bucket: str, key: str, version_id: str | None) -> bytes:
        if bucket != "b":
            raise ObjectMissing("NoSuchBucket", "The specified bucket does not exist")
        if key not in self.objects:
            raise ObjectMissing("NoSuchKey", "The specified key does not exist.")
        return self.objects[key]


class GatedCode:
    """The real code store, with a gate that holds back the completion of changes."""

    def __init__(self, store: CodeStore) -> None:
        self._store = store
        self.gate = asyncio.Event()
        self.gate.set()

    async def folder(self, sha256: str) -> Path:
        await self.gate.wait()
        return await self._store.folder(sha256)


class FunctionsRoom:
    """The operations on functions by name, and what stands behind them."""

    def __init__(self, database: Database, root: Path, *, blob_quota_bytes: int = 1 << 30) -> None:
        self.database = database
        self.clock = VirtualClock()
        self.engine = FakeEngine()
        self.layers = FakeLayers()
        self.objects = FakeObjects()
        self.blobs = BlobStore(root / "blobs", blob_quota_bytes)
        self.code_store = CodeStore(self.blobs, root / "code")
        self.code = GatedCode(self.code_store)
        self.random = 0.999
        new_id = counting_ids("id")
        self.directory = Directory(database)
        self.lifecycle = Lifecycle(
            database=database,
            code=self.code,
            directory=self.directory,
            engine=self.engine,
            clock=self.clock,
            new_id=new_id,
        )
        self.reserved = ReservedConcurrency(database, self.engine, account_limit=1000)
        self.provisioned = ProvisionedConcurrency(database, self.engine, self.clock, account_limit=1000)
        parts = Parts(
            basics=Basics(database=database, clock=self.clock, new_id=new_id),
            directory=self.directory,
            lifecycle=self.lifecycle,
            engine=self.engine,
            packages=Packages(blobs=self.blobs, code=self.code_store, objects=self.objects),
            layers=self.layers,
            attachments=FunctionAttachments(self.reserved, self.provisioned),
            signing_key=KEY,
        )
        invoker = Invoker(directory=self.directory, engine=self.engine, random=lambda: self.random)
        self.operations: dict[str, Operation] = {
            operation.name: operation
            for group in (
                functions.operations(parts),
                code.operations(parts),
                versions.operations(parts),
                aliases.operations(parts),
                concurrency.operations(self.reserved),
                provisioned.operations(self.provisioned),
                recursion.operations(parts.basics, self.directory),
                invoke.operations(invoker, self.clock, lambda: "0123456789abcdef0123456789abcdef"),
            )
            for operation in group
        }

    async def answer(self, operation: str, /, headers: Mapping[str, str] | None = None, **params: Any) -> Output:
        """Call a handler; what it returned."""
        context = RequestContext(
            service="lambda",
            operation=operation,
            scope=SCOPE,
            request_id="request-1",
            endpoint="http://localhost:4566",
            headers=headers or {},
        )
        return await self.operations[operation].handler(context, params)

    async def call(self, operation: str, /, **params: Any) -> Mapping[str, Any]:
        """Call a handler; its output members, those that are ready as JSON decoded."""
        output = await self.answer(operation, **params)
        members: Mapping[str, Any] = plain(output.output if isinstance(output, Reply) else output or {})
        return members

    async def begin_create(self, name: str = "f", /, *, code: str = "original", **params: Any) -> Mapping[str, Any]:
        """CreateFunction; its answer, Pending."""
        least = {"Role": ROLE, "Runtime": "python3.13", "Handler": "h.handler", "Code": {"ZipFile": zipped(code)}}
        return await self.call("CreateFunction", **{"FunctionName": name, **least, **params})

    async def create(self, name: str = "f", /, **params: Any) -> Mapping[str, Any]:
        """CreateFunction, and wait until it is active."""
        created = await self.begin_create(name, **params)
        await self.settled(name)
        return created

    async def update(self, name: str = "f", /, **params: Any) -> Mapping[str, Any]:
        """UpdateFunctionConfiguration, and wait until it is complete."""
        updated = await self.call("UpdateFunctionConfiguration", FunctionName=name, **params)
        await self.settled(name)
        return updated

    async def settled(self, name: str = "f", qualifier: str | None = None) -> Mapping[str, Any]:
        """As boto3's waiters: poll until no change is under way; the configuration."""
        while True:
            params = {"FunctionName": name} if qualifier is None else {"FunctionName": name, "Qualifier": qualifier}
            configuration = await self.call("GetFunctionConfiguration", **params)
            if configuration["State"] != "Pending" and configuration.get("LastUpdateStatus") != "InProgress":
                return configuration
            await asyncio.sleep(0.001)


@asynccontextmanager
async def functions_room(root: Path, **options: Any) -> AsyncIterator[FunctionsRoom]:
    """A room below `root`; opening the same folder again is a restart."""
    database = await open_database(root / "control.db", MIGRATIONS, synchronous="OFF")
    room = FunctionsRoom(database, root, **options)
    await room.lifecycle.resume()
    yield room
    await room.lifecycle.close()
    await room.code_store.close()
    await database.close()
