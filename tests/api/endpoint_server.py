"""An endpoint with toy operations, in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from lambent.core.clock import SystemClock
from lambent.core.config import ServerConfig
from lambent.core.errors import AwsError
from lambent.core.operations import Operation, Output, Params, Rejection, Reply, RequestContext, Service
from lambent.server import answers
from lambent.server.http import Endpoint, read_credentials
from lambent.server.internal_routes import InternalRequest
from lambent.server.registry import OperationRegistry
from lambent.server.wire import WireResponse

T = TypeVar("T")

STS = Service(name="sts", validation_code="ValidationError", unsupported_code="ValidationError")
SQS = Service(name="sqs", validation_code=None, unsupported_code="InvalidParameterValue", max_body_bytes=1_100_000)
LAMBDA = Service(
    name="lambda",
    unsupported_code="InvalidParameterValueException",
    error_members={"Type": "User"},
    max_body_bytes=200_000,
)


S3 = Service(name="s3", validation_code=None, unsupported_code="NotImplemented")


class NotFound(AwsError):
    code = "ResourceNotFoundException"
    status = 404


class Toys:
    """Handlers that show what reached them."""

    def __init__(self) -> None:
        self.contexts: list[RequestContext] = []
        self.params: list[Params] = []
        self.waiting = threading.Event()
        self.cancelled = threading.Event()
        self.closed = threading.Event()
        self.release = asyncio.Event()
        self.streamed = 0

    def _saw(self, context: RequestContext, params: Params) -> None:
        self.contexts.append(context)
        self.params.append(params)

    async def caller_identity(self, context: RequestContext, params: Params) -> Output:
        self._saw(context, params)
        account = context.scope.account
        return {"Account": account, "UserId": context.access_key, "Arn": f"arn:aws:iam::{account}:root"}

    async def list_functions(self, context: RequestContext, params: Params) -> Output:
        self._saw(context, params)
        return {"Functions": [{"FunctionName": "f", "MemorySize": 128}]}

    async def get_function(self, context: RequestContext, params: Params) -> Output:
        if params["FunctionName"] == "broken":
            raise RuntimeError("secret detail")
        if params["FunctionName"] == "abandoned":
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        raise NotFound(f"Function not found: {params['FunctionName']}")

    async def create_function(self, context: RequestContext, params: Params) -> Output:
        self._saw(context, params)
        return {"FunctionName": params["FunctionName"]}

    async def invoke(self, context: RequestContext, params: Params) -> Output:
        self._saw(context, params)
        name = params["FunctionName"]
        if name == "wait":
            self.waiting.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return Reply(output={"Payload": params.get("Payload", b"null")}, status=200, headers={"X-Extra": "1"})

    async def send_message(self, context: RequestContext, params: Params) -> Output:
        self._saw(context, params)
        return {"MessageId": "m", "MD5OfMessageBody": "d" * 32}

    async def put_object(self, context: RequestContext, params: Params) -> Output:
        """The ETag is what arrived, so that a test sees it; a body that ends badly raises here."""
        body = b"".join([chunk async for chunk in params["Body"]])
        self._saw(context, params | {"Body": body})
        return {"ETag": f'"{len(body)}-{body[:8].decode()}"'}

    async def endless(self, request: InternalRequest) -> WireResponse:
        return WireResponse(status=200, headers=[("Content-Type", "text/plain")], body=self._endless())

    async def _endless(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self.streamed += 1
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            self.closed.set()

    async def breaks(self, request: InternalRequest) -> WireResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("secret detail")

        return WireResponse(status=200, headers=[], body=body())

    async def health(self, request: InternalRequest) -> WireResponse:
        return answers.json_response({"status": "ok", "rest": request.rest}, request_id=request.request_id)

    def operations(self) -> list[Operation]:
        return [
            Operation(service=STS, name="GetCallerIdentity", handler=self.caller_identity),
            Operation(
                service=LAMBDA, name="ListFunctions", handler=self.list_functions, enforced=("MaxItems", "Marker")
            ),
            Operation(service=LAMBDA, name="GetFunction", handler=self.get_function, enforced=("FunctionName",)),
            Operation(
                service=LAMBDA,
                name="CreateFunction",
                handler=self.create_function,
                enforced=("FunctionName", "Role", "Runtime", "Handler", "Code.ZipFile"),
                simulated={"Architectures": "any runs"},
                rejected={"VpcConfig": Rejection(reason="there is no VPC", harmless=lambda value: not value)},
            ),
            Operation(service=LAMBDA, name="Invoke", handler=self.invoke, enforced=("FunctionName", "Payload")),
            Operation(
                service=S3,
                name="PutObject",
                handler=self.put_object,
                enforced=("Bucket", "Key", "Body", "ContentLength", "ContentEncoding", "ContentType"),
                simulated={"ChecksumAlgorithm": "x", "ChecksumCRC32": "x"},
            ),
            Operation(service=SQS, name="SendMessage", handler=self.send_message, enforced=("QueueUrl", "MessageBody")),
        ]


class ServedEndpoint:
    """Starts on construction of the context, on a free port; `run` runs a coroutine in the server's loop."""

    def __init__(self, folder: Path, *, switches: dict[str, bool] | None = None, **config: Any) -> None:
        self.config = ServerConfig(**({"data": folder, "port": 0} | config))
        self._switches = switches or {}
        self.toys = Toys()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.run(self._start)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.run(lambda: self.endpoint.stop(5.0))
        finally:
            self._end()

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(make(), self.loop).result(30)

    async def _start(self) -> None:
        clock = SystemClock()
        registry = OperationRegistry()
        registry.add_all(self.toys.operations())
        registry.verify()
        self.credentials = read_credentials(self.config, clock)
        self.endpoint = Endpoint(
            config=self.config, registry=registry, credentials=self.credentials, clock=clock, **self._switches
        )
        self.endpoint.add_route("GET", "/_lambent/health", self.toys.health, anonymous=True)
        self.endpoint.add_route("GET", "/_lambent/files/*", self.toys.health, anonymous=True)
        self.endpoint.add_route("GET", "/_lambent/endless", self.toys.endless, anonymous=True)
        self.endpoint.add_route("GET", "/_lambent/breaks", self.toys.breaks, anonymous=True)
        self.endpoint.add_route("POST", "/_lambent/change", self.toys.health)
        await self.endpoint.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.endpoint.port}"
