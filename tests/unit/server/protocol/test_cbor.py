"""CBOR against the examples of its specification and against botocore's own encoder and decoder."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.core.errors import AwsError
from lambent.core.operations import Service
from lambent.server.protocol import ServiceModels, cbor, render_error
from lambent.server.protocol.cbor import Timestamp, decode, encode
from lambent.server.protocol.faults import Unreadable
from lambent.server.protocol.rpc_v2_cbor import PROTOCOL
from lambent.server.protocol.shapes import Shape, ShapeRef
from lambent.server.wire import WireRequest, WireResponse

from . import cases
from .test_round_trips import as_seen, botocore_model, values, wire

MODELS = ServiceModels()


@pytest.mark.parametrize(
    ("hexadecimal", "value"),
    [  # RFC 8949, appendix A
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1a000f4240", 1_000_000),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("1bffffffffffffffff", 18_446_744_073_709_551_615),
        ("3bffffffffffffffff", -18_446_744_073_709_551_616),
        ("20", -1),
        ("3903e7", -1000),
        ("f90000", 0.0),
        ("f93c00", 1.0),
        ("fb3ff199999999999a", 1.1),
        ("f97bff", 65504.0),
        ("fa47c35000", 100_000.0),
        ("f90001", 5.960464477539063e-8),
        ("f97c00", math.inf),
        ("f4", False),
        ("f5", True),
        ("f6", None),
        ("f7", None),
        ("c11a514b67b0", Timestamp(1_363_896_240)),
        ("c1fb41d452d9ec200000", Timestamp(1_363_896_240.5)),
        ("40", b""),
        ("4401020304", b"\x01\x02\x03\x04"),
        ("60", ""),
        ("62c3bc", "ü"),
        ("64f0908591", "\U00010151"),
        ("80", []),
        ("8301820203820405", [1, [2, 3], [4, 5]]),
        ("a0", {}),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("9fff", []),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ],
)
def test_the_examples_of_the_specification(hexadecimal: str, value: Any) -> None:
    decoded = decode(bytes.fromhex(hexadecimal))
    assert decoded == value
    assert type(decoded) is type(value)
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "hexadecimal",
    [
        "",
        "18",  # a length is missing
        "1c",  # reserved
        "ff",  # a break of nothing
        "62c3",  # a text that ends too early
        "61ff",  # no UTF-8
        "9b7fffffffffffffff00",  # a list that cannot come
        "bb7fffffffffffffff00",
        "5b7fffffffffffffff",
        "7f4101ff",  # bytes in a text
        "5f5f4101ffff",  # an indefinite piece
        "9f01",
        "bf6161",
        "a10102",  # a key that is no text
        "c001",  # another tag
        "c2420102",
        "c16130",  # a timestamp that is no number
        "c1f5",
        "f8ff",  # another simple value
        "0000",  # something follows
        "a1" * 3,
    ],
)
def test_what_cannot_be_read(hexadecimal: str) -> None:
    with pytest.raises(Unreadable):
        decode(bytes.fromhex(hexadecimal))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        value = decode(raw)
    except Unreadable:
        return
    assert cases.same(decode(encode(value)), value)


@pytest.mark.parametrize("unit", [b"\x81", b"\x9f", b"\xc1", b"\xa1\x60"])
def test_depth_is_bounded(unit: bytes) -> None:
    with pytest.raises(Unreadable, match="deep"):
        decode(unit * 100_000)


def test_containers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cbor, "MAX_CONTAINERS", 11)
    assert len(decode(b"\x9f" + b"\x80" * 10 + b"\xff")) == 10
    with pytest.raises(Unreadable, match="too many"):
        decode(b"\x9f" + b"\x80" * 11 + b"\xff")


def test_what_has_no_place_in_cbor() -> None:
    for value in (object(), 2**64, {1, 2}):
        with pytest.raises(TypeError):
            encode(value)


# botocore's own encoder and decoder


@functools.cache
def model_of(service: str) -> ServiceModel:
    return botocore_model(service)


def operations_with(service: str, side: str) -> list[str]:
    model = model_of(service)
    return [name for name in model.operation_names if getattr(model.operation_model(name), side) is not None]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_botocore_sends_is_parsed(data: st.DataObject) -> None:
    compiled = MODELS.service("cloudwatch")
    name = data.draw(st.sampled_from(operations_with("cloudwatch", "input_shape")))
    model = model_of("cloudwatch").operation_model(name)
    shape = Shape(compiled.dialect(PROTOCOL).model, ShapeRef(shape=model.input_shape.name))
    params = data.draw(values(shape))
    request = wire(create_serializer(PROTOCOL, include_validation=False).serialize_to_request(params, model))
    assert compiled.protocol_of(request) == PROTOCOL
    operation, labels = compiled.find(request)
    assert operation.name == name
    assert cases.same(operation.parse(request, labels), as_seen(params))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_botocore_parses_what_is_rendered(data: st.DataObject) -> None:
    compiled = MODELS.service("cloudwatch")
    name = data.draw(st.sampled_from(operations_with("cloudwatch", "output_shape")))
    model = model_of("cloudwatch").operation_model(name)
    shape = Shape(compiled.dialect(PROTOCOL).model, ShapeRef(shape=model.output_shape.name))
    output = one_of_each_union(data.draw(values(shape)), model.output_shape)
    response = compiled.operation(name, PROTOCOL).render(as_seen(output), request_id="r", headers={})
    assert dict(response.headers)["smithy-protocol"] == "rpc-v2-cbor"
    parsed = parsed_by_botocore(response, model.output_shape)
    assert parsed.pop("ResponseMetadata")["RequestId"] == "r"
    assert cases.same(as_seen(parsed), as_seen(output))


def one_of_each_union(value: Any, shape: Any) -> Any:
    """Only one member of each union, which is all that botocore's parser takes."""
    if isinstance(value, Mapping) and shape.type_name == "structure":
        kept = list(value.items())[:1] if shape.is_tagged_union else value.items()
        return {name: one_of_each_union(item, shape.members[name]) for name, item in kept}
    if isinstance(value, Mapping):
        return {key: one_of_each_union(item, shape.value) for key, item in value.items()}
    return [one_of_each_union(item, shape.member) for item in value] if isinstance(value, list) else value


