"""The services that the endpoint knows, each loaded when the first request asks for it."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.core.errors import UnknownOperation
from lambent.server.protocol import rpc_v2_cbor, shapes
from lambent.server.protocol.aws_query import action_of
from lambent.server.protocol.constraints import Constraints
from lambent.server.protocol.dialect import Dialect
from lambent.server.protocol.faults import InvalidAction, SerializationError, Unreadable
from lambent.server.protocol.java_patterns import untranslatable
from lambent.server.protocol.operation import CompiledOperation
from lambent.server.protocol.quirks import dialects_of
from lambent.server.protocol.routing import Labels, Router, RouteSpec
from lambent.server.protocol.shapes import ModelDocument, OperationDef, Shape
from lambent.server.wire import WireRequest


class CompiledService:
    """One service: its protocols, its routes, and its operations, each compiled when it is first asked for.

    `protocols` lists what we speak of what the model (or history) says, preferred first.
    """

    def __init__(self, name: str, model: ModelDocument, dialects: Mapping[str, Dialect]) -> None:
        self.name = name
        self.metadata = model.metadata
        self.protocols = tuple(dialects)
        self._model = model
        self._dialects = dialects
        self._constraints = Constraints()
        self._operations: dict[tuple[str, str], CompiledOperation] = {}
        self._router: Router | None = None
        self._error_shapes: dict[str, str] | None = None

    @property
    def operation_names(self) -> tuple[str, ...]:
        """All operations of the model, whether or not anybody serves them."""
        return tuple(self._model.operations)

    @property
    def is_rest(self) -> bool:
        """Whether method and path tell the operation."""
        return any(protocol.startswith("rest-") for protocol in self.protocols)

    def operation(self, name: str, protocol: str | None = None) -> CompiledOperation:
        """The operation in one of the service's protocols (default: the preferred). Raises UnknownOperation."""
        protocol = protocol or self.protocols[0]
        known = self._operations.get((name, protocol))
        if known is None:
            known = self._operations[name, protocol] = self._compile(name, protocol)
        return known

    def _compile(self, name: str, protocol: str) -> CompiledOperation:
        definition = self._model.operations.get(name)
        dialect = self._dialects.get(protocol)
        if definition is None or dialect is None:
            raise UnknownOperation(f"The service {self.name} has no operation {name} in protocol {protocol}.")
        codec = dialect.compile(definition)
        shape = shapes.resolve(self._model, definition.input)
        return CompiledOperation(
            service=self.name,
            name=name,
            protocol=protocol,
            method=definition.http.method,
            streaming_input=codec.streaming_input,
            gzipped_input=definition.requestcompression is not None,
            _parse=codec.parse,
            _check=None if shape is None else self._constraints.check(shape),
            _render=codec.render,
        )

    def route(
        self, method: str, path: str, query: str, headers: Mapping[str, str] | None = None
    ) -> tuple[str, Labels] | None:
        """The operation of a REST request and its decoded path labels; None if there is no such place.

        `path` is percent-encoded, `headers` (lower case) tell apart operations such as PutObject and CopyObject.
        Raises SerializationException for a path or query that is not UTF-8.
        """
        if self._router is None:
            self._router = Router(
                _route_spec(self._model, definition) for definition in self._model.operations.values()
            )
        try:
            return self._router.match(method, path, query, headers)
        except Unreadable as unreadable:
            raise SerializationError(str(unreadable)) from None

    def operation_of_target(self, target: str) -> str | None:
        """The operation that an X-Amz-Target header names; None if it names none of this service."""
        prefix, _, name = target.rpartition(".")
        return name if prefix == self.metadata.target_prefix and name in self._model.operations else None

    def _operation_of_path(self, request: WireRequest) -> str | None:
        """The operation that the path of an RPC v2 request names; None if it names none of this service."""
        target = rpc_v2_cbor.target_of(request.path)
        if target is None or request.method != "POST" or target[0] != self.metadata.target_prefix:
            return None
        return target[1] if target[1] in self._model.operations else None

    def protocol_of(self, request: WireRequest) -> str:
        """Which of the service's protocols a request speaks."""
        if len(self.protocols) == 1:
            return self.protocols[0]
        headers = request.headers
        if rpc_v2_cbor.spoken_in(headers) and rpc_v2_cbor.PROTOCOL in self.protocols:
            return rpc_v2_cbor.PROTOCOL
        is_json = "x-amz-target" in headers or "json" in headers.get("content-type", "")
        wanted = "json" if is_json else "query"
        return wanted if wanted in self.protocols else self.protocols[0]

    def find(self, request: WireRequest) -> tuple[CompiledOperation, Labels]:
        """The operation that a request asks for, and its path labels (empty but for REST).

        The query protocol names it in the body, so only REST requests may come with a body that is still to be read.
        Raises UnknownOperationException, or InvalidAction in the query protocol.
        """
        protocol = self.protocol_of(request)
        if protocol.startswith("rest-"):
            found = self.route(request.method, request.path, request.query, request.headers)
            if found is None:
                raise UnknownOperation()
            return self.operation(found[0], protocol), found[1]
        if protocol == "query":
            action = action_of(request)
            if action is None or action not in self._model.operations:
                raise InvalidAction(f"The action {action or ''} is not valid for this web service.")
            return self.operation(action, protocol), {}
        if protocol == rpc_v2_cbor.PROTOCOL:
            name = self._operation_of_path(request)
        else:
            name = self.operation_of_target(request.headers.get("x-amz-target", ""))
        if name is None:
            raise UnknownOperation()
        return self.operation(name, protocol), {}

    def error_shape(self, code: str) -> Shape | None:
        """The modelled exception behind an error code (or exception name)."""
        if self._error_shapes is None:
            self._error_shapes = {}
            for name, definition in self._model.shapes.items():
                if definition.exception:
                    if definition.error is not None and definition.error.code:
                        self._error_shapes.setdefault(definition.error.code, name)
                    self._error_shapes[name] = name
        name_of = self._error_shapes.get(code)
        return None if name_of is None else Shape(self._model, shapes.ShapeRef(shape=name_of))

    def dialect(self, protocol: str) -> Dialect:
        """The protocol's implementation for this service."""
        return self._dialects[protocol]

    def untranslatable_patterns(self) -> dict[str, str]:
        """Shapes whose pattern Python cannot check, and why. Their other constraints hold."""
        found = {}
        for name, definition in self._model.shapes.items():
            reason = untranslatable(definition.pattern) if definition.pattern is not None else None
            if reason is not None:
                found[name] = reason
        return found


