"""Node.js: the console in AWS's formats."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from tests.unit.sandbox.support import Bench, ask, invocation

MODERN, LEGACY = "nodejs24.x", "nodejs20.x"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

CONSOLE = """
console.log('at init');
exports.handler = async (event) => {
  console.trace('trace'); console.debug('debug'); console.info('info'); console.log('log %s %d', 'a', 1, {b: [2]});
  console.warn('warn'); console.error('error'); console.fatal('fatal');
};
"""


def application(lines: list[str]) -> list[str]:
    """What the function wrote, without the platform's lines."""
    return [line for line in lines if not re.match(r"INIT_|START |END |REPORT |\{\"time\":", line)]


async def run(bench: Bench, source: str, event: Any = None, *, runtime: str = MODERN, **options: Any) -> list[str]:
    """The function's own lines of one event; request ids are `ID`."""
    environment = await bench.start({"h.js": source}, runtime=runtime, **options)
    sent = invocation(event, tenant_id="blue" if event == "tenant" else "")
    response = await environment.invoke(sent)
    await response.read()
    await response.report()
    await environment.stop("spindown")
    return [line.replace(sent.request_id, "ID") for line in application(bench.logs.lines)]


@pytest.mark.parametrize(("runtime", "nobody"), [(MODERN, "-"), (LEGACY, "undefined")])
async def test_text(bench: Bench, runtime: str, nobody: str) -> None:
    lines = await run(bench, CONSOLE, runtime=runtime)
    assert all(re.match(TIME + "\t", line) for line in lines)
    assert [line.split("\t", 1)[1] for line in lines] == [
        f"{nobody}\tINFO\tat init\n",
        "ID\tTRACE\ttrace\n",
        "ID\tDEBUG\tdebug\n",
        "ID\tINFO\tinfo\n",
        "ID\tINFO\tlog a 1 { b: [ 2 ] }\n",
        "ID\tWARN\twarn\n",
        "ID\tERROR\terror\n",
        "ID\tFATAL\tfatal\n",
    ]


async def test_text_of_several_lines_is_one_event(bench: Bench) -> None:
    (line,) = await run(bench, "exports.handler = async () => console.log('one\\ntwo\\n\\nthree');")
    assert line.endswith("\tID\tINFO\tone\rtwo\r\rthree\n")


async def test_text_of_an_error(bench: Bench) -> None:
    source = """
    exports.handler = async () => { throw Object.assign(new RangeError('over'), {code: 'E1', detail: {a: 1}}); };
    """
    (line,) = await run(bench, source)
    head, _, text = line.rpartition("\t")
    assert re.fullmatch(TIME + "\tID\tERROR\tInvoke Error ", head)
    record = msgspec.json.decode(text)
    stack = record.pop("stack")
    assert record == {"errorType": "RangeError", "errorMessage": "over", "code": "E1", "detail": {"a": 1}}
    assert stack[0] == "RangeError: over"


async def test_text_of_an_error_that_is_none(bench: Bench) -> None:
    (line,) = await run(bench, "exports.handler = async () => { throw 'words'; };")
    assert '\tERROR\tInvoke Error \t{"errorType":"Error","errorMessage":"words"' in line


async def test_nothing_to_say(bench: Bench) -> None:
    lines = await run(bench, "exports.handler = async () => { console.log(); console.log(''); console.log(null); };")
    assert [line.split("\t")[3] for line in lines] == ["undefined\n", "\n", "null\n"]


async def test_output_past_the_console(bench: Bench) -> None:
    source = """
    const fs = require('fs');
    const { execSync } = require('child_process');
    exports.handler = async () => {
      process.stdout.write('part'); process.stdout.write(Buffer.from(' and ü\\n'));
      process.stderr.write('error output\\n');
      console.dir({a: 1}); console.table([[1]]);
      process.stdout.write('without an end');
      fs.writeSync(1, 'descriptor\\n');
      execSync('echo child', {stdio: 'inherit'});
    };
    """
    lines = await run(bench, source)
    assert lines[:3] == ["part and ü\n", "error output\n", "{ a: 1 }\n"]
    assert {"descriptor\n", "child\n", "without an end\n"} <= set(lines)


