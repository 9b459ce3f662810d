"""The operations that the rooms offer, and what the endpoint keeps ready for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lambent.core.operations import Operation, Service
from lambent.server.parameters import MemberTreatment, Treatment
from lambent.server.protocol import CompiledOperation, CompiledService, ServiceModels, shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One operation in one protocol, ready to run."""

    operation: Operation
    compiled: CompiledOperation
    treatment: Treatment
    validate: bool
    max_body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationReport:
    """What is known of one operation of a service's model. `operation` None means that it is not implemented."""

    name: str
    operation: Operation | None
    members: tuple[MemberTreatment, ...]


class ServedService:
    """A service of which at least one operation is registered. Its model is loaded when it is first needed."""

    def __init__(self, declaration: Service, models: ServiceModels) -> None:
        self.declaration = declaration
        self._models = models
        self._operations: dict[str, Operation] = {}
        self._pipelines: dict[tuple[str, str], Pipeline] = {}
        self._treatments: dict[str, Treatment] = {}
        self._compiled: CompiledService | None = None

    @property
    def compiled(self) -> CompiledService:
        """The service's model, compiled. Raises ModelNotFound."""
        if self._compiled is None:
            self._compiled = self._models.service(self.declaration.name)
        return self._compiled

    @property
    def signing_name(self) -> str:
        """The service's name in credential scopes."""
        metadata = self.compiled.metadata
        return metadata.signing_name or metadata.endpoint_prefix

    @property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(self._operations.values())

    def add(self, operation: Operation) -> None:
        if operation.service != self.declaration:
            raise ValueError(f"two different declarations of the service {self.declaration.name}")
        if operation.name in self._operations:
            raise ValueError(f"{self.declaration.name} {operation.name} is registered twice")
        self._operations[operation.name] = operation

    def pipeline(self, name: str, protocol: str) -> Pipeline | None:
        """The operation in this protocol; None when nobody registered it.

        Raises UnknownOperation for a protocol that the service does not speak, UnknownParameter for a declaration that
        does not fit the model.
        """
        known = self._pipelines.get((name, protocol))
        if known is not None:
            return known
        operation = self._operations.get(name)
        if operation is None:
            return None
        declaration = self.declaration
        limit = declaration.max_body_bytes if operation.max_body_bytes is None else operation.max_body_bytes
        pipeline = self._pipelines[name, protocol] = Pipeline(
            operation=operation,
            compiled=self.compiled.operation(name, protocol),
            treatment=self.treatment(operation),
            validate=declaration.validation_code is not None,
            max_body_bytes=limit,
        )
        return pipeline

    def treatment(self, operation: Operation) -> Treatment:
        """What becomes of the operation's parameters. Raises UnknownParameter, UnknownOperation."""
        known = self._treatments.get(operation.name)
        if known is None:
            known = self._treatments[operation.name] = Treatment(operation, self._input(operation.name))
        return known

    def _input(self, name: str) -> shapes.Shape | None:
        self.compiled.operation(name)  # raises UnknownOperation
        model = self.compiled.dialect(self.compiled.protocols[0]).model
        return shapes.resolve(model, model.operations[name].input)

    def reports(self) -> Iterator[OperationReport]:
        """Every operation of the model, by name, with the treatment of its parameters where it is implemented."""
        for name in sorted(self.compiled.operation_names):
            operation = self._operations.get(name)
            members = () if operation is None else tuple(self.treatment(operation).members())
            yield OperationReport(name=name, operation=operation, members=members)


class OperationRegistry:
    """Where rooms register their operations; one per server."""

    def __init__(self, models: ServiceModels | None = None) -> None:
        self._models = models or ServiceModels()
        self._services: dict[str, ServedService] = {}

    def add(self, operation: Operation) -> None:
        """Offer `operation`. Raises ValueError when its name is taken or its service is declared otherwise.

        The model is not read yet; `verify` does, and so does the first request.
        """
        name = operation.service.name
        service = self._services.get(name)
        if service is None:
            service = self._services[name] = ServedService(operation.service, self._models)
        service.add(operation)

    def add_all(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            self.add(operation)

    def service(self, name: str) -> ServedService | None:
        """The service by botocore's name, None when it is not served."""
        return self._services.get(name)

    def services(self) -> tuple[ServedService, ...]:
        """All services, by name."""
        return tuple(self._services[name] for name in sorted(self._services))

    def verify(self) -> None:
        """Compile everything: every registered operation and every parameter that it names must be in the model.

        Raises ModelNotFound, UnknownOperation or UnknownParameter.
        """
        for service in self.services():
            for operation in service.operations:
                service.treatment(operation)
                for protocol in service.compiled.protocols:
                    service.pipeline(operation.name, protocol)
