"""AWS's own protocol cases, read backwards: requests through our parsers, our responses through botocore's."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.model import ServiceModel
from botocore.parsers import ResponseParserFactory
from botocore.utils import parse_timestamp

from lambent.core.errors import AwsError
from lambent.server.protocol import render_error
from lambent.server.protocol.shapes import Shape
from lambent.server.wire import WireRequest, WireResponse

from . import cases
from .cases import Case

_BODYLESS = "the case gives headers only: the compressed body is left to the client, so there is nothing to parse"
_ONE_NAME = "a parameter that is both named and in the catch-all map is sent once; the map's value is lost on the wire"
_FILLED = "the client fills in an idempotency token that its caller did not give"
_EMPTY_MAP = "a client sends nothing for an empty map or list in this place, so it is absent"
_EMPTY_STRUCTURE = "an absent structure is sent as {}, as an empty one is"
_MEDIA_TYPE = "the case has the JSON text as the parameter; operations see the decoded value, as botocore's callers do"
_BASE_PATH = "the client's endpoint has a path of its own; ours never has"
_TWO_RULES = (
    "Smithy names flattened lists after the member, botocore after the element; no model that we serve has both"
)

NOT_FOR_A_SERVER: dict[str, str] = {
    "input/query:SDKAppliedContentEncoding_awsQuery": _BODYLESS,
    "input/query:SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery": _BODYLESS,
    "input/query:QueryProtocolIdempotencyTokenAutoFill": _FILLED,
    "input/query:QueryEmptyQueryMaps": _EMPTY_MAP,
    "input/json:SDKAppliedContentEncoding_awsJson1_1": _BODYLESS,
    "input/json:SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1": _BODYLESS,
    "input/json_1_0:SDKAppliedContentEncoding_awsJson1_0": _BODYLESS,
    "input/json_1_0:SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0": _BODYLESS,
    "input/rest-json:SDKAppliedContentEncoding_restJson1": _BODYLESS,
    "input/rest-json:SDKAppendedGzipAfterProvidedEncoding_restJson1": _BODYLESS,
    "input/rest-xml:SDKAppliedContentEncoding_restXml": _BODYLESS,
    "input/rest-xml:SDKAppendedGzipAfterProvidedEncoding_restXml": _BODYLESS,
    "input/rest-json:RestJsonQueryIdempotencyTokenAutoFill": _FILLED,
    "input/rest-xml:QueryIdempotencyTokenAutoFill": _FILLED,
    "input/rest-json:RestJsonQueryPrecedence": _ONE_NAME,
    "input/rest-xml:RestXmlQueryPrecedence": _ONE_NAME,
    "input/rest-json:RestJsonHttpPrefixHeadersAreNotPresent": _EMPTY_MAP,
    "input/rest-xml:HttpPrefixHeadersAreNotPresent": _EMPTY_MAP,
    "input/rest-json:RestJsonOmitsEmptyListQueryValues": _EMPTY_MAP,
    "input/rest-json:RestJsonHttpWithEmptyStructurePayload": _EMPTY_STRUCTURE,
    "input/rest-json:RestJsonHttpWithHeadersButNoPayload": _EMPTY_STRUCTURE,
    "input/rest-json:MediaTypeHeaderInputBase64": _MEDIA_TYPE,
    "input/rest-json:RestJsonHostWithPath": _BASE_PATH,
    "output/rest-xml:XmlLists": _TWO_RULES,
    "output/query:QueryXmlLists": _TWO_RULES,
}

# botocore's own parser cannot read these responses as the cases want: the bytes are compared instead.
COMPARED_AS_SENT = {
    "output/rest-json:RestJsonInputAndOutputWithQuotedStringHeaders",
    "output/rest-json:RestJsonInputAndOutputWithTimestampHeaders",
    "output/rest-xml:InputAndOutputWithTimestampHeaders",
    "output/rest-json:RestJsonHttpPayloadWithUnsetUnion",
    "output/rest-xml:RestXmlHttpPayloadWithUnsetUnion",
    "output/rest-json:RestJsonHttpPayloadTraitsWithNoBlobBody",
    "output/rest-xml:HttpPayloadTraitsWithNoBlobBody",
}

INPUTS = [case for case in cases.load("input") if case.id not in NOT_FOR_A_SERVER]
_ANSWERS = [case for case in cases.load("output") if case.id not in NOT_FOR_A_SERVER]
OUTPUTS = [case for case in _ANSWERS if "error" not in case.case and case.id not in COMPARED_AS_SENT]
SENT = [case for case in _ANSWERS if case.id in COMPARED_AS_SENT]
ERRORS = [case for case in _ANSWERS if "error" in case.case]


def _ids(chosen: list[Case]) -> list[str]:
    return [case.id for case in chosen]


@pytest.mark.parametrize("case", INPUTS, ids=_ids(INPUTS))
async def test_request_is_parsed_to_the_parameters_it_was_made_from(case: Case) -> None:
    serialized = case.case["serialized"]
    path, _, query = serialized["uri"].partition("?")
    headers = {name.lower(): value for name, value in serialized.get("headers", {}).items()}
    if case.description["metadata"]["protocol"] == "json":
        headers["x-amz-target"] = f"{case.description['metadata']['targetPrefix']}.{case.case['given']['name']}"
    body = serialized.get("body", "").encode()
    request = WireRequest(method=serialized["method"], path=path, query=query, headers=headers, body=body)
    operation, labels = case.service.find(request)
    assert operation.name == case.case["given"]["name"]

    parsed = operation.parse(request, labels)

    shape = case.shape("input")
    expected = {} if shape is None else cases.seen(case.case["params"], shape)
    parsed = {name: await cases.collected(value) for name, value in parsed.items()}
    if shape is not None:
        _forget_named_parameters(parsed, expected, shape)
    assert cases.same(parsed, expected), f"{parsed} instead of {expected}"
    operation.validate(parsed)


def _forget_named_parameters(parsed: dict[str, Any], expected: dict[str, Any], shape: Shape) -> None:
    """A server's map of all query parameters holds the named ones too; some cases leave them out, some do not."""
    parameters = {name: member for name, member in shape.members.items() if member.location == "querystring"}
    named = {member.wire_name(name) for name, member in parameters.items() if member.type != "map"}
    for name, member in parameters.items():
        if member.type == "map" and name in parsed:
            wanted = expected.get(name, {})
            kept = {key: value for key, value in parsed[name].items() if key not in named or key in wanted}
            parsed[name] = kept
            if not kept:
                del parsed[name]


