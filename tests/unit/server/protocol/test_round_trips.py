"""What botocore sends for any parameters is parsed back to the same parameters, for the operations of real services."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import botocore.loaders
import pytest
from botocore.model import ServiceModel
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.server.protocol import ServiceModels
from lambent.server.protocol.shapes import Shape, ShapeRef
from lambent.server.wire import WireRequest

from . import cases

MODELS = ServiceModels()

# XML cannot hold control characters, and its parsers turn line ends into \n.
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=12)
HEADER_TEXT = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='",\\'), min_size=1, max_size=8
)
WHOLE_SECONDS = st.integers(0, 4_000_000_000)


@functools.cache
def botocore_model(service: str) -> ServiceModel:
    return ServiceModel(botocore.loaders.Loader().load_service_model(service, "service-2"), service)


def scalars(shape: Shape, *, place: str) -> st.SearchStrategy[Any]:
    if shape.type == "boolean":
        return st.booleans()
    if shape.type in ("integer", "long"):
        return st.integers(-(2**31), 2**31 - 1)
    if shape.type in ("float", "double"):
        return st.floats(allow_nan=False)
    if shape.type == "timestamp":
        return WHOLE_SECONDS.map(lambda value: datetime.fromtimestamp(value, UTC))
    if shape.type == "blob":
        return st.binary(max_size=20)
    if place in ("header", "headers"):
        return HEADER_TEXT
    return TEXT.filter(bool) if place == "uri" else TEXT


def values(shape: Shape, depth: int = 0, place: str = "body") -> st.SearchStrategy[Any]:
    """Parameters as botocore takes them. Collections are not empty: several protocols send nothing for those."""
    if shape.type == "structure":
        members = {
            name: values(member, depth + 1, member.location or "body" if depth == 0 else "body")
            for name, member in shape.members.items()
            if depth < 5 or member.type not in ("structure", "list", "map")
        }
        required = {name for name, member in shape.members.items() if member.location == "uri"}
        must = {name: members.pop(name) for name in sorted(required)}
        some = st.fixed_dictionaries(must, optional=members)
        return some if depth == 0 or not members else some.filter(bool)
    if shape.type == "list":
        return st.lists(values(shape.member, depth + 1, place), min_size=1, max_size=3)
    if shape.type == "map":
        key = HEADER_TEXT.map(str.lower) if place == "headers" else TEXT.filter(bool)
        return st.dictionaries(key, values(shape.value, depth + 1, place), min_size=1, max_size=3)
    return scalars(shape, place=place)


def as_seen(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, Mapping):
        return {key: as_seen(item) for key, item in value.items()}
    return [as_seen(item) for item in value] if isinstance(value, list) else value


def wire(serialized: Mapping[str, Any]) -> WireRequest:
    """A request from what botocore's serializers make."""
    path, _, literal = serialized["url_path"].partition("?")
    pairs = [literal] if literal else []
    for name, value in (serialized["query_string"] or {}).items():
        pairs += [
            f"{quote(name, safe='')}={quote(str(v), safe='')}" for v in (value if isinstance(value, list) else [value])
        ]
    body = serialized["body"]
    if isinstance(body, dict):
        body = "&".join(f"{quote(k, safe='')}={quote(str(v), safe='')}" for k, v in body.items()).encode()
    headers = {name.lower(): value for name, value in serialized["headers"].items()}
    return WireRequest(method=serialized["method"], path=path, query="&".join(pairs), headers=headers, body=body)


@functools.cache
def operations(service: str) -> list[str]:
    model = botocore_model(service)
    return [
        name
        for name in model.operation_names
        if model.operation_model(name).input_shape is not None
        and not model.operation_model(name).deprecated
        and not model.operation_model(name).has_event_stream_input
        and not model.operation_model(name).endpoint  # part of the parameters goes into the host name
    ]


@pytest.mark.parametrize(
    "service", ["lambda", "sqs", "iam", "sts", "events", "s3", "logs", "cloudformation", "route53", "cloudwatch"]
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_parameters_survive_the_wire(service: str, data: st.DataObject) -> None:
    compiled = MODELS.service(service)
    name = data.draw(st.sampled_from(operations(service)))
    model = botocore_model(service).operation_model(name)
    shape = Shape(compiled.dialect(compiled.protocols[0]).model, ShapeRef(shape=model.input_shape.name))
    params = data.draw(values(shape))
    serializer = create_serializer(compiled.protocols[0], include_validation=False)
    request = wire(serializer.serialize_to_request(params, model))

    operation, labels = compiled.find(request)
    if service == "s3" and operation.name != name:
        return  # without its required parameters a request may be another operation's
    assert operation.name == name
    parsed = {key: await cases.collected(value) for key, value in operation.parse(request, labels).items()}

    expected = {key: value for key, value in as_seen(params).items() if not _is_empty_payload(shape, key, value)}
    parsed = {key: value for key, value in parsed.items() if not _is_empty_payload(shape, key, value)}
    assert cases.same(parsed, expected)


def _is_empty_payload(shape: Shape, name: str, value: Any) -> bool:
    """An empty body is no body: an empty payload cannot be told from an absent one."""
    return name == shape.definition.payload and not value
