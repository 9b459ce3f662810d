"""Event streams, read back by botocore."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from lambent.core.errors import AwsError
from lambent.server.protocol import ServiceModels, UnknownOutputMember
from lambent.server.protocol.service import compile_service
from lambent.server.protocol.shapes import from_description

MODELS = ServiceModels()


async def events(*items: Mapping[str, Any], error: AwsError | None = None) -> AsyncIterator[Mapping[str, Any]]:
    for item in items:
        yield item
    if error is not None:
        raise error


async def frames(body: Any) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    async for chunk in body:
        buffer.add_data(chunk)
    return [(message.headers, message.payload) for message in buffer]


async def test_invoke_with_response_stream() -> None:
    operation = MODELS.service("lambda").operation("InvokeWithResponseStream")
    stream = events(
        {"PayloadChunk": {"Payload": b"a\x00"}},
        {"PayloadChunk": {"Payload": b""}},
        {"InvokeComplete": {"LogResult": "eA=="}},
    )
    response = operation.render(
        {"StatusCode": 200, "ExecutedVersion": "$LATEST", "EventStream": stream}, request_id="r", headers={}
    )
    assert dict(response.headers)["Content-Type"] == "application/vnd.amazon.eventstream"
    assert dict(response.headers)["X-Amz-Executed-Version"] == "$LATEST"
    assert await frames(response.body) == [
        (
            {":event-type": "PayloadChunk", ":content-type": "application/octet-stream", ":message-type": "event"},
            b"a\x00",
        ),
        ({":event-type": "PayloadChunk", ":content-type": "application/octet-stream", ":message-type": "event"}, b""),
        (
            {":event-type": "InvokeComplete", ":content-type": "application/json", ":message-type": "event"},
            b'{"LogResult":"eA=="}',
        ),
    ]


async def test_a_modelled_content_type_goes_before_the_stream_s() -> None:
    operation = MODELS.service("lambda").operation("InvokeWithResponseStream")
    output = {"EventStream": events(), "ResponseStreamContentType": "text/html"}
    response = operation.render(output, request_id="r", headers={})
    assert [value for name, value in response.headers if name.lower() == "content-type"] == ["text/html"]


class Broken(AwsError):
    code = "SessionStreamingException"


class Unmodelled(AwsError):
    code = "SomethingElse"


async def test_errors_in_the_middle_end_the_stream_as_frames() -> None:
    operation = MODELS.service("logs").operation("StartLiveTail")
    update = {
        "sessionUpdate": {"sessionMetadata": {"sampled": True}, "sessionResults": [{"message": "m", "timestamp": 5}]}
    }

    response = operation.render({"responseStream": events(update, error=Broken("gone"))}, request_id="r", headers={})
    first, second, last = await frames(response.body)
    assert (first[0][":event-type"], first[1]) == ("initial-response", b"{}")
    assert second[1] == b'{"sessionMetadata":{"sampled":true},"sessionResults":[{"message":"m","timestamp":5}]}'
    assert last[0][":message-type"] == "exception"
    assert last[0][":exception-type"] == "SessionStreamingException"
    assert last[1] == b'{"message":"gone"}'

    response = operation.render({"responseStream": events(error=Unmodelled("gone"))}, request_id="r", headers={})
    _, last = await frames(response.body)
    assert last[0] == {":error-code": "SomethingElse", ":error-message": "gone", ":message-type": "error"}


async def test_xml_events() -> None:
    operation = MODELS.service("s3").operation("SelectObjectContent")
    stats = {"Stats": {"Details": {"BytesScanned": 1}}}
    response = operation.render(
        {"Payload": events({"Records": {"Payload": b"x"}}, stats, {"End": {}})}, request_id="r", headers={}
    )
    records, stats_frame, end = await frames(response.body)
    assert records[1] == b"x"
    assert b"<BytesScanned>1</BytesScanned>" in stats_frame[1]
    assert end[0][":event-type"] == "End"


async def test_header_members_of_every_type() -> None:
    model = from_description(
        {
            "metadata": {"protocol": "rest-json"},
            "operations": {
                "Op": {"name": "Op", "http": {"method": "GET", "requestUri": "/"}, "output": {"shape": "Out"}}
            },
            "shapes": {
                "Out": {"type": "structure", "members": {"Events": {"shape": "Events"}}, "payload": "Events"},
                "Events": {"type": "structure", "eventstream": True, "members": {"One": {"shape": "One"}}},
                "One": {
                    "type": "structure",
                    "event": True,
                    "members": {
                        "S": {"shape": "S", "eventheader": True},
                        "I": {"shape": "I", "eventheader": True},
                        "L": {"shape": "L", "eventheader": True},
                        "B": {"shape": "B", "eventheader": True},
                        "T": {"shape": "T", "eventheader": True},
                        "Y": {"shape": "Y", "eventheader": True},
                        "Body": {"shape": "S"},
                    },
                },
                "S": {"type": "string"},
                "I": {"type": "integer"},
                "L": {"type": "long"},
                "B": {"type": "boolean"},
                "T": {"type": "timestamp"},
                "Y": {"type": "blob"},
            },
        }
    )
    operation = compile_service("case", model).operation("Op")
    event = {"One": {"S": "ü", "I": -1, "L": 2**40, "B": True, "T": 1.5, "Y": b"\x00", "Body": "b"}}
    ((headers, payload),) = await frames(operation.render({"Events": events(event)}, request_id="r", headers={}).body)
    shown = {name: headers[name] for name in ("S", "I", "L", "B", "T", "Y")}
    assert shown == {"S": "ü", "I": -1, "L": 2**40, "B": True, "T": 1500, "Y": b"\x00"}
    assert payload == b'{"Body":"b"}'


async def test_events_that_the_model_does_not_have_are_faults_of_ours() -> None:
    operation = MODELS.service("lambda").operation("InvokeWithResponseStream")
    for event in ({"Nope": {}}, {"PayloadChunk": {"Nope": 1}}, {"InvokeComplete": {"Nope": 1}}):
        response = operation.render({"EventStream": events(event)}, request_id="r", headers={})
        with pytest.raises(UnknownOutputMember):
            await frames(response.body)
