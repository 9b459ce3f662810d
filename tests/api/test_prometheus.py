"""GET /_lambent/metrics as Prometheus asks for it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambent.testing.server import ServerProcess
from tests.api.lambda_functions import create_function, package
from tests.unit.core.test_prometheus import LINE

FAILING = "def handler(event, context):\n    if event.get('fail'):\n        raise ValueError('no')\n"


def scrape(server: ServerProcess) -> str:
    with urllib.request.urlopen(f"{server.endpoint}/_lambent/metrics", timeout=30) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        page: str = answer.read().decode()
        return page


def test_what_functions_do(server: ServerProcess, aws: Callable[..., Any], unique: Callable[..., str]) -> None:
    functions, name = aws("lambda"), unique("prometheus")
    create_function(functions, name, Runtime="python3.11", Code={"ZipFile": package({"handler.py": FAILING})})
    for number in range(4):
        functions.invoke(FunctionName=name, Payload=json.dumps({"fail": number == 0}))
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError):
        functions.invoke(FunctionName=name)
    page = scrape(server)
    assert all(LINE.fullmatch(line) for line in page.split("\n") if line and not line.startswith("#"))
    labels = f'account="000000000000",region="us-east-1",function="{name}"'

    def value(metric: str, *more: str) -> float:
        [line] = [line for line in page.split("\n") if line.startswith(metric + "{" + ",".join([labels, *more]) + "}")]
        return float(line.split(" ")[-1])

    assert value("lambent_function_invocations_total") == 4
    assert value("lambent_function_errors_total") == 1
    assert value("lambent_function_cold_starts_total") == 1
    assert value("lambent_function_throttles_total", 'reason="ReservedFunctionConcurrentInvocationLimitExceeded"') == 1
    assert value("lambent_function_concurrency") == 0
    assert value("lambent_function_duration_seconds_count") == 4
    assert value("lambent_function_duration_seconds_bucket", 'le="+Inf"') == 4
    assert value("lambent_function_duration_seconds_bucket", 'le="900"') == 4
    assert 0 < value("lambent_function_duration_seconds_sum") < 20
    assert value("lambent_function_init_duration_seconds_count") == 1
    assert sum(value("lambent_environments", f'state="{state}"') for state in ("idle", "busy", "finishing")) == 1
    assert 'lambent_database_commits_total{database="control.db"}' in page
    assert "lambent_log_events_dropped_total 0" in page
    families = [line.split()[2] for line in page.split("\n") if line.startswith("# TYPE")]
    assert len(families) == len(set(families))


def test_where_signatures_are_verified_strangers_learn_nothing(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("AKIAEXAMPLE secret 000000000000\n")
    keys.chmod(0o600)
    with ServerProcess("--auth", str(keys)) as server, pytest.raises(urllib.error.HTTPError) as refused:
        scrape(server)
    assert refused.value.code == 403
    refused.value.close()
