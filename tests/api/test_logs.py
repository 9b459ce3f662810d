"""CloudWatch Logs through boto3 and the AWS CLI against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambent.testing.server import ServerProcess
from tests.api.lambda_functions import create_function, package

Aws = Callable[..., Any]
Unique = Callable[..., str]

SOURCE = """
import json

def handler(event, context):
    print(json.dumps({"level": "INFO", "n": event["n"]}))
"""


@pytest.fixture
def group(aws: Aws, unique: Unique) -> Iterator[str]:
    name = unique("group")
    aws("logs").create_log_group(logGroupName=name)
    aws("logs").create_log_stream(logGroupName=name, logStreamName="s")
    yield name
    aws("logs").delete_log_group(logGroupName=name)


@pytest.fixture(scope="module")
def function(aws: Aws) -> str:
    """A function that prints its event."""
    name = f"logs-{os.getpid()}"
    create_function(aws("lambda"), name, Runtime="python3.11", Code={"ZipFile": package({"handler.py": SOURCE})})
    return name


def put(logs: Any, group: str, *messages: str) -> dict[str, Any]:
    now_ms = int(time.time() * 1000)
    events = [{"timestamp": now_ms + n, "message": message} for n, message in enumerate(messages)]
    return logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)  # type: ignore[no-any-return]


def cli(server: ServerProcess, *arguments: str) -> subprocess.Popen[str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("aws")), "--endpoint-url", server.endpoint, *arguments],
        env=mine
        | credentials
        | {"AWS_CONFIG_FILE": os.devnull, "PYTHONUNBUFFERED": "1"}
        | {"AWS_DISABLE_HOST_PREFIX_INJECTION": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_events_through_pages(aws: Aws, group: str) -> None:
    logs = aws("logs")
    put(logs, group, *map(str, range(25)))
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, limit=10)
    seen = [[event["message"] for event in page["events"]] for page in pages]
    assert [len(page) for page in seen] == [10, 10, 5]
    assert [message for page in seen for message in page] == list(map(str, range(25)))
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["s"]
    events, token = [], None
    while True:
        arguments = {"nextToken": token} if token else {}
        answer = logs.get_log_events(logGroupName=group, logStreamName="s", startFromHead=True, limit=10, **arguments)
        events += answer["events"]
        if answer["nextForwardToken"] == token:
            break
        token = answer["nextForwardToken"]
    assert len(events) == 25


def test_errors_are_those_of_aws(server: ServerProcess, aws: Aws, group: str) -> None:
    logs = aws("logs")

    def refused(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as caught:
            call(**params)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    assert refused(logs.create_log_group, logGroupName=group) == (
        "ResourceAlreadyExistsException",
        "The specified log group already exists",
    )
    assert refused(logs.get_log_events, logGroupName="none", logStreamName="s") == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
    assert refused(logs.create_log_group, logGroupName="not allowed!") == (
        "InvalidParameterException",
        "1 validation error detected: Value 'not allowed!' at 'logGroupName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
    )
    unchecked = server.client("logs", parameter_validation=False)
    assert refused(unchecked.put_log_events, logGroupName=group, logStreamName="s", logEvents=[]) == (
        "InvalidParameterException",
        "1 validation error detected: Value '[]' at 'logEvents' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1",
    )
    code, text = refused(logs.create_log_group, logGroupName="k", kmsKeyId="arn:aws:kms:us-east-1:0:key/x")
    assert (code, "kmsKeyId" in text) == ("InvalidParameterException", True)


def test_json_patterns_over_what_a_function_prints(aws: Aws, function: str) -> None:
    for number in range(3):
        aws("lambda").invoke(FunctionName=function, Payload=json.dumps({"n": number}))
    found = aws("logs").filter_log_events(
        logGroupName=f"/aws/lambda/{function}", filterPattern='{ $.n >= 1 && $.level = "INFO" }'
    )
    assert [json.loads(event["message"])["n"] for event in found["events"]][:2] == [1, 2]


def test_the_cli_finds_what_a_function_printed(server: ServerProcess, aws: Aws, function: str) -> None:
    aws("lambda").invoke(FunctionName=function, Payload=json.dumps({"n": 4711}))
    ran = cli(
        server, "logs", "filter-log-events", "--log-group-name", f"/aws/lambda/{function}", "--filter-pattern", "4711"
    )
    output, errors = ran.communicate(timeout=60)
    assert ran.returncode == 0, errors
    [event] = json.loads(output)["events"]
    assert json.loads(event["message"]) == {"level": "INFO", "n": 4711}


def test_following_a_function_as_the_cli_does(aws: Aws, function: str) -> None:
    """What `aws logs tail --follow` of the second CLI asks: FilterLogEvents from the last event's time, without those
    whose id it has seen. A line must be there in the first question that follows it."""
    logs, functions = aws("logs"), aws("lambda")
    functions.invoke(FunctionName=function, Payload=json.dumps({"n": 0}))
    since_ms, seen = int(time.time() * 1000) - 60_000, set[str]()

    def poll() -> list[str]:
        nonlocal since_ms
        new = []
        for page in logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{function}", startTime=since_ms, interleaved=True
        ):
            for event in page["events"]:
                if event["eventId"] not in seen:
                    seen.add(event["eventId"])
                    new.append(event["message"])
                    since_ms = event["timestamp"]
        return new

    poll()
    for number in range(1000, 1005):
        functions.invoke(FunctionName=function, Payload=json.dumps({"n": number}))
        lines = poll()
        assert [json.loads(line)["n"] for line in lines if line.startswith("{")] == [number]
        assert [line for line in lines if line.startswith("REPORT")]
    assert poll() == []


def test_live_tail_shows_lines_within_a_second(server: ServerProcess, aws: Aws, function: str) -> None:
    functions = aws("lambda")
    functions.invoke(FunctionName=function, Payload=json.dumps({"n": 0}))
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/{function}"
    # A client of its own: the stream holds its connection.
    client = server.client("logs", inject_host_prefix=False)
    stream = client.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern="{ $.n = 77 }")["responseStream"]
    invoked_at: list[float] = []

    def invoke() -> None:
        invoked_at.append(time.monotonic())
        functions.invoke(FunctionName=function, Payload=json.dumps({"n": 77}))

    events = iter(stream)
    assert "sessionStart" in next(events)
    thread = threading.Thread(target=invoke)
    thread.start()
    for event in events:
        if event["sessionUpdate"]["sessionResults"]:
            break
    took_s = time.monotonic() - invoked_at[0]
    thread.join()
    stream.close()
    assert json.loads(event["sessionUpdate"]["sessionResults"][0]["message"])["n"] == 77
    # One second between updates, the sink's fifth of a second, and the invoke itself on a busy machine.
    assert took_s < 5


def test_the_cli_follows_a_function(server: ServerProcess, aws: Aws, function: str) -> None:
    aws("lambda").invoke(FunctionName=function, Payload=json.dumps({"n": 0}))
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/{function}"
    tail = cli(server, "logs", "start-live-tail", "--log-group-identifiers", arn)
    assert tail.stdout is not None
    found = threading.Event()

    def invoke() -> None:  # again and again: nothing says when the session has begun
        for _ in range(60):
            aws("lambda").invoke(FunctionName=function, Payload=json.dumps({"n": 88}))
            if found.wait(0.5):
                return

    thread = threading.Thread(target=invoke)
    thread.start()
    try:
        for line in tail.stdout:
            if '"n": 88' in line:
                found.set()
                break
    finally:
        tail.kill()
        tail.communicate()
        thread.join()
    assert found.is_set()


def test_logs_survive_a_kill(tmp_path: Path) -> None:
    with ServerProcess(data=tmp_path / "data") as server:
        logs = server.client("logs")
        logs.create_log_group(logGroupName="g", tags={"a": "b"})
        logs.create_log_stream(logGroupName="g", logStreamName="s")
        logs.put_retention_policy(logGroupName="g", retentionInDays=7)
        put(logs, "g", "kept")
        server.kill()
        server.start()
        logs = server.client("logs")
        [found] = logs.describe_log_groups()["logGroups"]
        assert (found["logGroupName"], found["retentionInDays"]) == ("g", 7)
        assert logs.list_tags_for_resource(resourceArn=found["logGroupArn"])["tags"] == {"a": "b"}
        assert [event["message"] for event in logs.filter_log_events(logGroupName="g")["events"]] == ["kept"]
