"""Nothing that a client sends makes the protocols raise anything but an AWS error."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.core.errors import AwsError
from lambent.server.protocol import ServiceModels, render_error
from lambent.server.wire import WireRequest

MODELS = ServiceModels()

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["FunctionName", "Code", "ZipFile", "Timeout", "MessageBody", "DelaySeconds", "MessageAttributes", "Tags"]
BODIES = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=10).map(lambda noise: b'{"Timeout":' + noise + b"}"),
    st.sampled_from(NAMES).flatmap(
        lambda name: st.binary(max_size=8).map(lambda noise: b'{"%s":"' % name.encode() + noise)
    ),
    st.text(max_size=20).map(lambda noise: f"Action=SendMessage&MessageAttribute.1.{noise}".encode()),
    st.text(max_size=20).map(lambda noise: f"Action=CreateRole&Tags.member.{noise}=1&RoleName={noise}".encode()),
    st.text(max_size=20).map(lambda noise: f"<Delete><Object>{noise}</Object>".encode()),
    st.text(max_size=20).map(lambda noise: f"<Tagging><TagSet><Tag>{noise}</Tag></TagSet></Tagging>".encode()),
)
PATHS = st.one_of(
    st.text(max_size=20),
    st.text(max_size=10).map(lambda text: f"/2015-03-31/functions/{text}"),
    st.sampled_from(["/b", "/b/k", "/", "//", "/b//", "/%ff/%fe", "/2015-03-31/functions/", "/2017-03-31/tags/%zz"]),
)
QUERIES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["delete", "tagging", "list-type=2&max-keys=x", "MaxItems=x", "Qualifier=%ff", "&&=&", "a=%", "List=ALL"]
    ),
)
TARGETS = st.sampled_from(
    ["AmazonSQS.SendMessage", "AWSEvents.PutEvents", "x", "", "AmazonSQS.", "AWSEvents.PutTargets"]
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x-amz-target": TARGETS,
        "content-type": st.sampled_from(["application/x-amz-json-1.0", "application/x-www-form-urlencoded", "x"]),
        "x-amz-copy-source": st.text(max_size=4),
        "if-modified-since": st.text(max_size=12) | st.just("Sun, 06 Nov 9994 08:49:37 -9959"),
        "content-length": st.text(max_size=6),
    },
)


@pytest.mark.parametrize("service", ["lambda", "sqs", "iam", "events", "s3"])
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", ""]),
    path=PATHS,
    query=QUERIES,
    headers=HEADERS,
    body=BODIES,
)
def test_only_aws_errors_come_out(
    service: str, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    compiled = MODELS.service(service)
    request = WireRequest(method=method, path=path, query=query, headers=headers, body=body)
    operation = None
    try:
        operation, labels = compiled.find(request)
        operation.validate(operation.parse(request, labels))
    except AwsError as error:
        response = render_error(
            compiled,
            compiled.protocol_of(request),
            error,
            request_id="request-1",
            operation=operation,
            service_decl=None,
        )
        assert response.status >= 400


@settings(max_examples=300, deadline=None)
@given(value=JSON_VALUES, operation=st.sampled_from(["CreateFunction", "UpdateFunctionConfiguration", "CreateAlias"]))
def test_json_of_any_shape_is_parsed_or_refused(value: object, operation: str) -> None:
    body = json.dumps(dict.fromkeys(("Timeout", "Code", "Environment", "Tags", "Layers", "RoutingConfig"), value))
    compiled = MODELS.service("lambda").operation(operation)
    request = WireRequest(method="POST", path="/", query="", headers={}, body=body.encode())
    with contextlib.suppress(AwsError):
        compiled.validate(compiled.parse(request, {"FunctionName": "f"}))


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"Code":', b'{"Environment":{"Variables":'])
@pytest.mark.parametrize(
    ("service", "operation"), [("lambda", "CreateFunction"), ("sqs", "SendMessage"), ("dynamodb", "PutItem")]
)
def test_deep_json_is_refused(service: str, operation: str, opening: bytes) -> None:
    compiled = MODELS.service(service).operation(operation)
    for body in (opening * 100_000, opening * 100_000 + b"1" + (b"]" if opening == b"[" else b"}") * 100_000):
        with pytest.raises(AwsError):
            compiled.parse(WireRequest(method="POST", path="/", query="", headers={}, body=body), {})


def test_deep_attribute_values_are_refused_within_the_stack() -> None:
    """DynamoDB's attribute values hold themselves: two hundred levels fit the stack here, but not everywhere."""
    compiled = MODELS.service("dynamodb").operation("PutItem")
    body = b'{"Item":{"a":' + b'{"L":[' * 200 + b'{"S":"x"}' + b"]}" * 200 + b"}}"
    with pytest.raises(AwsError, match="nested too deeply"):
        compiled.parse(WireRequest(method="POST", path="/", query="", headers={}, body=body), {})


def test_deep_query_names_and_huge_indices_are_harmless() -> None:
    compiled = MODELS.service("iam").operation("CreateRole")

    def parse(body: str) -> dict[str, object]:
        return compiled.parse(WireRequest(method="POST", path="/", query="", headers={}, body=body.encode()), {})

    with pytest.raises(AwsError):
        parse("Tags" + ".member" * 50_000 + "=1")
    with pytest.raises(AwsError):
        parse("&".join("a=1" for _ in range(30_000)))
    parsed = parse("Tags.member.999999999.Key=a&Tags.member.10.Key=c&Tags.member.9.Key=b")
    assert parsed == {"Tags": [{"Key": "b"}, {"Key": "c"}, {"Key": "a"}]}


BOMB = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><Tagging><TagSet><Tag><Key>&c;</Key></Tag></TagSet></Tagging>"""
EXTERNAL = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]><Tagging>&a;</Tagging>"""
REMOTE = b"""<!DOCTYPE d SYSTEM "http://127.0.0.1:1/x.dtd"><Tagging/>"""


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        EXTERNAL,
        REMOTE,
        b"<a>" * 200_000,
        b"<a",
        b"<a>&undefined;</a>",
        b"",
        b"<a/><b/>",
        BOMB.decode().encode("utf-16"),
    ],
)
def test_hostile_xml_is_refused(body: bytes) -> None:
    compiled = MODELS.service("s3").operation("PutBucketTagging")
    request = WireRequest(method="PUT", path="/b", query="tagging", headers={}, body=body)
    if not body:
        assert compiled.parse(request, {"Bucket": "b"}) == {"Bucket": "b"}
        return
    with pytest.raises(AwsError) as caught:
        compiled.parse(request, {"Bucket": "b"})
    assert caught.value.code == "MalformedXML"