def _wire(response: WireResponse) -> dict[str, Any]:
    return {
        "status_code": response.status,
        "headers": HeadersDict(response.headers),
        "body": response.body,
        "context": {"operation_name": "Op"},
    }


def _parser(case: Case) -> Any:
    factory = ResponseParserFactory()
    factory.set_parser_defaults(timestamp_parser=lambda value: parse_timestamp(value).timestamp())
    return factory.create_parser(case.description["metadata"]["protocol"])


@pytest.mark.parametrize("case", OUTPUTS, ids=_ids(OUTPUTS))
def test_response_is_read_by_botocore_as_the_output_it_was_made_from(case: Case) -> None:
    shape = case.shape("output")
    output = {} if shape is None else cases.seen(case.case["result"], shape)
    operation = case.service.operation(case.case["given"]["name"])

    response = operation.render(output, request_id="request-1", status=case.case["response"]["status_code"], headers={})

    assert response.status == case.case["response"]["status_code"]
    model = ServiceModel(case.description).operation_model(operation.name)
    parsed = _parser(case).parse(_wire(response), model.output_shape)
    assert parsed.pop("ResponseMetadata")["RequestId"] == "request-1"
    if shape is not None:
        parsed = cases.seen({name: _text(value) for name, value in parsed.items()}, shape)
    for member in parsed.values():  # a map of all headers also has the one that we add
        if isinstance(member, dict):
            member.pop("x-amzn-requestid", None)
    assert cases.same(parsed, output), f"{parsed} instead of {output}: {response}"


@pytest.mark.parametrize("case", SENT, ids=_ids(SENT))
def test_response_has_the_headers_and_body_of_the_case(case: Case) -> None:
    shape = case.shape("output")
    assert shape is not None
    operation = case.service.operation(case.case["given"]["name"])
    response = operation.render(cases.seen(case.case["result"], shape), request_id="request-1", headers={})
    expected = {name: value for name, value in case.case["response"]["headers"].items() if name != "Content-Length"}
    assert dict(response.headers) == {"x-amzn-RequestId": "request-1", **expected}
    assert response.body == case.case["response"].get("body", "").encode()


def _text(value: Any) -> Any:
    """botocore gives blobs as bytes; the cases have text."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {key: _text(item) for key, item in value.items()}
    return [_text(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", ERRORS, ids=_ids(ERRORS))
def test_error_is_read_by_botocore_as_it_was_raised(case: Case) -> None:
    shape_name = case.case["given"]["errors"][0]["shape"]
    members = {name: value for name, value in case.case["error"].items() if name.lower() != "message"}

    class Modelled(AwsError):
        code = shape_name
        status = case.case["response"]["status_code"]

    error = Modelled(case.case.get("errorMessage", ""), members=members)
    service = case.service
    operation = service.operation(case.case["given"]["name"])
    response = render_error(
        service, operation.protocol, error, request_id="request-1", operation=operation, service_decl=None
    )

    model = ServiceModel(case.description)
    parsed = _parser(case).parse(_wire(response), model.operation_model(operation.name).output_shape)
    assert response.status == case.case["response"]["status_code"]
    assert parsed["Error"]["Code"] == case.case["errorCode"]
    assert parsed["Error"].get("Message", "") == case.case.get("errorMessage", "")
    modelled = _parser(case).parse(_wire(response), model.shape_for(shape_name))
    assert modelled == case.case["error"]


def test_every_exemption_is_a_case() -> None:
    known = {case.id for direction in ("input", "output") for case in cases.load(direction)}
    assert NOT_FOR_A_SERVER.keys() | COMPARED_AS_SENT <= known
