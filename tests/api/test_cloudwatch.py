"""CloudWatch metrics through boto3 and the AWS CLI against a real server."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from lambent.testing.server import ServerProcess
from tests.api.lambda_functions import create_function, package

Aws = Callable[..., Any]
Unique = Callable[..., str]

FAILING = "def handler(event, context):\n    if event.get('fail'):\n        raise ValueError('no')\n"


def span() -> dict[str, datetime]:
    now = datetime.now(UTC)
    return {"StartTime": now - timedelta(minutes=10), "EndTime": now + timedelta(minutes=10)}


def total(cloudwatch: Any, namespace: str, name: str, statistic: str, **dimensions: str) -> float:
    points = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        Period=3600,
        Statistics=[statistic],
        **span(),
    )["Datapoints"]
    return float(sum(point[statistic] for point in points))


@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        ("smithy-rpc-v2-cbor", "/service/GraniteServiceVersion20100801/operation/PutMetricData"),
        ("json", "/"),
        ("query", "/"),
    ],
)
def test_boto3_in_every_protocol(
    server: ServerProcess, unique: Unique, monkeypatch: pytest.MonkeyPatch, protocol: str, path: str
) -> None:
    # Of the protocols that the model names, botocore takes the first in this order of its own; SDKs differ in it.
    monkeypatch.setattr("botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS", (protocol,))
    cloudwatch, sent = server.client("cloudwatch"), list[AWSRequest]()
    cloudwatch.meta.events.register("before-send", lambda request, **_: sent.append(request))
    namespace = unique("app")
    cloudwatch.put_metric_data(
        Namespace=namespace, MetricData=[{"MetricName": "m", "Values": [1.0, 2.0, 4.5], "Unit": "Milliseconds"}]
    )
    assert urlsplit(sent[0].url).path == path
    assert cloudwatch.list_metrics(Namespace=namespace)["Metrics"] == [
        {"Namespace": namespace, "MetricName": "m", "Dimensions": []}
    ]
    assert total(cloudwatch, namespace, "m", "Sum") == 7.5
    queries = [
        {
            "Id": "a",
            "MetricStat": {"Metric": {"Namespace": namespace, "MetricName": "m"}, "Period": 60, "Stat": "p50"},
        },
        {"Id": "double", "Expression": "a * 2"},
    ]
    results = cloudwatch.get_metric_data(MetricDataQueries=queries, **span())["MetricDataResults"]
    assert results[0]["Values"] == [pytest.approx(2.0, rel=0.011)]
    assert results[1]["Values"] == [pytest.approx(4.0, rel=0.011)]
    assert results[0]["Timestamps"][0].second == 0
    with pytest.raises(ClientError) as refused:
        cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=[{"MetricName": "m", "Value": 1}])
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
    assert refused.value.response["Error"]["Message"] == "The value AWS/ for parameter Namespace is invalid."


def test_big_batches_come_gzipped(server: ServerProcess, unique: Unique) -> None:
    cloudwatch, sent = server.client("cloudwatch"), list[Any]()
    cloudwatch.meta.events.register("before-send", lambda request, **_: sent.append(request))
    namespace = unique("app")
    data = [{"MetricName": f"metric-{number}", "Value": 1.0, "Unit": "Count"} for number in range(900)]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    assert sent[0].headers["Content-Encoding"] in ("gzip", b"gzip")
    names = [
        metric["MetricName"]
        for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace)
        for metric in page["Metrics"]
    ]
    assert sorted(names) == sorted(datum["MetricName"] for datum in data)


def raw(server: ServerProcess, body: bytes, headers: dict[str, str], path: str = "/") -> tuple[int, bytes]:
    """An unverified, but signed, request as other clients make it."""
    address = urlsplit(server.endpoint)
    signed = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/monitoring/aws4_request, "
        "SignedHeaders=host, Signature=00",
    }
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 0, timeout=30)
    connection.request("POST", path, body=body, headers=signed | headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_json_and_query_clients_are_served_too(server: ServerProcess, aws: Aws, unique: Unique) -> None:
    namespace = unique("app")
    target = {
        "X-Amz-Target": "GraniteServiceVersion20100801.PutMetricData",
        "Content-Type": "application/x-amz-json-1.0",
    }
    data = json.dumps({"Namespace": namespace, "MetricData": [{"MetricName": "m", "Value": 1}]}).encode()
    assert raw(server, data, target)[0] == 200
    assert raw(server, gzip.compress(data), target | {"Content-Encoding": "gzip"})[0] == 200
    form = (
        f"Action=PutMetricData&Version=2010-08-01&Namespace={namespace}"
        "&MetricData.member.1.MetricName=m&MetricData.member.1.Value=2"
    ).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert raw(server, form, kind)[0] == 200
    assert raw(server, gzip.compress(form), kind | {"Content-Encoding": "gzip"})[0] == 200
    assert total(aws("cloudwatch"), namespace, "m", "Sum") == 6.0
    status, answer = raw(server, gzip.compress(bytes(50_000_000)), target | {"Content-Encoding": "gzip"})
    assert (status, b"RequestEntityTooLarge" in answer) == (413, True)
    status, answer = raw(server, b"no gzip", target | {"Content-Encoding": "gzip"})
    assert (status, b"SerializationException" in answer) == (400, True)


def test_metrics_of_functions(aws: Aws, unique: Unique) -> None:
    functions, cloudwatch, name = aws("lambda"), aws("cloudwatch"), unique("metrics")
    create_function(functions, name, Runtime="python3.11", Code={"ZipFile": package({"handler.py": FAILING})})
    for number in range(5):
        functions.invoke(FunctionName=name, Payload=json.dumps({"fail": number == 0}))
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError):
        functions.invoke(FunctionName=name)

    def of(metric: str, statistic: str) -> float:
        return total(cloudwatch, "AWS/Lambda", metric, statistic, FunctionName=name)

    assert of("Invocations", "Sum") == 5
    assert of("Errors", "Sum") == 1
    assert of("Throttles", "Sum") == 1
    assert of("Duration", "SampleCount") == 5
    assert 0 < of("Duration", "Minimum") <= of("Duration", "Maximum") < 5_000
    assert of("ConcurrentExecutions", "Maximum") == 1
    assert total(cloudwatch, "AWS/Lambda", "Invocations", "Sum") >= 5
    listed = cloudwatch.list_metrics(Namespace="AWS/Lambda", Dimensions=[{"Name": "FunctionName", "Value": name}])
    assert {metric["MetricName"] for metric in listed["Metrics"]} == {
        "Invocations",
        "Errors",
        "Throttles",
        "Duration",
        "ConcurrentExecutions",
    }


def test_the_cli(server: ServerProcess, unique: Unique) -> None:
    namespace = unique("app")
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}

    def cli(*arguments: str) -> str:
        ran = subprocess.run(
            [str(Path(sys.executable).with_name("aws")), "--endpoint-url", server.endpoint, "cloudwatch", *arguments],
            env=mine | credentials | {"AWS_CONFIG_FILE": os.devnull},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    cli("put-metric-data", "--namespace", namespace, "--metric-name", "m", "--value", "42", "--dimensions", "a=b")
    [metric] = json.loads(cli("list-metrics", "--namespace", namespace))["Metrics"]
    assert metric["Dimensions"] == [{"Name": "a", "Value": "b"}]


def test_metrics_survive_a_stop_and_a_kill(tmp_path: Path) -> None:
    with ServerProcess(data=tmp_path / "data") as server:
        server.client("cloudwatch").put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 1}])
        server.kill()
        server.start()
        server.client("cloudwatch").put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 2}])
        server.restart()
        assert total(server.client("cloudwatch"), "n", "m", "Sum") == 3.0
