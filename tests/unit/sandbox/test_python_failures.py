"""Each row of what callers see when a Python function fails."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.sandbox.support import Bench, ask, invocation, invoke


async def test_handler_raised(bench: Bench) -> None:
    environment = await bench.start("def handler(event, context):\n    raise ValueError('no ' + event)\n")
    sent = invocation("way")
    response = await environment.invoke(sent)
    assert response.function_error == "Unhandled"
    body = await response.read()
    # AWS's encoder puts blanks after colons and commas.
    assert body.startswith(
        b'{"errorMessage": "no way", "errorType": "ValueError", "requestId": "' + sent.request_id.encode()
    )
    [frame] = msgspec.json.decode(body)["stackTrace"]
    assert frame.startswith('  File "')
    assert frame.endswith("/h.py\", line 2, in handler\n    raise ValueError('no ' + event)\n")
    # and the environment goes on
    assert (await ask(environment, "again"))[0] == "Unhandled"
    assert bench.logs.text.count("INIT_START") == 1
    record = next(line for line in bench.logs.lines if line.startswith("[ERROR]"))
    lines = record.splitlines()
    assert lines[:2] == ["[ERROR] ValueError: no way", "Traceback (most recent call last):"]
    assert lines[2].startswith('\xa0\xa0File "')
    assert lines[3] == "\xa0\xa0\xa0\xa0raise ValueError('no ' + event)"


async def test_module_raised_while_imported(bench: Bench) -> None:
    error, body = await bench.call("1/0\n")
    assert error == "Unhandled"
    assert body["errorType"] == "ZeroDivisionError"
    assert body["errorMessage"] == "division by zero"
    assert body["requestId"] == ""
    assert "importlib" in body["stackTrace"][0]
    assert body["stackTrace"][-1].endswith('h.py", line 1, in <module>\n    1/0\n')
    assert not any("bootstrap.py" in frame and "/var/runtime" in frame for frame in body["stackTrace"])
    # AWS repeats a failed init inside the first event.
    assert bench.logs.text.count("INIT_START") == 2
    assert "Phase: init\tStatus: error\tError Type: ZeroDivisionError" in bench.logs.text
    assert "Phase: invoke\tStatus: error\tError Type: ZeroDivisionError" in bench.logs.text


FAULTS = {
    "malformed": (
        "handler",
        "",
        "Runtime.MalformedHandlerName",
        "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
    ),
    "missing module": (
        "g.handler",
        "",
        "Runtime.ImportModuleError",
        "Unable to import module 'g': No module named 'g'",
    ),
    "missing import": (
        "h.handler",
        "import nothing_of_this_name",
        "Runtime.ImportModuleError",
        "Unable to import module 'h': No module named 'nothing_of_this_name'",
    ),
    "missing handler": (
        "h.nope",
        "",
        "Runtime.HandlerNotFound",
        "Handler 'nope' missing on module 'h'",
    ),
    "syntax": (
        "h.handler",
        "def handler(:\n",
        "Runtime.UserCodeSyntaxError",
        "Syntax error in module 'h': ",
    ),
    "built in": (
        "time.handler",
        "",
        "Runtime.BuiltInModuleConflict",
        "Cannot use built-in module time as a handler module",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_faults_of_the_handler_name_and_module(bench: Bench, name: str) -> None:
    handler, source, kind, message = FAULTS[name]
    error, body = await bench.call(source, handler=handler)
    assert error == "Unhandled"
    assert body["errorType"] == kind
    assert body["errorMessage"].startswith(message)
    assert body["requestId"] == ""
    assert (body["stackTrace"] != []) == (name == "syntax")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("return object()", "Unable to marshal response: Object of type object is not JSON serializable"),
        ("return (i for i in [1])", "Unable to marshal response: Object of type generator is not JSON serializable"),
        ("return {(1, 2): 3}", "Unable to marshal response: keys must be str, int, float, bool or None, not tuple"),
        ("a = []; a.append(a); return a", "Unable to marshal response: Circular reference detected"),
    ],
)
async def test_result_that_is_no_json(bench: Bench, source: str, message: str) -> None:
    error, body = await bench.call(f"def handler(e, c):\n    {source}\n")
    assert (error, body["errorType"], body["errorMessage"]) == ("Unhandled", "Runtime.MarshalError", message)
    assert body["stackTrace"] == []


async def test_event_that_is_no_json(bench: Bench) -> None:
    error, body = await bench.call("def handler(e, c): return e\n", b"{'a'")
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.UnmarshalError")
    assert body["errorMessage"].startswith("Unable to unmarshal input: Expecting property name")


async def test_client_context_that_is_no_json(bench: Bench) -> None:
    environment = await bench.start("def handler(e, c): return e\n")
    error, body = await ask(environment, {}, client_context="{no")
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.LambdaContextUnmarshalError")
    assert body["errorMessage"].startswith("Unable to parse Client Context JSON: ")


async def test_deep_recursion(bench: Bench) -> None:
    error, body = await bench.call("def handler(e, c): return handler(e, c)\n")
    assert (error, body["errorType"]) == ("Unhandled", "RecursionError")


EXITS = {
    "sys.exit()": "Runtime exited without providing a reason",
    "sys.exit(0)": "Runtime exited without providing a reason",
    "os._exit(0)": "Runtime exited without providing a reason",
    "sys.exit(1)": "Runtime exited with error: exit status 1",
    "sys.exit('why')": "Runtime exited with error: exit status 1",
    "os._exit(3)": "Runtime exited with error: exit status 3",
    "os.abort()": "Runtime exited with error: signal: aborted",
    "os.kill(os.getpid(), 9)": "Runtime exited with error: signal: killed",
    "os.kill(os.getpid(), 11)": "Runtime exited with error: signal: segmentation fault",
    "ctypes.string_at(0)": "Runtime exited with error: signal: segmentation fault",
}


@pytest.mark.parametrize("statement", EXITS)
async def test_exit_in_the_handler(bench: Bench, statement: str) -> None:
    source = (
        "import ctypes, os, sys\n"
        f"def handler(e, c):\n    print('last words')\n    if e: {statement}\n    return 'alive'\n"
    )
    environment = await bench.start(source)
    sent = invocation(True)
    response = await environment.invoke(sent)
    assert response.function_error == "Unhandled"
    assert msgspec.json.decode(await response.read()) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {sent.request_id} Error: {EXITS[statement]}",
    }
    report = await response.report()
    assert b"last words\n" in report.log_tail
    assert f"RequestId: {sent.request_id} Error: {EXITS[statement]}\nRuntime.ExitError\n" in bench.logs.text
    assert b"Status: error\tError Type: Runtime.ExitError\n" in report.log_tail
    # The environment is reset: a new process takes the next event.
    assert await ask(environment, False) == (None, "alive")


@pytest.mark.parametrize("statement", ["sys.exit(0)", "sys.exit(1)", "os.kill(os.getpid(), 11)"])
async def test_exit_while_initialising(bench: Bench, statement: str) -> None:
    environment = await bench.start(f"import os, sys\nprint('trying')\n{statement}\n")
    sent = invocation()
    response = await environment.invoke(sent)
    assert msgspec.json.decode(await response.read()) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {sent.request_id} Error: {EXITS[statement]}",
    }
    assert bench.logs.lines.count("trying\n") == 2


async def test_init_that_fails_once_only(bench: Bench) -> None:
    source = (
        "import os, sys\n"
        "path = os.environ['TMPDIR'] + '/x'\n"
        "if not os.path.exists(path):\n    open(path, 'w').close()\n    sys.exit(1)\n"
        "def handler(e, c): return 'fine'\n"
    )
    assert await bench.call(source) == (None, "fine")


async def test_timeout(bench: Bench) -> None:
    source = (
        "import os, time\nseen = []\n"
        "def handler(e, c):\n"
        "    path = os.environ['TMPDIR'] + '/kept'\n"
        "    seen.append(e)\n"
        "    if e == 'sleep':\n"
        "        open(path, 'w').close()\n"
        "        print('sleeping')\n"
        "        time.sleep(60)\n"
        "    return [os.path.exists(path), seen]\n"
    )
    environment = await bench.start(source)
    sent = invocation("sleep", timeout_s=0.3)
    response = await environment.invoke(sent)
    assert response.function_error == "Unhandled"
    assert msgspec.json.decode(await response.read()) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {sent.request_id} Error: Task timed out after 0.30 seconds",
    }
    report = await response.report()
    assert report.duration_ms == 300
    assert f"Z {sent.request_id} Task timed out after 0.30 seconds\n".encode() in report.log_tail
    assert report.log_tail.endswith(b"Status: timeout\n")
    assert b"sleeping\n" in report.log_tail
    # Globals are lost, /tmp is not (as recorded on AWS).
    assert await ask(environment, "look") == (None, [True, ["look"]])


async def test_timeout_of_code_that_ignores_signals(bench: Bench) -> None:
    source = (
        "import signal, time\n"
        "def handler(e, c):\n"
        "    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n"
        "        signal.signal(number, signal.SIG_IGN)\n"
        "    while True: pass\n"
    )
    environment = await bench.start(source)
    _error, body = await ask(environment, timeout_s=0.2)
    assert body["errorType"] == "Sandbox.Timedout"


async def test_slow_init_runs_again_under_the_timeout_of_the_event(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambent.core.limits.LAMBDA_INIT_TIMEOUT_S", 0.3)
    environment = await bench.start("import time\ntime.sleep(0.8)\ndef handler(e, c): return 'slow'\n")
    assert "Phase: init\tStatus: timeout\n" in bench.logs.text
    _error, body = await ask(environment, timeout_s=0.2)
    assert body["errorType"] == "Sandbox.Timedout"
    assert "Phase: invoke\tStatus: timeout\n" in bench.logs.text
    assert await ask(environment, timeout_s=30) == (None, "slow")


async def test_too_large_a_result_leaves_the_environment_usable(bench: Bench) -> None:
    environment = await bench.start("def handler(e, c): return 'x' * e\n", memory_mb=1024)
    fits = 6 * 1024 * 1024 + 100 - 2
    response = await invoke(environment, fits)
    assert (response.function_error, len(await response.read())) == (None, fits + 2)
    for size in (fits + 1, 3 * fits):
        error, body = await ask(environment, size)
        assert error == "Unhandled"
        assert body == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        }
    assert await ask(environment, 1) == (None, "x")
    assert bench.logs.text.count("INIT_START") == 1


async def test_too_much_memory_while_running(bench: Bench) -> None:
    source = "import time\ndef handler(e, c):\n    held = bytearray(300 << 20)\n    time.sleep(30)\n"
    environment = await bench.start(source, memory_mb=128)
    response = await invoke(environment, timeout_s=20)
    body = msgspec.json.decode(await response.read())
    assert body["errorType"] == "Runtime.ExitError"
    assert body["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    report = await response.report()
    assert report.max_memory_used_mb > 128
    assert report.duration_ms < 15_000


async def test_too_much_memory_in_a_short_event(bench: Bench) -> None:
    environment = await bench.start("def handler(e, c): return len(bytes(b'1') * (200 << 20))\n", memory_mb=128)
    _error, body = await ask(environment)
    assert body["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")


async def test_too_much_memory_in_a_child_process(bench: Bench) -> None:
    source = (
        "import subprocess, sys\n"
        "def handler(e, c):\n"
        "    code = 'import time; held = bytearray(300 << 20); time.sleep(30)'\n"
        "    subprocess.run([sys.executable, '-c', code])\n"
    )
    environment = await bench.start(source, memory_mb=128)
    _error, body = await ask(environment, timeout_s=20)
    assert body["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
