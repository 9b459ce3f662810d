"""Time to parse, validate and render the hot operations, beside the JSON library alone on the same bytes.

The floor decodes the request's body and encodes a body like the response's; what is above it is routing, bindings, type
checks, constraints and headers. Prints microseconds per call, the best of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from lambent.server.protocol import ServiceModels
from lambent.server.wire import WireRequest

ROUNDS = 7
ROUND_S = 0.05
ROLE = "arn:aws:iam::000000000000:role/service-role/role"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:function"


class Case(NamedTuple):
    name: str
    service: str
    request: WireRequest
    output: Mapping[str, Any]


def configuration(number: int = 0) -> dict[str, Any]:
    """A function as GetFunction and ListFunctions answer it."""
    return {
        "FunctionName": f"function{number}",
        "FunctionArn": f"{FUNCTION_ARN}{number}",
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": 1234,
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "LastModified": "2026-01-02T03:04:05.000+0000",
        "CodeSha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "Version": "$LATEST",
        "Environment": {"Variables": {"A": "1", "B": "2"}},
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": "3b1a2b3c-0000-4000-8000-000000000000",
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "RuntimeVersionConfig": {"RuntimeVersionArn": f"arn:aws:lambda:us-east-1::runtime:{'0' * 64}"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/function"},
    }


def cases() -> list[Case]:
    """The operations that are measured."""
    json_headers = {"host": "localhost:4566", "content-type": "application/json", "authorization": "x" * 200}
    functions = "/2015-03-31/functions"
    code = {"RepositoryType": "S3", "Location": "http://localhost:4566/code"}
    role = {"Path": "/", "RoleName": "r", "RoleId": "AROA", "Arn": ROLE, "CreateDate": 1.7e9}
    listing = {"Functions": [configuration(number) for number in range(50)]}
    return [
        Case(
            "lambda Invoke",
            "lambda",
            WireRequest(
                method="POST",
                path=f"{functions}/function/invocations",
                query="",
                headers={**json_headers, "x-amz-invocation-type": "RequestResponse", "x-amz-log-type": "None"},
                body=b'{"key":"value"}',
            ),
            {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": b'{"key":"value"}'},
        ),
        Case(
            "lambda GetFunction",
            "lambda",
            WireRequest(method="GET", path=f"{functions}/function", query="", headers=json_headers),
            {"Configuration": configuration(), "Code": code, "Tags": {"team": "a"}},
        ),
        Case(
            "lambda ListFunctions(50)",
            "lambda",
            WireRequest(method="GET", path=functions, query="MaxItems=50", headers=json_headers),
            listing,
        ),
        Case(
            "sqs SendMessage",
            "sqs",
            WireRequest(
                method="POST",
                path="/",
                query="",
                headers={"x-amz-target": "AmazonSQS.SendMessage", "content-type": "application/x-amz-json-1.0"},
                body=b'{"QueueUrl":"http://localhost:4566/000000000000/queue","MessageBody":"hello world"}',
            ),
            {"MessageId": "3b1a2b3c-0000-4000-8000-000000000000", "MD5OfMessageBody": "0" * 32},
        ),
        Case(
            "sqs SendMessage (query)",
            "sqs",
            WireRequest(
                method="POST",
                path="/",
                query="",
                headers={"content-type": "application/x-www-form-urlencoded"},
                body=b"Action=SendMessage&Version=2012-11-05&MessageBody=hello+world"
                b"&QueueUrl=http%3A%2F%2Flocalhost%3A4566%2F000000000000%2Fqueue",
            ),
            {"MessageId": "3b1a2b3c-0000-4000-8000-000000000000", "MD5OfMessageBody": "0" * 32},
        ),
        Case(
            "iam CreateRole",
            "iam",
            WireRequest(
                method="POST",
                path="/",
                query="",
                headers={"content-type": "application/x-www-form-urlencoded"},
                body=b"Action=CreateRole&Version=2010-05-08&RoleName=r&Path=%2F&AssumeRolePolicyDocument=%7B%22Version"
                b"%22%3A%222012-10-17%22%7D&Tags.member.1.Key=team&Tags.member.1.Value=a",
            ),
            {"Role": {**role, "AssumeRolePolicyDocument": "%7B%7D", "Tags": [{"Key": "team", "Value": "a"}]}},
        ),
    ]


def microseconds(call: Callable[[], object]) -> float:
    """The time of one call: the best of several rounds."""
    call()
    best = float("inf")
    for _ in range(ROUNDS):
        calls, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < ROUND_S:
            for _ in range(10):
                call()
            calls += 10
        best = min(best, spent / calls)
    return best * 1e6


def measure(models: ServiceModels, case: Case) -> tuple[float, float, float, float, float]:
    """Microseconds to find and parse, to validate, to render, and of the floor's decoding and encoding."""
    service, request = models.service(case.service), case.request
    operation, labels = service.find(request)
    params = operation.parse(request, labels)
    operation.validate(params)
    payload = case.output.get("Payload")

    def find_and_parse() -> object:
        found, found_labels = service.find(request)
        return found.parse(request, found_labels)

    body = request.body if isinstance(request.body, bytes) and request.body.startswith(b"{") else b"{}"
    plain = {"Payload": payload.decode()} if isinstance(payload, bytes) else case.output
    return (
        microseconds(find_and_parse),
        microseconds(lambda: operation.validate(params)),
        microseconds(lambda: operation.render(case.output, request_id="r", headers={})),
        microseconds(lambda: msgspec.json.decode(body)),
        microseconds(lambda: msgspec.json.encode(plain)),
    )


def start_up() -> tuple[float, float]:
    """Milliseconds to load Lambda's model, and to compile its routes and first operation."""
    models = ServiceModels()
    began = time.perf_counter()
    service = models.service("lambda")
    loaded = time.perf_counter()
    service.route("GET", "/2015-03-31/functions", "")
    service.operation("Invoke")
    return (loaded - began) * 1e3, (time.perf_counter() - loaded) * 1e3


def main() -> None:
    """Print the table."""
    load_ms, compile_ms = start_up()
    print(f"lambda: model loaded in {load_ms:.1f} ms; routes and Invoke compiled in {compile_ms:.1f} ms")
    print(f"{'us per call':26}{'find+parse':>11}{'validate':>10}{'render':>9}{'total':>9}{'floor':>9}{'ratio':>7}")
    models = ServiceModels()
    for case in cases():
        parse, validate, render, decode, encode = measure(models, case)
        total, floor = parse + validate + render, decode + encode
        line = f"{case.name:26}{parse:11.2f}{validate:10.2f}{render:9.2f}{total:9.2f}{floor:9.2f}{total / floor:7.1f}"
        print(line)


if __name__ == "__main__":
    main()
