"""Node.js: events, contexts, callbacks, errors, and how a runtime ends."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.sandbox.support import Bench, ask, invocation, invoke, wait_until

MODERN, LEGACY = "nodejs24.x", "nodejs20.x"


async def js(bench: Bench, source: str, runtime: str = MODERN, **options: Any) -> Any:
    return await bench.start({"h.js": source}, runtime=runtime, **options)


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ("event", {"a": [1, None, "ü𝄞"]}),
        ("undefined", None),
        ("null", None),
        ("'text'", "text"),
        ("0", 0),
        ("new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("{a: undefined, b: NaN, c: () => 1}", {"b": None}),
        ("() => 1", None),
    ],
)
async def test_results(bench: Bench, runtime: str, result: str, answer: Any) -> None:
    environment = await js(bench, f"exports.handler = async (event) => ({result});", runtime)
    response = await invoke(environment, {"a": [1, None, "ü𝄞"]})
    assert response.content_type == "application/json"
    assert await ask(environment, {"a": [1, None, "ü𝄞"]}) == (None, answer)


async def test_many_events_of_all_sizes(bench: Bench) -> None:
    environment = await js(bench, "exports.handler = async (event) => event;", memory_mb=512)
    for size in (0, 1, 60_000, 65_530, 65_536, 70_000, 1_000_000, 5_900_000, 10, 200_000):
        assert await ask(environment, "x" * size) == (None, "x" * size)
    first = await js(bench, "exports.handler = async (event) => event.length;", memory_mb=512)
    assert await ask(first, "x" * 5_000_000) == (None, 5_000_000)


async def test_plain_functions(bench: Bench) -> None:
    assert await bench.call({"h.js": "exports.handler = (event) => event + 1;"}, 1, runtime=MODERN) == (None, 2)
    # Before 24 only a promise or a callback answers.
    assert await bench.call({"h.js": "exports.handler = (event) => event + 1;"}, 1, runtime=LEGACY) == (None, None)


CONTEXT = """
exports.handler = async (event, context) => {
  const left = context.getRemainingTimeInMillis();
  const known = JSON.parse(JSON.stringify(context));
  return {...known, left, names: Object.keys(context), trace: process.env._X_AMZN_TRACE_ID};
};
"""


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
async def test_context(bench: Bench, runtime: str) -> None:
    environment = await js(bench, CONTEXT, runtime, memory_mb=256)
    sent = invocation(
        1,
        timeout_s=5.0,
        tenant_id="blue",
        trace_id="Root=1-2-3",
        client_context='{"custom": {"a": "b"}, "client": {"installation_id": "i"}}',
        cognito_identity='{"cognitoIdentityId": "x", "cognitoIdentityPoolId": "y"}',
    )
    response = await environment.invoke(sent)
    answer = msgspec.json.decode(await response.read())
    await response.report()
    assert 0 < answer.pop("left") <= 5000
    names = answer.pop("names")
    old = ["callbackWaitsForEmptyEventLoop", "succeed", "fail", "done"]
    assert [name in names for name in old] == [runtime == LEGACY] * 4
    answer.pop("callbackWaitsForEmptyEventLoop", None)
    assert answer.pop("xRayTraceId", None) == ("Root=1-2-3" if runtime == MODERN else None)
    assert answer == {
        "functionName": "f",
        "functionVersion": "$LATEST",
        "memoryLimitInMB": "256",
        "logGroupName": "/aws/lambda/f",
        "logStreamName": "2026/01/02/[$LATEST]0123",
        "clientContext": {"custom": {"a": "b"}, "client": {"installation_id": "i"}},
        "identity": {"cognitoIdentityId": "x", "cognitoIdentityPoolId": "y"},
        "invokedFunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:f:live",
        "awsRequestId": sent.request_id,
        "tenantId": "blue",
        "trace": "Root=1-2-3",
    }
    _, bare = await ask(environment)
    assert {"clientContext", "identity", "tenantId", "trace"}.isdisjoint(bare)


async def test_context_that_is_no_json(bench: Bench) -> None:
    environment = await js(bench, CONTEXT)
    error, body = await ask(environment, client_context="{\0")
    assert (error, body["errorType"]) == ("Unhandled", "Error")
    assert body["errorMessage"].startswith("Cannot parse ClientContext as json: SyntaxError")
    assert (await ask(environment))[0] is None


async def test_invoke_store(bench: Bench) -> None:
    source = """
    const { InvokeStore } = awslambda;
    const before = [InvokeStore.hasContext(), InvokeStore.getRequestId()];
    exports.handler = async () => {
      InvokeStore.set('mine', 1);
      let refused = '';
      try { InvokeStore.set(Symbol.for('_AWS_LAMBDA_REQUEST_ID'), 'x'); } catch (error) { refused = error.message; }
      const { getRequestId, getTenantId, getXRayTraceId } = InvokeStore;
      return [before, InvokeStore.get('mine'), refused, InvokeStore.getTenantId(), InvokeStore.getXRayTraceId()];
    };
    """
    environment = await js(bench, source)
    _, answer = await ask(environment, tenant_id="blue", trace_id="Root=1")
    refused = "Cannot modify protected Lambda context field: Symbol(_AWS_LAMBDA_REQUEST_ID)"
    assert answer == [[False, "-"], 1, refused, "blue", "Root=1"]


async def test_variables_and_folder(bench: Bench) -> None:
    environment = await js(
        bench,
        "exports.handler = async () => ({...process.env, cwd: process.cwd(), argv: process.execArgv});",
        memory_mb=1024,
        environment={"MINE": "1", "NODE_ENV": "test"},
    )
    _, answer = await ask(environment)
    assert answer["cwd"] == answer["LAMBDA_TASK_ROOT"]
    assert answer["AWS_EXECUTION_ENV"] == "AWS_Lambda_nodejs24.x"
    assert (answer["MINE"], answer["NODE_ENV"]) == ("1", "test")
    assert answer["_HANDLER"] == "h.handler"
    assert not [name for name in answer if name.startswith("_LAMBENT")]
    assert answer["argv"] == ["--max-semi-space-size=51", "--max-old-space-size=921"]


async def test_own_memory_flags(bench: Bench) -> None:
    source = "exports.handler = async () => [process.execArgv, require('v8').getHeapStatistics().heap_size_limit];"
    environment = await js(bench, source, environment={"NODE_OPTIONS": "--max_old_space_size=77"})
    _, (flags, limit) = await ask(environment)
    assert flags == []
    assert limit < 400 << 20


async def test_exec_wrapper(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "bin/wrap": '#!/bin/sh\nexport WRAPPED="$#"\nexec "$@"\n',
        "h.js": "exports.handler = async () => process.env.WRAPPED;",
    }
    wrapper = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/bin/wrap"}
    assert await bench.call(files, runtime=MODERN, environment=wrapper) == (None, "4")


CALLBACKS = """
const ways = {
  value: (context, callback) => callback(null, 'value'),
  error: (context, callback) => callback(new RangeError('called back')),
  text: (context, callback) => callback('just text'),
  nothing: () => {},
  never: (context) => { context.callbackWaitsForEmptyEventLoop = false; },
  throws: () => { throw new TypeError('thrown'); },
  twice: (context, callback) => { callback(null, 'first'); callback(null, 'second'); },
  waits: (context, callback) => { callback(null, state); setTimeout(() => { state.late = true; }, 50); },
  hurries: (context, callback) => {
    context.callbackWaitsForEmptyEventLoop = false;
    setTimeout(() => {}, 60000);
    callback(null, 'hurried');
  },
  done: (context) => context.done(null, 'done'),
  'done with error': (context) => context.done(new Error('undone')),
  succeed: (context) => { setTimeout(() => {}, 60000).unref(); context.succeed('succeeded'); },
  fail: (context) => context.fail(new Error('failed')),
  'fail with nothing': (context) => context.fail(),
  async: async () => 'promised',
  'promise over callback': async (context, callback) => { callback(null, 'called'); return 'promised'; },
};
const state = {};
exports.handler = (event, context, callback) => ways[event](context, callback);
"""


async def test_callback_styles(bench: Bench) -> None:
    environment = await js(bench, CALLBACKS, LEGACY)
    expected: dict[str, Any] = {
        "value": "value",
        "nothing": None,
        "never": None,
        "twice": "first",
        "waits": {"late": True},
        "hurries": "hurried",
        "done": "done",
        "succeed": "succeeded",
        "async": "promised",
    }
    for way, answer in expected.items():
        assert (way, *await ask(environment, way)) == (way, None, answer)
        if way == "hurries":  # leaves a timer behind, for which later events would wait
            await environment.stop("spindown")
            environment = await js(bench, CALLBACKS, LEGACY)
    failures = {
        "error": ("RangeError", "called back"),
        "text": ("string", "just text"),
        "throws": ("TypeError", "thrown"),
        "done with error": ("Error", "undone"),
        "fail": ("Error", "failed"),
        "fail with nothing": ("string", "handled"),
    }
    for way, (kind, message) in failures.items():
        error, body = await ask(environment, way)
        assert (way, error, body["errorType"], body["errorMessage"]) == (way, "Unhandled", kind, message)
    assert await ask(environment, "value") == (None, "value")


async def test_what_is_left_behind_runs_with_the_next_event(bench: Bench) -> None:
    source = """
    let ticks = 0;
    exports.handler = (event, context, callback) => {
      context.callbackWaitsForEmptyEventLoop = false;
      if (event === 'start') { setInterval(() => { ticks += 1; }, 5); callback(null, ticks); }
      else setTimeout(() => callback(null, ticks), 100);
    };
    """
    environment = await js(bench, source, LEGACY)
    assert await ask(environment, "start") == (None, 0)
    _, ticks = await ask(environment, "wait")
    assert ticks > 0


ERRORS = """
class Custom extends Error { constructor(message) { super(message); this.name = 'CustomError'; this.extra = [1]; } }
exports.handler = async (event) => {
  switch (event) {
    case 'custom': throw new Custom('own\\x7F');
    case 'text': throw 'only text';
    case 'nothing': throw undefined;
    case 'object': throw {name: 'Looks', message: 'like one', stack: 'Looks: like one\\n    at home'};
    case 'hostile': throw Object.defineProperty(new Error('x'), 'message', {get() { throw 1; }});
    case 'circle': { const circle = {}; circle.circle = circle; return circle; }
    case 'bigint': return 1n;
  }
};
"""


async def test_errors(bench: Bench) -> None:
    environment = await js(bench, ERRORS)
    error, body = await ask(environment, "custom")
    assert (error, body["errorType"], body["errorMessage"]) == ("Unhandled", "CustomError", "own%7F")
    assert "own%7F" in body["trace"][0]
    assert "h.js:5:" in body["trace"][1]
    assert list(body) == ["errorType", "errorMessage", "trace"]
    expected = {
        "text": {"errorType": "string", "errorMessage": "only text", "trace": []},
        "nothing": {"errorType": "undefined", "errorMessage": "undefined", "trace": []},
        "object": {"errorType": "Looks", "errorMessage": "like one", "trace": ["Looks: like one", "    at home"]},
    }
    for event, answer in expected.items():
        assert await ask(environment, event) == ("Unhandled", answer)
    _, body = await ask(environment, "hostile")
    assert body["errorType"] == "handled"
    for event in ("circle", "bigint"):
        _, body = await ask(environment, event)
        assert body["errorType"] == "Runtime.JSONStringifyError"
        assert body["errorMessage"] == "Unable to stringify response body"
    assert await ask(environment, "fine") == (None, None)
    legacy = await js(bench, ERRORS, LEGACY)
    _, body = await ask(legacy, "circle")
    assert (body["errorType"], body["errorMessage"]) == ("Error", "Unable to stringify response body")
    _, body = await ask(legacy, "nothing")
    assert (body["errorType"], body["errorMessage"]) == ("string", "handled")


ENDS = """
exports.handler = async (event) => {
  console.log('before', event);
  const forever = () => new Promise(() => setInterval(() => {}, 1000));
  switch (event) {
    case 'throw': setTimeout(() => { throw new RangeError('uncaught'); }, 5); return forever();
    case 'reject': setTimeout(() => Promise.reject(new RangeError('unhandled')), 5); return forever();
    case 'exit 0': process.exit(0);
    case 'exit 7': process.exit(7);
    case 'kill': process.kill(process.pid, 'SIGKILL'); return forever();
    case 'abort': process.abort();
    case 'block': for (;;) {}
    case 'hang': return forever();
    case 'late throw': setTimeout(() => { throw new Error('after the answer'); }, 5); return 'answered';
  }
  return [event, process.pid];
};
"""


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
async def test_how_runtimes_end(bench: Bench, runtime: str) -> None:
    environment = await js(bench, ENDS, runtime)
    _, (_, first) = await ask(environment, "fine")
    error, body = await ask(environment, "throw")
    assert (error, body["errorType"], body["errorMessage"]) == ("Unhandled", "RangeError", "uncaught")
    assert "Error: Runtime exited with error: exit status 129\nRuntime.ExitError\n" in bench.logs.text
    assert "\tERROR\tUncaught Exception \t{" in bench.logs.text
    error, body = await ask(environment, "reject")
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.UnhandledPromiseRejection")
    assert body["errorMessage"] == "RangeError: unhandled"
    assert body["trace"][0] == "Runtime.UnhandledPromiseRejection: RangeError: unhandled"
    assert "Error: Runtime exited with error: exit status 128\nRuntime.ExitError\n" in bench.logs.text
    for event, how in (
        ("exit 0", "Runtime exited without providing a reason"),
        ("exit 7", "Runtime exited with error: exit status 7"),
        ("kill", "Runtime exited with error: signal: killed"),
        ("abort", "Runtime exited with error: signal: aborted"),
    ):
        error, body = await ask(environment, event)
        assert (error, body["errorType"]) == ("Unhandled", "Runtime.ExitError")
        assert body["errorMessage"].endswith(f" Error: {how}")
        assert f"\tINFO\tbefore {event}\n" in bench.logs.text
    for event in ("block", "hang"):
        error, body = await ask(environment, event, timeout_s=0.5)
        assert (error, body["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    _, (_, last) = await ask(environment, "fine")
    assert last != first


async def test_error_between_events(bench: Bench) -> None:
    environment = await js(bench, ENDS)
    assert await ask(environment, "late throw") == (None, "answered")
    await wait_until(lambda: environment._generation is None)
    assert "Uncaught Exception" in bench.logs.text
    # The next event gets a new one.
    assert (await ask(environment, "fine"))[0] is None


async def test_stray_rejection_beside_an_answer(bench: Bench) -> None:
    source = "exports.handler = async (event) => { if (event) Promise.reject(new Error('stray')); return 'answer'; };"
    environment = await js(bench, source)
    error, body = await ask(environment, 1)
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.UnhandledPromiseRejection")
    assert await ask(environment, 0) == (None, "answer")
    legacy = await js(bench, source, LEGACY)
    assert await ask(legacy, 1) == (None, "answer")
    assert await ask(legacy, 0) == (None, "answer")


async def test_promise_that_nothing_will_settle(bench: Bench) -> None:
    source = "exports.handler = (event) => event ? new Promise(() => {}) : Promise.resolve('next');"
    modern = await js(bench, source)
    error, body = await ask(modern, 1)
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert body["errorMessage"].endswith("Runtime exited without providing a reason")
    assert await ask(modern, 0) == (None, "next")
    legacy = await js(bench, source, LEGACY)
    assert await ask(legacy, 0) == (None, "next")
    assert await ask(legacy, 1) == (None, None)
    assert await ask(legacy, 0) == (None, "next")


async def test_heap_over_its_limit(bench: Bench) -> None:
    source = """
    exports.handler = async (event) => {
      const kept = [];
      while (event) kept.push(new Array(10000).fill(kept.length).map((n) => ({n})));
      return 'fine';
    };
    """
    environment = await js(bench, source, memory_mb=128)
    error, body = await ask(environment, 1, timeout_s=60)
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert body["errorMessage"].endswith(("signal: killed", "signal: aborted"))
    assert await ask(environment, 0) == (None, "fine")


async def test_a_large_log_before_a_crash_is_not_lost(bench: Bench) -> None:
    source = """
    exports.handler = async (event) => {
      for (let i = 0; i < 3000; i++) console.log(String(i), 'x'.repeat(1000));
      if (event) process.exit(1);
    };
    """
    environment = await js(bench, source)
    await ask(environment, 0)
    assert len([line for line in bench.logs.lines if "\tINFO\t" in line]) == 3000
    await ask(environment, 1)  # now over a socket that does not block
    assert len([line for line in bench.logs.lines if "\tINFO\t" in line]) == 6000


async def test_children_do_not_get_the_channel(bench: Bench) -> None:
    source = """
    const { spawnSync } = require('child_process');
    exports.handler = async () =>
      spawnSync('sh', ['-c', 'echo from the child; ls /proc/self/fd'], {stdio: ['ignore', 'pipe', 'inherit']})
        .stdout.toString().trim().split('\\n').slice(1);
    """
    environment = await js(bench, source)
    for _ in range(2):
        _, descriptors = await ask(environment)
        assert set(descriptors) <= {"0", "1", "2", "3"}  # 3 is the folder that `ls` reads
        assert len(descriptors) == 4


async def test_fetch_and_timers_across_events(bench: Bench) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nfetched")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        source = f"exports.handler = async () => (await fetch('http://127.0.0.1:{port}/')).text();"
        environment = await js(bench, source)
        for _ in range(3):
            assert await ask(environment) == (None, "fetched")


async def test_compiled_code_is_kept(bench: Bench) -> None:
    names = "\n".join(f"exports.f{n} = function () {{ return {n}; }};" for n in range(500))
    files: dict[str, str | bytes] = {"h.js": "require('./big.js'); exports.handler = async () => 1;", "big.js": names}
    bench.code.add("big", files)
    environment = await bench.sandbox.start(bench.spec("big", runtime=MODERN))
    assert await ask(environment) == (None, 1)
    kept = bench.work_dir / "runtimes" / "node-compiled"

    def written() -> list[Path]:
        return [path for path in kept.rglob("*") if path.is_file()]

    await wait_until(lambda: len(written()) >= 2)
    (folder,) = kept.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    await environment.stop("spindown")
    os.utime(folder, (0, 0))
    again = await bench.sandbox.start(bench.spec("big", runtime=MODERN))
    assert await ask(again) == (None, 1)
    assert folder.stat().st_mtime > 0  # used, so kept
    os.utime(folder, (0, 0))
    other = await bench.start(files, runtime=MODERN)
    assert not folder.exists()
    assert len(list(kept.iterdir())) == 1
    await other.stop("spindown")


async def test_idle_runtime_takes_no_time(bench: Bench) -> None:
    environment = await js(bench, "exports.handler = async () => process.cpuUsage().user;")
    await ask(environment)
    _, before = await ask(environment)
    await asyncio.sleep(0.5)
    started = time.monotonic()
    _, after = await ask(environment)
    assert after - before < 100_000 + (time.monotonic() - started) * 1e6
