"""A function that invokes itself is stopped: through boto3, which hands on the trace header as on AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.api.lambda_functions import create_function, own_account, package

# Each run keeps its environment busy, so each costs a cold start: the chain is as short as a loop can be.
PROGRAM = """
import json, os, sys

sys.path.append(os.environ.get("SDK", ""))  # where functions are not given boto3 by their environment

def handler(event, context):
    if event.get("boto3"):
        import boto3
        from botocore.exceptions import ClientError
        try:
            invoked = boto3.client("lambda").invoke(
                FunctionName=context.invoked_function_arn, Payload=json.dumps(event | {"depth": event["depth"] + 1})
            )
        except ClientError as error:
            return {"depth": event["depth"], "code": error.response["Error"]["Code"]}
        return json.loads(invoked["Payload"].read())
    return {"trace": os.environ["_X_AMZN_TRACE_ID"]}
"""


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("lambda", access_key=own_account())


@pytest.fixture
def traced(client: Any) -> Iterator[Callable[[str], Any]]:
    """Invokes with a trace header of one's own."""
    header = ""

    def add(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Amzn-Trace-Id"] = header

    def invoke(trace: str) -> Any:
        nonlocal header
        header = trace
        return json.loads(client.invoke(FunctionName="f", Payload=b"{}")["Payload"].read())["trace"]

    client.meta.events.register("before-call.lambda.Invoke", add)
    yield invoke
    client.meta.events.unregister("before-call.lambda.Invoke", add)


def test_a_function_that_invokes_itself_is_stopped_after_sixteen_runs(client: Any) -> None:
    variables = {"SDK": str(Path(boto3.__file__).parents[1])}
    create_function(
        client,
        "f",
        Code={"ZipFile": package({"handler.py": PROGRAM})},
        Timeout=120,
        MemorySize=256,
        Environment={"Variables": variables},
    )

    answer = json.loads(client.invoke(FunctionName="f", Payload=b'{"boto3": true, "depth": 1}')["Payload"].read())

    assert answer == {"depth": 16, "code": "RecursiveInvocationException"}


def test_the_header_that_a_function_sees_counts_its_runs(client: Any, traced: Callable[[str], Any]) -> None:
    create_function(client, "f", Code={"ZipFile": package({"handler.py": PROGRAM})})
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    for _ in range(16):
        trace = traced(trace)
    assert trace.startswith("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=")
    with pytest.raises(client.exceptions.RecursiveInvocationException) as caught:
        traced(trace)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    client.put_function_recursion_config(FunctionName="f", RecursiveLoop="Allow")
    assert traced(trace).endswith(":17")
