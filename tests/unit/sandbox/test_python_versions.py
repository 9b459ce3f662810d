"""The Python runtime on every interpreter of this machine that AWS has a runtime for."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.sandbox.support import Bench, ask, invocation, python_versions

SOURCE = """
import decimal
import logging
import sys

def handler(event, context):
    print("printed")
    logging.warning("logged")
    if event == "raise":
        raise LookupError("gone")
    if event == "marshal":
        return {1, 2}
    return [list(sys.version_info[:2]), event, context.aws_request_id, decimal.Decimal("2.50"), "ü"]
"""


@pytest.mark.parametrize("runtime", python_versions())
async def test_basics(bench: Bench, runtime: str) -> None:
    environment = await bench.start(SOURCE, runtime=runtime)
    minor = int(runtime.removeprefix("python3."))
    sent = invocation({"a": ["b", 1.5]})
    response = await environment.invoke(sent)
    text = "ü" if minor >= 12 else "\\u00fc"
    assert (await response.read()).decode() == (
        f'[[3, {minor}], {{"a": ["b", 1.5]}}, "{sent.request_id}", 2.50, "{text}"]'
    )
    error, body = await ask(environment, "raise")
    assert (error, body["errorType"], body["errorMessage"]) == ("Unhandled", "LookupError", "gone")
    assert body["stackTrace"][0].endswith('line 10, in handler\n    raise LookupError("gone")\n')
    error, body = await ask(environment, "marshal")
    assert (body["errorType"], body["errorMessage"]) == (
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type set is not JSON serializable",
    )
    error, body = await ask(environment, b"{")
    assert body["errorType"] == "Runtime.UnmarshalError"
    assert bench.logs.lines.count("printed\n") == 3
    assert len([line for line in bench.logs.lines if line.startswith("[WARNING]\t")]) == 3
    assert bench.logs.text.count("INIT_START") == 1


@pytest.mark.parametrize("runtime", python_versions())
async def test_json_log_and_init_errors(bench: Bench, runtime: str) -> None:
    source = "import logging\nlogging.warning('initialising')\ndef handler(e, c): logging.error('x')\n"
    assert await bench.call(source, log_format="JSON", runtime=runtime) == (None, None)
    records = [msgspec.json.decode(line) for line in bench.logs.lines]
    assert [record["message"] for record in records if "message" in record] == ["initialising", "x"]
    _error, body = await bench.call("import absent", runtime=runtime)
    assert body["errorMessage"] == "Unable to import module 'h': No module named 'absent'"
    _error, body = await bench.call("1/0", runtime=runtime)
    assert body["errorType"] == "ZeroDivisionError"
    _error, body = await bench.call("import sys\nsys.exit(4)", runtime=runtime)
    assert body["errorMessage"].endswith("exit status 4")
