"""What a Python function finds: event, context, environment, paths, logging. On one interpreter; see also versions."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import msgspec
import pytest

from lambent.sandbox.protocol import CannotRun
from tests.unit.sandbox.support import Bench, ask, invocation, invoke, wait_until

CONTEXT = """
def handler(event, c):
    c.log("through the context")
    client = c.client_context
    return {
        "names": [c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb],
        "request": c.aws_request_id,
        "log": [c.log_group_name, c.log_stream_name],
        "identity": [c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id],
        "client": client and [client.custom, client.env, client.client and
            [client.client.installation_id, client.client.app_title]],
        "tenant": c.tenant_id,
        "deadline": c._epoch_deadline_time_in_ms,
        "remaining": c.get_remaining_time_in_millis(),
        "w3c": c.w3c(),
        "repr": repr(c),
    }
"""


async def test_context(bench: Bench) -> None:
    environment = await bench.start(CONTEXT, memory_mb=256, function_version="7")
    sent = invocation(
        {},
        timeout_s=5.0,
        tenant_id="blue",
        cognito_identity='{"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}',
        client_context='{"custom":{"a":1},"env":{"b":"2"},"client":{"installation_id":"i","app_title":"t"},'
        '"w3c":{"traceparent":"00-x","other":"no"}}',
    )
    response = await environment.invoke(sent)
    seen = msgspec.json.decode(await response.read())
    assert seen["names"] == ["f", "7", sent.invoked_function_arn, "256"]
    assert seen["request"] == sent.request_id
    assert seen["log"] == ["/aws/lambda/f", "2026/01/02/[$LATEST]0123"]
    assert seen["identity"] == ["id", "pool"]
    assert seen["client"] == [{"a": 1}, {"b": "2"}, ["i", "t"]]
    assert seen["tenant"] == "blue"
    assert seen["deadline"] == sent.deadline_ms
    assert 3000 < seen["remaining"] <= 5000
    assert seen["w3c"] == {"traceparent": "00-x"}
    assert seen["repr"].startswith(f"LambdaContext([aws_request_id={sent.request_id},log_group_name=/aws/lambda/f,")
    assert "through the context" in bench.logs.text


async def test_context_without_extras(bench: Bench) -> None:
    error, seen = await bench.call(CONTEXT, {})
    assert (error, seen["client"], seen["tenant"], seen["identity"]) == (None, None, None, [None, None])


async def test_environment_variables(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    environment = await bench.start(
        "import os\ndef handler(e, c): return dict(os.environ)\n",
        environment={"MINE": "ünïcode", "AWS_REGION": "no", "TZ": "Europe/Zurich", "_LAMBENT_CHANNEL_FD": "9"},
        endpoint_url="http://127.0.0.1:4566",
    )
    _, seen = await ask(environment, trace_id="Root=1-2-3")
    assert seen["_X_AMZN_TRACE_ID"] == "Root=1-2-3"
    _, later = await ask(environment)
    assert "_X_AMZN_TRACE_ID" not in later
    assert seen["MINE"] == "ünïcode"
    assert seen["TZ"] == "Europe/Zurich"
    assert seen["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    expected = {
        "_HANDLER": "h.handler",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/02/[$LATEST]0123",
        "AWS_ACCESS_KEY_ID": "AK",
        "AWS_SECRET_ACCESS_KEY": "SK",
        "AWS_SESSION_TOKEN": "ST",
        "LANG": "en_US.UTF-8",
    }
    assert {name: seen[name] for name in expected} == expected
    assert Path(seen["TMPDIR"]).is_relative_to(bench.work_dir)
    assert "SECRET_OF_THE_SERVER" not in seen
    assert not [name for name in seen if name.startswith("_LAMBENT")]


async def test_descriptors_and_folders(bench: Bench) -> None:
    source = (
        "import os, sys, resource, tempfile\n"
        "def handler(e, c):\n"
        "    fds = sorted(int(n) for n in os.listdir('/proc/self/fd'))\n"
        "    return [os.getcwd() == os.environ['LAMBDA_TASK_ROOT'], sys.path[0] == os.environ['LAMBDA_TASK_ROOT'],\n"
        "        len(fds), resource.getrlimit(resource.RLIMIT_NOFILE)[0], tempfile.gettempdir(),\n"
        "        os.getsid(0) == os.getpid(), sys.stdin.read()]\n"
    )
    _, seen = await bench.call(source)
    in_task_root, path_first, descriptors, limit, tmp, own_session, stdin = seen
    assert (in_task_root, path_first, own_session, stdin) == (True, True, True, "")
    assert descriptors <= 5  # 0, 1, 2, the channel, and the folder that is being listed
    assert limit == 1024
    assert Path(tmp).is_relative_to(bench.work_dir)


@pytest.mark.parametrize("handler", ["pkg/mod.handler", "pkg.mod.handler"])
async def test_handler_in_a_package(bench: Bench, handler: str) -> None:
    files: dict[str, str | bytes] = {"pkg/mod.py": "def handler(e, c): return __name__\n"}
    assert await bench.call(files, handler=handler) == (None, "pkg.mod")
    assert not list(bench.code.root.rglob("__pycache__"))  # code folders are shared and stay as they are


async def test_results(bench: Bench) -> None:
    source = (
        "import decimal\n"
        "def handler(e, c):\n"
        "    return {'d': decimal.Decimal('1.10'), 'n': float('nan'), 'u': 'ü', 't': (1, None, True)}\n"
    )
    environment = await bench.start(source)
    response = await invoke(environment)
    assert await response.read() == b'{"d": 1.10, "n": NaN, "u": "\\u00fc", "t": [1, null, true]}'
    assert response.content_type == "application/json"
    assert not response.streaming


async def test_bytes_are_passed_raw(bench: Bench) -> None:
    environment = await bench.start("def handler(e, c): return b'\\x00raw'\n")
    response = await invoke(environment)
    assert (await response.read(), response.content_type) == (b"\0raw", "application/unknown")


async def test_large_event(bench: Bench) -> None:
    environment = await bench.start("def handler(e, c): return len(e)\n", memory_mb=512)
    assert await ask(environment, "x" * (6 << 20)) == (None, 6 << 20)


async def test_text_log(bench: Bench) -> None:
    source = (
        "import logging, os, subprocess, sys\n"
        "def handler(e, c):\n"
        "    log = logging.getLogger('mine')\n"
        "    print('printed')\n"
        "    log.info('not shown')\n"
        "    log.warning('two\\nlines %s', 1)\n"
        "    print('err', file=sys.stderr)\n"
        "    sys.stdout.buffer.write(b'raw\\n')\n"
        "    subprocess.run(['echo', 'child'])\n"
        "    os.write(1, b'no end')\n"
        "    sys.stdout.write('held')\n"
    )
    environment = await bench.start(source)
    sent = invocation()
    report = await (await environment.invoke(sent)).report()
    lines = bench.logs.lines
    assert lines[0] == "INIT_START Runtime Version: python:3.11.7\n" or lines[0].startswith("INIT_START ")
    assert lines[1] == f"START RequestId: {sent.request_id} Version: $LATEST\n"
    assert lines[2] == "printed\n"
    assert re.fullmatch(
        r"\[WARNING\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t" + sent.request_id + "\ttwo\nlines 1\n", lines[3]
    )
    assert sorted(lines[4:9]) == sorted(["err\n", "raw\n", "child\n", "no end\n", "held\n"])
    assert lines[9] == f"END RequestId: {sent.request_id}\n"
    assert re.fullmatch(
        rf"REPORT RequestId: {sent.request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n",
        lines[10],
    )
    assert len(lines) == 11
    assert report.log_tail.decode() == "".join(lines[1:])
    assert {(group, stream) for group, stream, _ in bench.logs.events} == {
        ("/aws/lambda/f", "2026/01/02/[$LATEST]0123")
    }


async def test_root_logger_is_set_up_before_the_function_imports_logging(bench: Bench) -> None:
    source = (
        "import logging\n"
        "logging.basicConfig(format='mine %(message)s', level=10)\n"  # has no effect on AWS either
        "logging.warning('while importing')\n"
        "logging.getLogger().setLevel('INFO')\n"
        "def handler(e, c):\n"
        "    logging.info('hello'); logging.debug('no')\n"
        "    return [type(h).__name__ for h in logging.getLogger().handlers]\n"
    )
    assert await bench.call(source) == (None, ["LambdaLoggerHandler"])
    assert re.search(r"\[WARNING\]\t[^\t]+Z\t\twhile importing\n", bench.logs.text)
    assert re.search(r"\[INFO\]\t[^\t]+Z\trequest-\d+\thello\n", bench.logs.text)
    assert "mine" not in bench.logs.text


async def test_json_log(bench: Bench) -> None:
    source = (
        "import logging\n"
        "def handler(e, c):\n"
        "    logging.debug('no')\n"
        "    logging.warning('hello %s', 'you', extra={'colour': 'ü'})\n"
        "    logging.info({'a': 1})\n"
        "    try: 1/0\n"
        "    except ZeroDivisionError: logging.exception('bad')\n"
        "    print('plain')\n"
        "    raise KeyError('k')\n"
    )
    environment = await bench.start(source, log_format="JSON", application_log_level="INFO")
    sent = invocation(tenant_id="t1")
    await (await environment.invoke(sent)).report()
    assert "plain\n" in bench.logs.lines
    records = [msgspec.json.decode(line) for line in bench.logs.lines if line != "plain\n"]
    init, start, first, second, bad, fault, done, report = records
    assert init["type"] == "platform.initStart"
    assert (done["type"], done["record"]["status"]) == ("platform.runtimeDone", "error")
    assert start["type"] == "platform.start"
    assert start["record"] == {"requestId": sent.request_id, "version": "$LATEST"}
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "level": "WARNING",
        "message": "hello you",
        "logger": "root",
        "requestId": sent.request_id,
        "tenantId": "t1",
        "colour": "ü",
    }
    assert second["message"] == {"a": 1}
    assert (bad["errorType"], bad["errorMessage"]) == ("ZeroDivisionError", "division by zero")
    assert ":handler:" in bad["location"]
    assert (fault["level"], fault["errorType"], fault["errorMessage"]) == ("ERROR", "KeyError", "'k'")
    assert report["type"] == "platform.report"
    assert report["record"]["status"] == "error"
    assert report["record"]["metrics"]["memorySizeMB"] == 128


async def test_system_log_level(bench: Bench) -> None:
    source = "def handler(e, c): return e\n"
    for level, kinds in {
        "DEBUG": ["initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"],
        "INFO": ["initStart", "start", "report"],
        "WARN": [],
    }.items():
        bench.logs.events.clear()
        await bench.call(source, log_format="JSON", system_log_level=level)
        assert [msgspec.json.decode(line)["type"] for line in bench.logs.lines] == [
            f"platform.{kind}" for kind in kinds
        ]


async def test_log_is_passed_on_while_a_long_event_runs(bench: Bench) -> None:
    source = (
        "import os, time\ndef handler(e, c):\n    print('now')\n    while not os.path.exists(e): time.sleep(0.01)\n"
    )
    environment = await bench.start(source)
    flag = bench.root / "go"
    running = asyncio.create_task(invoke(environment, str(flag)))
    await wait_until(lambda: "now\n" in bench.logs.lines)
    assert not running.done()
    flag.touch()
    assert (await running).function_error is None


async def test_log_tail_is_the_last_4096_bytes(bench: Bench) -> None:
    environment = await bench.start("def handler(e, c):\n    for i in range(50000): print('line', i)\n")
    response = await invoke(environment)
    report = await response.report()
    assert len(report.log_tail) == 4096
    assert b"line 49999\nEND RequestId" in report.log_tail
    assert bench.logs.text.count("line ") == 50000


async def test_output_of_an_idle_environment(bench: Bench) -> None:
    source = (
        "import threading, time\n"
        "def later():\n    time.sleep(0.2)\n    print('from a thread')\n"
        "def handler(e, c): threading.Thread(target=later).start()\n"
    )
    environment = await bench.start(source)
    report = await (await invoke(environment)).report()
    await wait_until(lambda: "from a thread\n" in bench.logs.lines)
    assert b"from a thread" not in report.log_tail


async def test_a_forked_child_does_not_speak_for_the_runtime(bench: Bench) -> None:
    source = (
        "import multiprocessing, os\n"
        "def work(): print('in the child')\n"
        "def handler(e, c):\n"
        "    child = multiprocessing.get_context('fork').Process(target=work)\n"
        "    child.start(); child.join()\n"
        "    if os.fork() == 0: return 'child'\n"
        "    os.wait()\n"
        "    return 'parent'\n"
    )
    environment = await bench.start(source)
    assert await ask(environment) == (None, "parent")
    assert await ask(environment) == (None, "parent")
    assert bench.logs.lines.count("in the child\n") == 2


async def test_warm_process_keeps_its_globals(bench: Bench) -> None:
    environment = await bench.start("n = 0\ndef handler(e, c):\n    global n\n    n += 1\n    return n\n")
    assert [await ask(environment) for _ in range(3)] == [(None, 1), (None, 2), (None, 3)]
    assert environment.alive


async def test_report(bench: Bench) -> None:
    environment = await bench.start("import time\ndef handler(e, c): time.sleep(0.05)\n")
    first = await (await invoke(environment)).report()
    assert first.init_duration_ms is not None
    assert 50 <= first.duration_ms < 5000
    assert first.billed_duration_ms >= first.duration_ms + first.init_duration_ms
    assert 5 < first.max_memory_used_mb < 64
    second = await (await invoke(environment)).report()
    assert second.init_duration_ms is None
    assert second.duration_ms <= second.billed_duration_ms < second.duration_ms + 1


async def test_cancelled_invoke_ends_the_process(bench: Bench) -> None:
    source = (
        "import os, time\n"
        "def handler(e, c):\n    if e:\n        open(e, 'w').close(); time.sleep(60)\n    return 'new'\n"
    )
    environment = await bench.start(source)
    flag = bench.root / "running"
    running = asyncio.create_task(invoke(environment, str(flag)))
    await wait_until(flag.exists)
    started_s = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - started_s < 5
    assert await ask(environment, None) == (None, "new")


async def test_one_event_at_a_time(bench: Bench) -> None:
    environment = await bench.start("import time\ndef handler(e, c): time.sleep(0.2)\n")
    running = asyncio.create_task(invoke(environment))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another event"):
        await invoke(environment)
    await running


async def test_exec_wrapper(bench: Bench) -> None:
    wrapper = '#!/bin/sh\nexport FROM_WRAPPER=yes\nexec "$@"\n'
    bench.code.add("layer", {"bin/wrap": wrapper})
    source = "import os\ndef handler(e, c): return [os.environ['FROM_WRAPPER'], e]\n"
    environment = await bench.start(source, layers=("layer",), environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bin/wrap"})
    assert await ask(environment, 1) == (None, ["yes", 1])


async def test_exec_wrapper_in_the_package(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "h.py": "import os\ndef handler(e, c): return os.environ['FROM_WRAPPER']\n",
        "bin/wrap": '#!/bin/sh\nexport FROM_WRAPPER=yes\nexec "$@"\n',
    }
    assert await bench.call(files, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/bin/wrap"}) == (None, "yes")


async def test_variable_that_no_process_can_have(bench: Bench) -> None:
    error, body = await bench.call("def handler(e, c): pass\n", environment={"A": "nul\0"})
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.InvalidEntrypoint")
    assert body["errorMessage"].endswith(": invalid argument")


async def test_missing_exec_wrapper(bench: Bench) -> None:
    error, body = await bench.call("", environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/nothing"})
    assert error == "Unhandled"
    assert body["errorType"] == "Runtime.ExitError"
    assert body["errorMessage"].endswith("Error: Runtime exited with error: exit status 127")


async def test_nearest_interpreter_with_a_warning(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    table = {row.runtime: row for row in await bench.sandbox.runtimes_table()}
    missing = [name for name, row in table.items() if row.status == "nearest"]
    if not missing:
        pytest.skip("this machine has every Python that AWS has")
    source = "import os, sys\ndef handler(e, c): return [list(sys.version_info[:3]), os.environ['AWS_EXECUTION_ENV']]\n"
    _error, (version, name) = await bench.call(source, runtime=missing[0])
    assert ".".join(map(str, version)) == table[missing[0]].version
    assert name == f"AWS_Lambda_{missing[0]}"
    assert f"{missing[0]} is not installed" in caplog.text
    assert f"[WARN] lambent: {missing[0]} is not installed on this machine" in bench.logs.text
    strict = Bench(bench.root / "strict", strict_runtimes=True)
    strict.code.add("x", {})
    with pytest.raises(CannotRun, match="strict"):
        await strict.sandbox.start(strict.spec("x", runtime=missing[0]))
    await strict.sandbox.close()


@pytest.mark.parametrize("runtime", ["java21", "ruby3.4", "python2.7", "python3.7", ""])
async def test_runtimes_that_cannot_run(bench: Bench, runtime: str) -> None:
    bench.code.add("x", {})
    with pytest.raises(CannotRun, match=runtime or "no runtime"):
        await bench.sandbox.start(bench.spec("x", runtime=runtime))


async def test_unknown_code(bench: Bench) -> None:
    with pytest.raises(KeyError):
        await bench.sandbox.start(bench.spec("nothing"))


async def test_huge_output(bench: Bench) -> None:
    source = (
        "import logging\n"
        "def handler(e, c):\n    print('x' * (20 << 20))\n    logging.warning('y' * (20 << 20))\n    return 'done'\n"
    )
    assert await bench.call(source, memory_mb=1024) == (None, "done")
    assert bench.logs.text.count("x" * (1 << 18)) == 80
    assert max(map(len, bench.logs.lines)) <= 1 << 18
