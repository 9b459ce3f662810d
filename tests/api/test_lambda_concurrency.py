from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lambent.testing.server import ServerProcess
from tests.api.lambda_functions import create_function, own_account, package

Aws = Callable[..., Any]
SLOW = "import time\n\n\ndef handler(event, context):\n    time.sleep(2)\n"


@pytest.fixture
def client(aws: Aws) -> Any:
    return aws("lambda", access_key=own_account())


def test_a_reservation_is_kept_and_lifted(client: Any) -> None:
    create_function(client, "f")
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName="f")

    put = client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=7)

    assert put["ReservedConcurrentExecutions"] == 7
    assert client.get_function_concurrency(FunctionName="f")["ReservedConcurrentExecutions"] == 7
    assert client.get_function(FunctionName="f")["Concurrency"] == {"ReservedConcurrentExecutions": 7}
    lifted = client.delete_function_concurrency(FunctionName="f")
    assert lifted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "Concurrency" not in client.get_function(FunctionName="f")


def test_zero_blocks_the_function(client: Any) -> None:
    create_function(client, "f")
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)

    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        client.invoke(FunctionName="f")

    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client.delete_function_concurrency(FunctionName="f")
    assert client.invoke(FunctionName="f", Payload=b"1")["Payload"].read() == b"1"


def test_a_reservation_bounds_the_function(client: Any) -> None:
    create_function(client, "f", Code={"ZipFile": package({"handler.py": SLOW})}, Timeout=30)
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=2)

    def outcome(_: int) -> str:
        try:
            return str(client.invoke(FunctionName="f")["StatusCode"])
        except client.exceptions.TooManyRequestsException as throttled:
            return str(throttled.response["Reason"])

    with ThreadPoolExecutor(5) as pool:
        outcomes = Counter(pool.map(outcome, range(5)))

    assert outcomes == {"200": 2, "ReservedFunctionConcurrentInvocationLimitExceeded": 3}


def test_reservations_hold_after_a_restart() -> None:
    with ServerProcess() as server:
        create_function(server.client("lambda"), "f")
        server.client("lambda").put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
        server.stop()
        server.start()
        client = server.client("lambda")

        assert client.get_function_concurrency(FunctionName="f")["ReservedConcurrentExecutions"] == 0
        with pytest.raises(client.exceptions.TooManyRequestsException):
            client.invoke(FunctionName="f")


def test_a_function_made_anew_has_no_old_reservation(client: Any) -> None:
    create_function(client, "f")
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    client.delete_function(FunctionName="f")

    create_function(client, "f")

    assert client.invoke(FunctionName="f", Payload=b"1")["Payload"].read() == b"1"


def test_account_settings_count_what_is_there(client: Any) -> None:
    assert client.get_account_settings()["AccountUsage"] == {"TotalCodeSize": 0, "FunctionCount": 0}
    create_function(client, "f")
    create_function(client, "g")
    client.publish_version(FunctionName="f")
    client.publish_layer_version(LayerName="l", Content={"ZipFile": package()})
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=100)

    settings = client.get_account_settings()

    assert settings["AccountUsage"] == {"TotalCodeSize": 4 * len(package()), "FunctionCount": 2}
    limit = settings["AccountLimit"]
    assert limit["ConcurrentExecutions"] - limit["UnreservedConcurrentExecutions"] == 100
    assert (limit["CodeSizeUnzipped"], limit["CodeSizeZipped"]) == (262144000, 52428800)


def test_what_is_refused(client: Any) -> None:
    create_function(client, "f")

    def refusal(**params: Any) -> tuple[str, str]:
        with pytest.raises(client.exceptions.ClientError) as caught:
            client.put_function_concurrency(**{"FunctionName": "f", "ReservedConcurrentExecutions": 1} | params)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    assert refusal(ReservedConcurrentExecutions=901) == (
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [100].",
    )
    for qualified in ("f:1", "f:$LATEST"):
        assert refusal(FunctionName=qualified) == (
            "InvalidParameterValueException",
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
            "operation. Please specify either a function name or an unqualified function ARN.",
        )
    code, message = refusal(FunctionName="no")
    assert code == "ResourceNotFoundException"
    assert message.startswith("Function not found: ")
    assert message.endswith(":function:no:$LATEST")
