"""Provisioned concurrency on real processes: a function tells which of its environments ran, and how it was made."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lambent.testing.server import ServerProcess
from tests.api.lambda_functions import create_function, own_account, package, wait_active

Aws = Callable[..., Any]
KEPT = "provisioned-concurrency"
PROGRAM = """
import os, time, uuid

WHO = str(uuid.uuid4())
print("INIT", os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"])
if os.environ.get("BROKEN"):
    raise RuntimeError("no database")

def handler(event, context):
    if event.get("die"):
        os._exit(1)
    time.sleep(event.get("sleep", 0))
    return {"who": WHO, "kind": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]}
"""


class Function:
    """`f` with version 1 and the alias `live`. Its log has a line for each init."""

    def __init__(self, client: Any, logs: Any) -> None:
        self.client = client
        self.logs = logs
        create_function(client, "f", Code={"ZipFile": package({"handler.py": PROGRAM})}, Timeout=30)
        client.publish_version(FunctionName="f")
        client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")

    def kinds(self) -> list[str]:
        """How the environments were made that have been initialised so far."""
        found = self.logs.filter_log_events(logGroupName="/aws/lambda/f", filterPattern="INIT")["events"]
        return sorted(event["message"].split()[1] for event in found if event["message"].startswith("INIT "))

    def ask(self, event: Any, qualifier: str = "live") -> Any:
        answer = self.client.invoke(FunctionName="f", Qualifier=qualifier, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read())

    def put(self, executions: int, qualifier: str = "live") -> Any:
        return self.client.put_provisioned_concurrency_config(
            FunctionName="f", Qualifier=qualifier, ProvisionedConcurrentExecutions=executions
        )

    def wait(self, status: str, qualifier: str = "live", client: Any = None) -> Any:
        until = time.monotonic() + 60
        while True:
            seen = (client or self.client).get_provisioned_concurrency_config(FunctionName="f", Qualifier=qualifier)
            if seen["Status"] == status:
                return seen
            assert time.monotonic() < until, seen
            time.sleep(0.05)


@pytest.fixture
def function(aws: Aws) -> Function:
    account = own_account()
    return Function(aws("lambda", access_key=account), aws("logs", access_key=account))


def test_environments_are_warm_before_the_first_invoke_and_more_spill_over(function: Function) -> None:
    put = function.put(2)
    assert (put["ResponseMetadata"]["HTTPStatusCode"], put["Status"]) == (202, "IN_PROGRESS")
    assert put["RequestedProvisionedConcurrentExecutions"] == 2
    assert put["AvailableProvisionedConcurrentExecutions"] == 0
    ready = function.wait("READY")
    assert ready["AvailableProvisionedConcurrentExecutions"] == 2
    assert ready["AllocatedProvisionedConcurrentExecutions"] == 2
    assert function.kinds() == [KEPT, KEPT]

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: function.ask({"sleep": 2}), range(3)))

    assert sorted(answer["kind"] for answer in answers) == ["on-demand", KEPT, KEPT]
    assert len({answer["who"] for answer in answers}) == 3
    assert function.kinds() == ["on-demand", KEPT, KEPT]
    assert function.ask({}, "1")["kind"] == KEPT  # whoever invokes the version
    assert function.ask({}, "$LATEST")["kind"] == "on-demand"


def test_one_that_dies_is_replaced(function: Function) -> None:
    function.put(1)
    function.wait("READY")
    first = function.ask({})
    assert "errorType" in function.ask({"die": True})
    until = time.monotonic() + 30
    while len(function.kinds()) < 2 or function.wait("READY")["AvailableProvisionedConcurrentExecutions"] < 1:
        assert time.monotonic() < until
        time.sleep(0.05)
    second = function.ask({})
    assert second["kind"] == KEPT
    assert second["who"] != first["who"]
    assert function.kinds() == [KEPT, KEPT]


def test_a_failed_init_is_told_and_the_server_goes_on(function: Function) -> None:
    client = function.client
    client.update_function_configuration(FunctionName="f", Environment={"Variables": {"BROKEN": "1"}})
    wait_active(client, "f")
    client.publish_version(FunctionName="f")
    function.put(1, "2")
    failed = function.wait("FAILED", "2")
    assert failed["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    assert failed["AvailableProvisionedConcurrentExecutions"] == 0
    assert function.ask({}, "2")["errorMessage"] == "no database"
    function.put(1)
    assert "StatusReason" not in function.wait("READY")
    assert function.ask({})["kind"] == KEPT


def test_a_reservation_that_is_all_provisioned_leaves_nothing_to_others(function: Function) -> None:
    client = function.client
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=2)
    function.put(2)
    function.wait("READY")
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        function.ask({}, "$LATEST")
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert function.ask({})["kind"] == KEPT
    with pytest.raises(client.exceptions.InvalidParameterValueException) as lower:
        client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    assert lower.value.response["Error"]["Message"] == (
        " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2]."
    )
    assert (
        client.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="live")["ResponseMetadata"][
            "HTTPStatusCode"
        ]
        == 204
    )
    assert function.ask({}, "$LATEST")["kind"] == "on-demand"


def test_the_account_counts_it_and_lists_show_it(function: Function) -> None:
    client = function.client
    before = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    function.put(3)
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == before - 3
    function.wait("READY")
    pages = client.get_paginator("list_provisioned_concurrency_configs").paginate(FunctionName="f")
    [item] = [item for page in pages for item in page["ProvisionedConcurrencyConfigs"]]
    assert item["FunctionArn"].endswith(":function:f:live")
    assert (item["Status"], item["AvailableProvisionedConcurrentExecutions"]) == ("READY", 3)
    client.publish_version(FunctionName="f", Description="the same")
    client.update_function_configuration(FunctionName="f", MemorySize=256)
    wait_active(client, "f")
    client.publish_version(FunctionName="f")
    client.update_alias(FunctionName="f", Name="live", FunctionVersion="2")
    with pytest.raises(client.exceptions.ProvisionedConcurrencyConfigNotFoundException):
        client.get_provisioned_concurrency_config(FunctionName="f", Qualifier="live")
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == before


def test_it_comes_up_again_after_a_restart() -> None:
    with ServerProcess() as server:
        function = Function(server.client("lambda"), server.client("logs"))
        function.put(2)
        function.wait("READY")
        server.stop()
        server.start()
        client = server.client("lambda")
        function.wait("READY", client=client)
        assert "could not be started" not in server.output
        answer = client.invoke(FunctionName="f", Qualifier="live", Payload=b"{}")
        assert json.loads(answer["Payload"].read())["kind"] == KEPT
