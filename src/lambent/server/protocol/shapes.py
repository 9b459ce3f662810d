"""Service models as botocore ships them, read without what a server never needs.

botocore's own loader and model classes import its HTTP client (a quarter of a second and 15 MB) and keep every
documentation string. These typed structs read the same files in a tenth of the memory: whatever is not declared
here is never materialised.
"""

from __future__ import annotations

import gzip
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


class ShapeRef(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A use of a shape; its traits override those of the shape."""

    shape: str
    location_name: str | None = None
    location: str | None = None
    flattened: bool | None = None
    streaming: bool | None = None
    timestamp_format: str | None = None
    xml_namespace: dict[str, str] | str | None = None
    xml_attribute: bool | None = None
    jsonvalue: bool | None = None
    result_wrapper: str | None = None
    eventpayload: bool | None = None
    eventheader: bool | None = None


class ErrorTrait(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """How an exception shows on the wire. `code` is the query protocol's."""

    code: str | None = None
    http_status_code: int | None = None


class ShapeDef(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One entry of a model's `shapes`."""

    type: str
    members: dict[str, ShapeRef] = {}
    member: ShapeRef | None = None
    key: ShapeRef | None = None
    value: ShapeRef | None = None
    required: tuple[str, ...] = ()
    min: int | float | None = None
    max: int | float | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    payload: str | None = None
    location_name: str | None = None
    location: str | None = None
    flattened: bool | None = None
    streaming: bool | None = None
    timestamp_format: str | None = None
    xml_namespace: dict[str, str] | str | None = None
    xml_attribute: bool | None = None
    jsonvalue: bool | None = None
    result_wrapper: str | None = None
    eventpayload: bool | None = None
    eventheader: bool | None = None
    eventstream: bool = False
    event: bool = False
    exception: bool = False
    document: bool = False
    sensitive: bool = False
    sparse: bool = False
    error: ErrorTrait | None = None


class HttpTrait(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Where an operation lives."""

    method: str = "POST"
    request_uri: str = "/"
    response_code: int | None = None


class OperationDef(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One entry of a model's `operations`."""

    name: str
    http: HttpTrait = HttpTrait()
    input: ShapeRef | None = None
    output: ShapeRef | None = None
    errors: tuple[ShapeRef, ...] = ()
    deprecated: bool = False
    requestcompression: dict[str, Any] | None = None


class Metadata(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A model's `metadata`."""

    api_version: str = ""
    protocol: str = ""
    protocols: tuple[str, ...] = ()
    json_version: str = "1.0"
    target_prefix: str | None = None
    endpoint_prefix: str = ""
    signing_name: str | None = None
    service_id: str | None = None
    xml_namespace: dict[str, str] | str | None = None
    aws_query_compatible: dict[str, Any] | None = None


class ModelDocument(msgspec.Struct, rename="camel", kw_only=True):
    """A service-2.json file."""

    metadata: Metadata
    operations: dict[str, OperationDef] = {}
    shapes: dict[str, ShapeDef] = {}


class Shape:
    """A shape as it is used in one place: the shape's traits overridden by those of the reference.

    Lives only while closures are compiled.
    """

    __slots__ = (
        "_model",
        "definition",
        "eventheader",
        "eventpayload",
        "flattened",
        "jsonvalue",
        "location",
        "location_name",
        "name",
        "result_wrapper",
        "streaming",
        "timestamp_format",
        "type",
        "xml_attribute",
        "xml_namespace",
    )

    def __init__(self, model: ModelDocument, ref: ShapeRef) -> None:
        definition = model.shapes[ref.shape]
        self._model = model
        self.definition = definition
        self.name = ref.shape
        self.type = definition.type
        self.location_name = ref.location_name or definition.location_name
        self.location = ref.location or definition.location
        self.flattened = _either(ref.flattened, definition.flattened)
        self.streaming = _either(ref.streaming, definition.streaming)
        self.timestamp_format = ref.timestamp_format or definition.timestamp_format
        self.xml_namespace = ref.xml_namespace or definition.xml_namespace
        self.xml_attribute = _either(ref.xml_attribute, definition.xml_attribute)
        self.jsonvalue = _either(ref.jsonvalue, definition.jsonvalue)
        self.result_wrapper = ref.result_wrapper or definition.result_wrapper
        self.eventpayload = _either(ref.eventpayload, definition.eventpayload)
        self.eventheader = _either(ref.eventheader, definition.eventheader)

    @property
    def members(self) -> dict[str, Shape]:
        """A structure's members in the model's order."""
        return {name: Shape(self._model, ref) for name, ref in self.definition.members.items()}

    @property
    def member(self) -> Shape:
        """A list's element."""
        assert self.definition.member is not None
        return Shape(self._model, self.definition.member)

    @property
    def key(self) -> Shape:
        """A map's key."""
        assert self.definition.key is not None
        return Shape(self._model, self.definition.key)

    @property
    def value(self) -> Shape:
        """A map's value."""
        assert self.definition.value is not None
        return Shape(self._model, self.definition.value)

    @property
    def is_document(self) -> bool:
        """Whether the value is free JSON."""
        return self.definition.document

    def wire_name(self, default: str) -> str:
        """The name on the wire of a member that the model calls `default`."""
        return self.location_name or default


def _either(first: bool | None, second: bool | None) -> bool:
    return bool(second if first is None else first)


def resolve(model: ModelDocument, ref: ShapeRef | None) -> Shape | None:
    """The shape behind `ref`, None for operations without input or output."""
    return None if ref is None else Shape(model, ref)


def is_recursive(shape: Shape) -> bool:
    """Whether a value of this shape can be nested without end (recursive structures, documents)."""
    return _reaches_itself(shape, set(), set())


def _reaches_itself(shape: Shape, above: set[str], finished: set[str]) -> bool:
    if shape.is_document:
        return True
    if shape.type == "list":
        return _reaches_itself(shape.member, above, finished)
    if shape.type == "map":
        return _reaches_itself(shape.value, above, finished)
    if shape.type != "structure" or shape.name in finished:
        return False
    if shape.name in above:
        return True
    above.add(shape.name)
    found = any(_reaches_itself(member, above, finished) for member in shape.members.values())
    above.discard(shape.name)
    finished.add(shape.name)
    return found


def from_description(description: Mapping[str, Any]) -> ModelDocument:
    """A model from a decoded service description."""
    return msgspec.convert(description, ModelDocument)


class ModelNotFound(Exception):
    """botocore has no model of that service."""


_SERVICE_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def load(service: str) -> ModelDocument:
    """The newest model of a service, by botocore's name for it (`lambda`, `events`). Raises ModelNotFound."""
    # The name may come from a request's credential scope: it must not walk out of the data directory.
    if not _SERVICE_NAME.fullmatch(service):
        raise ModelNotFound(service)
    folder = data_directory() / service
    versions = sorted(path.parent for path in folder.glob("*/service-2.json*"))
    if not versions:
        raise ModelNotFound(service)
    newest = versions[-1]
    packed = newest / "service-2.json.gz"
    raw = gzip.decompress(packed.read_bytes()) if packed.exists() else (newest / "service-2.json").read_bytes()
    model = msgspec.json.decode(raw, type=ModelDocument)
    extras = newest / "service-2.sdk-extras.json"
    if extras.exists():
        _merge_extras(model, msgspec.json.decode(extras.read_bytes()))
    return model


def _merge_extras(model: ModelDocument, extras: Mapping[str, Any]) -> None:
    """Apply what botocore's loader calls sdk-extras: shapes, and members of shapes, that it adds to the model."""
    for name, addition in extras.get("merge", {}).get("shapes", {}).items():
        known = model.shapes.get(name)
        merged: dict[str, Any] = {} if known is None else msgspec.to_builtins(known)
        merged = {trait: value for trait, value in merged.items() if value is not None}
        members = {**merged.get("members", {}), **addition.get("members", {})}
        for ref in members.values():
            for trait in [trait for trait, value in ref.items() if value is None]:
                del ref[trait]
        model.shapes[name] = msgspec.convert({**merged, **addition, "members": members}, ShapeDef)


def data_directory() -> Path:
    """Where botocore's models are, found without importing botocore."""
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.origin is None:
        raise ModelNotFound("botocore is not installed")
    return Path(spec.origin).parent / "data"