def parsed_by_botocore(response: WireResponse, shape: Any) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in response.headers}
    raw = {"status_code": response.status, "headers": headers, "body": response.body}
    parsed: dict[str, Any] = create_parser(PROTOCOL).parse(raw, shape)
    return parsed


def test_operations_without_an_output_answer_with_nothing() -> None:
    operation = MODELS.service("cloudwatch").operation("PutMetricData", PROTOCOL)
    response = operation.render({}, request_id="r", headers={})
    assert (response.status, response.body) == (200, b"")
    assert "Content-Type" not in dict(response.headers)


class Invalid(AwsError):
    code = "InvalidParameterValueException"


def test_errors_have_the_code_of_the_query_protocol() -> None:
    compiled = MODELS.service("cloudwatch")
    error = render_error(
        compiled,
        PROTOCOL,
        Invalid("no such period"),
        request_id="r",
        operation=compiled.operation("GetMetricData", PROTOCOL),
        service_decl=Service(name="cloudwatch"),
    )
    assert decode(bytes(error.body)) == {  # type: ignore[arg-type]
        "__type": "com.amazonaws.cloudwatch#InvalidParameterValueException",
        "message": "no such period",
    }
    parsed = parsed_by_botocore(error, None)
    assert parsed["Error"]["Code"] == "InvalidParameterValue"
    assert parsed["Error"]["Message"] == "no such period"


def request(path: str, body: bytes = b"", **headers: str) -> WireRequest:
    return WireRequest(
        method="POST", path=path, query="", headers={"smithy-protocol": "rpc-v2-cbor", **headers}, body=body
    )


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/service/GraniteServiceVersion20100801/operation/",
        "/service/GraniteServiceVersion20100801/operation/Nothing",
        "/service/Other/operation/ListMetrics",
        "/service/GraniteServiceVersion20100801/operation/ListMetrics/more",
    ],
)
def test_places_that_are_not_there(path: str) -> None:
    with pytest.raises(AwsError):
        MODELS.service("cloudwatch").find(request(path))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("GetMetricData", {"StartTime": 1_700_000_000}),  # no tag
        ("GetMetricData", {"MaxDatapoints": "1"}),
        ("PutMetricData", {"MetricData": [{"Value": "1"}]}),
        ("PutMetricData", {"Namespace": b"x"}),
        ("PutMetricData", []),
    ],
)
def test_values_of_the_wrong_type(name: str, params: Any) -> None:
    operation, labels = MODELS.service("cloudwatch").find(
        request(f"/service/GraniteServiceVersion20100801/operation/{name}", encode(params))
    )
    with pytest.raises(AwsError) as caught:
        operation.parse(request("/", encode(params)), labels)
    assert caught.value.code == "SerializationException"


def test_times_have_milliseconds() -> None:
    assert as_seen({"a": datetime.fromtimestamp(1.5, UTC)}) == {"a": 1.5}
    operation = MODELS.service("cloudwatch").operation("GetMetricStatistics", PROTOCOL)
    body = operation.render({"Datapoints": [{"Timestamp": 60.0}, {"Timestamp": 0.25}]}, request_id="r", headers={}).body
    points: Mapping[str, Any] = decode(body)  # type: ignore[arg-type]
    assert points["Datapoints"] == [{"Timestamp": Timestamp(60)}, {"Timestamp": Timestamp(0.25)}]
