"""From a request to the operation that it asks for, and back: gate, signature, service, operation, body, handler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

from lambent.core.clock import Clock
from lambent.core.errors import AwsError, MachineFault, UnknownOperation
from lambent.core.ids import IdSource
from lambent.core.operations import Reply, RequestContext
from lambent.server import answers, auth_errors, authenticator, compression, routing
from lambent.server.asgi import BodyTooLarge, ClientGone, Incoming
from lambent.server.authenticator import Authenticator
from lambent.server.claims import Claim
from lambent.server.gate import Gate
from lambent.server.internal_routes import InternalRoutes
from lambent.server.protocol import CompiledOperation, render_error
from lambent.server.registry import OperationRegistry, Pipeline, ServedService
from lambent.server.signature import Signed
from lambent.server.wire import WireRequest, WireResponse

log = logging.getLogger("lambent.dispatch")

SIMULATED_HEADER = "x-lambent-simulated"


class Dispatcher:
    """Answers every request; what can go wrong with one is an answer too.

    `base_url` is what URLs in answers start with, None for the name by which each client came.
    `require_signature` is switched off only by tests that show what it is for.
    """

    def __init__(
        self,
        *,
        registry: OperationRegistry,
        gate: Gate,
        authenticator: Authenticator,
        routes: InternalRoutes,
        clock: Clock,
        new_request_id: IdSource,
        base_url: str | None,
        require_signature: bool = True,
    ) -> None:
        self._registry = registry
        self._gate = gate
        self._authenticator = authenticator
        self._routes = routes
        self._clock = clock
        self._new_request_id = new_request_id
        self._base_url = base_url
        self._require_signature = require_signature

    async def handle(self, incoming: Incoming) -> WireResponse:
        """The answer to a request. Raises ClientGone and CancelledError only."""
        request_id = self._new_request_id()
        refusal = self._gate.refuse(incoming.method, incoming.headers)
        if refusal is not None:
            return answers.refused(refusal, request_id=request_id)
        if self._routes.owns(incoming.path):
            return await self._routes.answer(incoming, request_id)
        claim, unreadable = None, None
        try:
            claim = self._authenticator.claim(incoming)
        except AwsError as error:
            unreadable = error
        signing_name = None if claim is None else claim.credential.service
        name = routing.service_name(incoming.headers, incoming.path, incoming.query, signing_name=signing_name)
        if claim is None and unreadable is None and self._require_signature:
            unreadable = auth_errors.MissingAuthenticationToken()
        service = None if name is None else self._registry.service(name)
        if service is None:
            served = tuple(service.declaration.name for service in self._registry.services())
            failure = unreadable or answers.not_served(name, served)
            return answers.outside(failure, incoming.headers, service=name, request_id=request_id)
        call = _Call(self, service, incoming, claim, request_id)
        return await call.answer(unreadable)

    def context(
        self, incoming: Incoming, claim: Claim | None, request_id: str, service: str, operation: str
    ) -> RequestContext:
        """Who asks for what."""
        return RequestContext(
            service=service,
            operation=operation,
            scope=self._authenticator.scope(claim),
            request_id=request_id,
            endpoint=self._base_url or f"http://{incoming.headers.get('host', 'localhost')}",
            access_key=None if claim is None else claim.credential.access_key,
            headers=incoming.headers,
            received_at=self._clock.now(),
        )

    @property
    def authenticator(self) -> Authenticator:
        return self._authenticator


class _Call:
    """One request to one service."""

    __slots__ = ("_claim", "_compiled", "_declared", "_dispatcher", "_incoming", "_request_id", "_service")

    def __init__(
        self,
        dispatcher: Dispatcher,
        service: ServedService,
        incoming: Incoming,
        claim: Claim | None,
        request_id: str,
    ) -> None:
        self._dispatcher = dispatcher
        self._service = service
        self._incoming = incoming
        self._claim = claim
        self._request_id = request_id
        self._compiled: CompiledOperation | None = None
        self._declared = False  # whether errors carry the members that the service adds to its own

    async def answer(self, unreadable: AwsError | None) -> WireResponse:
        incoming, service = self._incoming, self._service
        head = WireRequest(
            method=incoming.method, path=incoming.path, query=incoming.query, headers=incoming.headers, body=b""
        )
        protocol = service.compiled.protocol_of(head)
        try:
            if unreadable is not None:
                raise unreadable
            self._dispatcher.authenticator.check_key(self._claim, incoming, service=service.signing_name)
            return await self._run(head, protocol)
        except auth_errors.AuthError as error:
            self._declared = False
            return self._error(
                auth_errors.as_answered(error, service=service.declaration.name, protocol=protocol), protocol
            )
        except AwsError as error:
            return self._error(error, protocol)
        except (Exception, asyncio.CancelledError) as fault:
            # The outermost edge: what nobody foresaw is logged, and the client learns no more than that. So is a
            # cancellation that nobody asked of this task: the handler waited for something that was cancelled.
            task = asyncio.current_task()
            if isinstance(fault, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            if isinstance(fault, ClientGone):
                raise
            operation = "" if self._compiled is None else self._compiled.name
            name = service.declaration.name
            if isinstance(fault, MachineFault):
                log.error("%s %s failed: %s; request id %s", name, operation, fault, self._request_id)
            else:
                log.exception("%s %s failed; request id %s", name, operation, self._request_id)
            self._declared = False
            return self._error(answers.internal_failure(service.declaration.name), protocol)

    async def _run(self, head: WireRequest, protocol: str) -> WireResponse:
        incoming, service = self._incoming, self._service
        form: bytes | None = None
        if protocol == "query":
            # The action is in the form.
            form = await self._read(service.declaration.max_body_bytes, None)
            self._verify(form)
            if compression.is_gzipped(incoming.headers):
                form = _unpacked(form, service.declaration.max_body_bytes, None)
            head = _with_body(head, form)
        try:
            compiled, labels = service.compiled.find(head)
        except UnknownOperation:
            asked = incoming.headers.get("x-amz-target") or f"{incoming.method} {incoming.path}"
            raise answers.unknown_operation(service.declaration.name, asked) from None
        self._compiled = compiled
        self._check_presigned(compiled.name, query=form is not None)
        pipeline = service.pipeline(compiled.name, protocol)
        if pipeline is None:
            if form is None:
                await self._body(None, streaming=False)
            raise answers.not_implemented(service.declaration.name, compiled.name)
        self._declared = True
        if form is None:
            body = await self._body(pipeline, streaming=compiled.streaming_input)
            if compiled.gzipped_input and isinstance(body, bytes) and compression.is_gzipped(incoming.headers):
                body = _unpacked(body, pipeline.max_body_bytes, pipeline)
            if body:
                head = _with_body(head, body)
        params = compiled.parse(head, labels)
        operation = pipeline.operation
        if pipeline.validate:
            compiled.validate(params, except_paths=operation.own_validation)
        simulated = pipeline.treatment.check(params)
        context = self._dispatcher.context(
            incoming, self._claim, self._request_id, service.declaration.name, operation.name
        )
        output = await operation.handler(context, params)
        status: int | None = None
        headers: Mapping[str, str] = _NO_HEADERS
        if isinstance(output, Reply):
            status, headers, output = output.status, output.headers, output.output
        if simulated:
            headers = {**headers, SIMULATED_HEADER: ", ".join(simulated)}
        return compiled.render(output or {}, request_id=self._request_id, status=status, headers=headers)

    def _check_presigned(self, action: str, *, query: bool) -> None:
        """Where nothing is verified, any web page's link or form can hold a "presigned" query: let those only read.

        Browsers say which site a request comes from, and the gate asks; not every browser does for plain HTTP. Other
        methods than GET, HEAD and POST no page can send without a preflight.
        """
        claim = self._claim
        if claim is None or claim.presigned is None or self._dispatcher.authenticator.verifies:
            return
        method = self._incoming.method
        if not (method == "POST" or (query and method in ("GET", "HEAD"))):
            return
        if not action.startswith(_READING) or action in _MAKING:
            raise auth_errors.InvalidSignature(
                f"A presigned {action} changes something, so it needs a server that verifies signatures (--auth)."
            )

    async def _body(self, pipeline: Pipeline | None, *, streaming: bool) -> bytes | AsyncIterator[bytes]:
        """The request's body, its signature verified: before it is read where the request declares its hash."""
        incoming, headers = self._incoming, self._incoming.headers
        s3 = self._service.declaration.name == "s3"
        chunked = authenticator.is_chunked(headers)
        if not (streaming or chunked):
            limit = self._service.declaration.max_body_bytes if pipeline is None else pipeline.max_body_bytes
            body = await self._read(limit, pipeline)
            self._verify(body)
            return body
        if not authenticator.declares_payload(self._claim, headers, s3=s3):
            # Only S3 streams without saying what; anybody else's body is read to be hashed.
            body = await self._read(self._service.declaration.max_body_bytes, pipeline)
            self._verify(body)
            return _once(body)
        signed = self._verify(None)
        stream: AsyncIterator[bytes] = incoming.stream()
        if chunked:
            stream = authenticator.decoded(stream, headers, signed)
        elif signed is not None:
            stream = authenticator.proven(stream, signed, s3=s3)
        return stream if streaming else await self._gather(stream, pipeline)

    def _verify(self, body: bytes | None) -> Signed | None:
        verifier = self._dispatcher.authenticator
        if not verifier.verifies:
            return None
        return verifier.verify(self._claim, self._incoming, service=self._service.signing_name, body=body)

    async def _read(self, limit_bytes: int, pipeline: Pipeline | None) -> bytes:
        try:
            return await self._incoming.read(limit_bytes)
        except BodyTooLarge:
            raise _too_large(limit_bytes, pipeline) from None

    async def _gather(self, stream: AsyncIterator[bytes], pipeline: Pipeline | None) -> bytes:
        limit_bytes = self._service.declaration.max_body_bytes if pipeline is None else pipeline.max_body_bytes
        pieces, size = [], 0
        async for piece in stream:
            size += len(piece)
            if size > limit_bytes:
                raise _too_large(limit_bytes, pipeline)
            pieces.append(piece)
        return b"".join(pieces)

    def _error(self, error: AwsError, protocol: str) -> WireResponse:
        return render_error(
            self._service.compiled,
            protocol,
            error,
            request_id=self._request_id,
            operation=self._compiled,
            service_decl=self._service.declaration if self._declared else None,
        )


_NO_HEADERS: Mapping[str, str] = {}
_READING = ("Get", "List", "Describe")
_MAKING = frozenset({"GetSessionToken", "GetFederationToken"})


def _with_body(head: WireRequest, body: bytes | AsyncIterator[bytes]) -> WireRequest:
    return WireRequest(method=head.method, path=head.path, query=head.query, headers=head.headers, body=body)


def _too_large(limit_bytes: int, pipeline: Pipeline | None) -> Exception:
    if pipeline is not None and pipeline.operation.too_large is not None:
        return pipeline.operation.too_large()
    return answers.RequestEntityTooLarge(limit_bytes, "requested" if pipeline is None else pipeline.operation.name)


def _unpacked(body: bytes, limit_bytes: int, pipeline: Pipeline | None) -> bytes:
    try:
        return compression.gunzip(body, limit_bytes)
    except BodyTooLarge:
        raise _too_large(limit_bytes, pipeline) from None


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