def _route_spec(model: ModelDocument, definition: OperationDef) -> RouteSpec:
    query, headers = set(), set()
    if definition.input is not None:
        shape = Shape(model, definition.input)
        members = shape.definition.members
        for name in shape.definition.required:
            member = members[name]
            if member.location == "querystring":
                query.add(member.location_name or name)
            elif member.location == "header":
                headers.add((member.location_name or name).lower())
    return RouteSpec(
        operation=definition.name,
        method=definition.http.method,
        uri=definition.http.request_uri,
        required_query=frozenset(query),
        required_headers=frozenset(headers),
        deprecated=definition.deprecated,
    )


def compile_service(name: str, model: ModelDocument) -> CompiledService:
    """A service from its model. Raises ModelNotFound if we speak none of its protocols."""
    return CompiledService(name, model, dialects_of(name, model))


class ServiceModels:
    """All services of botocore by its names for them, loaded one by one as they are asked for."""

    def __init__(self) -> None:
        self._services: dict[str, CompiledService] = {}

    def service(self, name: str) -> CompiledService:
        """The service called `name` by botocore (`lambda`, `sqs`, `events`). Raises ModelNotFound."""
        known = self._services.get(name)
        if known is None:
            known = self._services[name] = compile_service(name, shapes.load(name))
        return known