async def test_event_of_the_largest_size(bench: Bench) -> None:
    lines = await run(bench, "exports.handler = async () => console.log('x'.repeat(600000));", memory_mb=256)
    assert len(lines) == 3
    assert sum(line.count("x") for line in lines) == 600000


async def json_lines(bench: Bench, source: str, event: Any = None, **options: Any) -> list[dict[str, Any]]:
    lines = await run(bench, source, event, log_format="JSON", **options)
    records = [msgspec.json.decode(line) for line in lines]
    assert all(re.fullmatch(TIME, record.pop("timestamp")) for record in records)
    return records


async def test_json(bench: Bench) -> None:
    records = await json_lines(bench, CONSOLE, application_log_level="TRACE")
    assert records == [
        {"level": "INFO", "requestId": "-", "message": "at init"},
        {"level": "TRACE", "requestId": "ID", "message": "trace"},
        {"level": "DEBUG", "requestId": "ID", "message": "debug"},
        {"level": "INFO", "requestId": "ID", "message": "info"},
        {"level": "INFO", "requestId": "ID", "message": "log a 1 { b: [ 2 ] }"},
        {"level": "WARN", "requestId": "ID", "message": "warn"},
        {"level": "ERROR", "requestId": "ID", "message": "error"},
        {"level": "FATAL", "requestId": "ID", "message": "fatal"},
    ]


@pytest.mark.parametrize(
    ("level", "left"),
    [
        (None, ["INFO", "INFO", "WARN", "ERROR", "FATAL"]),
        ("DEBUG", ["DEBUG", "INFO", "INFO", "WARN", "ERROR", "FATAL"]),
        ("WARN", ["WARN", "ERROR", "FATAL"]),
        ("FATAL", ["FATAL"]),
    ],
)
async def test_levels(bench: Bench, level: str | None, left: list[str]) -> None:
    records = await json_lines(bench, CONSOLE.replace("console.log('at init');", ""), application_log_level=level)
    assert [record["level"] for record in records] == left


async def test_json_of_values(bench: Bench) -> None:
    source = """
    exports.handler = async () => {
      console.log({a: [1], nested: new TypeError('inside')});
      console.log('two\\nlines');
      console.log();
      const circle = {}; circle.circle = circle;
      console.log(circle);
      console.error('failed:', new RangeError('over'), new TypeError('second'));
      console.error(Object.assign(new RangeError('alone'), {code: 7}));
    };
    """
    records = await json_lines(bench, source, "tenant")
    assert {record.pop("tenantId") for record in records} == {"blue"}
    messages = [record.get("message") for record in records]
    assert messages[0]["a"] == [1]
    assert (messages[0]["nested"]["errorType"], messages[0]["nested"]["errorMessage"]) == ("TypeError", "inside")
    assert messages[1] == "two\nlines"
    assert messages[3] == "<ref *1> { circle: [Circular *1] }"
    assert messages[4].startswith("failed: RangeError: over\n")
    assert (records[4]["errorType"], records[4]["errorMessage"]) == ("RangeError", "over")
    assert records[4]["stackTrace"][0] == "RangeError: over"
    assert (messages[5]["errorType"], messages[5]["code"]) == ("RangeError", 7)


async def test_json_of_an_invoke_error(bench: Bench) -> None:
    (record,) = await json_lines(bench, "exports.handler = async () => { throw new RangeError('over'); };")
    stack = record["message"].pop("stackTrace")
    assert record == {
        "level": "ERROR",
        "requestId": "ID",
        "message": {"errorType": "RangeError", "errorMessage": "over"},
    }
    assert stack[0] == "RangeError: over"


async def test_tail(bench: Bench) -> None:
    environment = await bench.start({"h.js": "exports.handler = async () => console.log('said');"}, runtime=MODERN)
    response = await environment.invoke(invocation())
    await response.read()
    tail = (await response.report()).log_tail.decode()
    assert tail.startswith("START RequestId: ")
    assert "\tINFO\tsaid\n" in tail
    assert "init" not in tail
    await ask(environment)
