"""A function that invokes itself is stopped: through boto3, which hands on the trace header as on AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.api.lambda_functions import create_function, own_account, package

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
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
def traced(client: Any) -> Iterator[Callable[..., Any]]:
    """Invokes with a trace header of one's own."""
    header = ""

    def add(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Amzn-Trace-Id"] = header

    def invoke(trace: str, **event: Any) -> Any:
        nonlocal header
        header = trace
        return json.loads(client.invoke(FunctionName="f", Payload=json.dumps(event))["Payload"].read())

    client.meta.events.register("before-call.lambda.Invoke", add)
    yield invoke
    client.meta.events.unregister("before-call.lambda.Invoke", add)


def test_a_function_that_invokes_itself_through_boto3_is_stopped(client: Any, traced: Callable[..., Any]) -> None:
    variables = {"SDK": str(Path(boto3.__file__).parents[1])}
    code = {"ZipFile": package({"handler.py": PROGRAM})}
    create_function(client, "f", Code=code, Timeout=120, Environment={"Variables": variables})
    # Every run of the loop is a cold start that imports boto3: it begins where only three are left.
    seen = traced(TRACE)["trace"]
    assert seen.endswith(":1")

    assert traced(f"{seen}3", boto3=True, depth=14) == {"depth": 16, "code": "RecursiveInvocationException"}


def test_sixteen_runs_are_the_end_of_a_chain(client: Any, traced: Callable[..., Any]) -> None:
    create_function(client, "f", Code={"ZipFile": package({"handler.py": PROGRAM})})
    trace = TRACE
    for _ in range(16):
        trace = traced(trace)["trace"]
    assert trace.startswith(f"{TRACE};Lineage=")
    with pytest.raises(client.exceptions.RecursiveInvocationException) as caught:
        traced(trace)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    client.put_function_recursion_config(FunctionName="f", RecursiveLoop="Allow")
    assert traced(trace)["trace"].endswith(":17")
