"""AWS's own Node.js runtime client, unmodified, as a custom runtime: it runs here, and our runtime answers alike.

The client has to be built on the machine (`npm install aws-lambda-ric@4`, with cmake and a C++ compiler), so these
tests run where it is: LAMBENT_NODE_RIC names the installed package's folder (4.x, for nodejs24.x),
LAMBENT_NODE_RIC_LEGACY one of 3.x (for nodejs22.x).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lambent.sandbox.node_interpreters import bundled_node
from lambent.sandbox.protocol import Environment, StreamBroken
from tests.unit.sandbox.support import Bench, invoke

CLIENTS = {
    "nodejs24.x": (os.environ.get("LAMBENT_NODE_RIC"), "index.mjs"),
    "nodejs22.x": (os.environ.get("LAMBENT_NODE_RIC_LEGACY"), "bin/index.mjs"),
}
INSTALLED = [
    pytest.param(runtime, f"{folder}/{program}", id=runtime) for runtime, (folder, program) in CLIENTS.items() if folder
]
if not INSTALLED:
    pytest.skip("needs LAMBENT_NODE_RIC: the folder of a built aws-lambda-ric", allow_module_level=True)

SOURCE = r"""
const values = {
  undefined: () => undefined,
  null: () => null,
  text: () => 'ü\u2028 \u{1f600} \0 " \\',
  surrogate: () => '\ud800',
  numbers: () => [1, -1, 1e300, 1e-9, 0.1, -0, NaN, Infinity],
  date: () => new Date(0),
  nested: () => ({a: undefined, b: [undefined, () => 1], c: new Map([[1, 2]]), d: Symbol('s')}),
  buffer: () => Buffer.from('x'),
  json: () => ({toJSON() { return 'own'; }}),
  bigint: () => 1n,
  circle: () => { const a = {}; a.a = a; return a; },
  'throwing json': () => ({toJSON() { throw new TypeError('in toJSON'); }}),
};
class Custom extends Error { constructor(m) { super(m); this.name = 'CustomError'; this.extra = {a: [1]}; } }
const failures = {
  error: () => new RangeError('over'),
  custom: () => new Custom('ü\x7f'),
  cause: () => new Error('outer', {cause: new Error('inner')}),
  aggregate: () => new AggregateError([new Error('one'), new Error('two')], 'several'),
  code: () => Object.assign(new Error('coded'), {code: 'E1'}),
  'no message': () => new Error(),
  text: () => 'only text',
  number: () => 7,
  null: () => null,
  undefined: () => undefined,
  object: () => ({a: 1}),
  abort: () => AbortSignal.abort().reason,
};
exports.handler = async (event, context) => {
  if (event === 'names') return [Object.keys(values), Object.keys(failures)];
  if (event?.value) return values[event.value]();
  if (event?.failure) throw failures[event.failure]();
  if (event === 'context') {
    const { getRemainingTimeInMillis, ...rest } = context;
    return [rest, typeof getRemainingTimeInMillis, Object.keys(context).sort(), process.env._X_AMZN_TRACE_ID];
  }
  if (event === 'log') {
    console.log('plain'); console.debug('level %d', 1, {a: [1]}); console.warn({a: new RangeError('inside')});
    console.error('failed', Object.assign(new RangeError('over'), {code: 1}));
    console.trace(); console.log(null); console.fatal(undefined);
    process.stdout.write('raw\n');
  }
  return event;
};
const stream = (handler) => awslambda.streamifyResponse(handler);
exports.streams = stream(async (event, stream) => {
  stream.setContentType('text/plain');
  stream.write('text;'); stream.write(Buffer.from('buffer;')); stream.write({an: 'object'}); stream.end();
});
exports.metadata = stream(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, {statusCode: 201, headers: {a: 'b'}});
  stream.write('body'); stream.end();
});
exports.breaks = stream(async (event, stream) => {
  stream.write('some');
  await new Promise((resolve) => setTimeout(resolve, 20));
  throw new RangeError('midway');
});
exports.late = stream(async (event, stream) => { stream.end('x'); stream.setContentType('text/html'); });
exports.returns = stream(async (event, stream) => { stream.write('x'); stream.end(); return 1; });
exports.number = 7;
exports.nested = {deep: {handler: async () => 'deep'}};
if (process.env.AT_LOAD === 'throw') throw new RangeError('at load');
if (process.env.AT_LOAD === 'require') require('nothing-of-the-kind');
"""
LEGACY = r"""
exports.handler = (event, context, callback) => ({
  value: () => callback(null, {a: 1}),
  error: () => callback(new RangeError('over')),
  text: () => callback('text'),
  nothing: () => {},
  done: () => context.done(null, 'done'),
  fail: () => context.fail(),
  succeed: () => context.succeed('succeeded'),
  waits: () => { const late = {}; callback(null, late); setTimeout(() => { late.late = 1; }, 30); },
  throws: () => { throw new TypeError('thrown'); },
})[event]();
"""


async def both(bench: Bench, runtime: str, program: str, source: str = SOURCE, **options: Any) -> list[Environment]:
    """Our runtime, and AWS's client as a custom runtime, on the same Node.js."""
    node = bundled_node()
    assert node is not None
    handler = "" if program.endswith("/dist/index.mjs") or "/bin/" not in program else ' "$_HANDLER"'
    bootstrap = (
        f"#!/bin/sh\nexport AWS_EXECUTION_ENV=AWS_Lambda_{runtime}\nunset TZ\nexec {node[0]} {program}{handler}\n"
    )
    options.setdefault("memory_mb", 256)
    ours = await bench.start({"h.js": source}, runtime=runtime, **options)
    theirs = await bench.start({"h.js": source, "bootstrap": bootstrap}, runtime="provided.al2023", **options)
    return [ours, theirs]


async def outcome(environment: Environment, event: Any, **options: Any) -> tuple[Any, ...]:
    """What a caller sees: (function error, content type, the answer without what names places), or the stream's."""
    response = await invoke(environment, event, request_id="fixed", **options)
    parts: list[bytes] = []
    broken: Any = None
    try:
        async for part in response.body():
            parts.append(part)
    except StreamBroken as error:
        # Not its type: the Runtime API has another one for errors that are not the runtime's own.
        broken = neutral(msgspec.json.decode(error.error_body))
    await response.report()
    body = b"".join(parts)
    if response.function_error:
        return response.function_error, neutral(msgspec.json.decode(body))
    return response.content_type, body, broken


def neutral(error: Any) -> Any:
    """An error without the lines of its trace that depend on where the runtime lies, or the instance it names."""
    if isinstance(error, dict) and isinstance(error.get("trace"), list):
        error["trace"] = [line for line in error["trace"] if not line.startswith(("    at ", "- "))]
    text = msgspec.json.encode(error).decode()
    text = re.sub(r"Require stack:.*?(?=\")", "", text)
    return msgspec.json.decode(re.sub(r"/function-\d+/", "/", text))


@pytest.mark.parametrize(("runtime", "program"), INSTALLED)
async def test_same_results_and_errors(bench: Bench, runtime: str, program: str) -> None:
    ours, theirs = await both(bench, runtime, program)
    _, names, _ = await outcome(ours, "names")
    values, failures = msgspec.json.decode(names)
    events = [{"value": name} for name in values] + [{"failure": name} for name in failures] + ["ü", b" [1 , 2e3] "]
    options = {
        "trace_id": "Root=1",
        "tenant_id": "blue",
        "client_context": '{"custom":{"a":1}}',
        "cognito_identity": '{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}',
        "invoked_function_arn": "arn:x",
    }
    different = []
    for event in events:
        pair = [await outcome(environment, event) for environment in (ours, theirs)]
        if pair[0] != pair[1]:
            different.append((event, *pair))
    pair = [await outcome(environment, "context", **options) for environment in (ours, theirs)]
    contexts = [msgspec.json.decode(one[1]) for one in pair]
    assert different == [], "\n".join(map(repr, different))
    assert contexts[0] == contexts[1]


@pytest.mark.parametrize(("runtime", "program"), INSTALLED)
@pytest.mark.parametrize(
    "handler", ["h.streams", "h.metadata", "h.breaks", "h.late", "h.returns", "h.nested.deep.handler"]
)
async def test_same_streams(bench: Bench, runtime: str, program: str, handler: str) -> None:
    ours, theirs = await both(bench, runtime, program, handler=handler)
    for streaming in (True, False):
        assert await outcome(ours, 1, streaming=streaming) == await outcome(theirs, 1, streaming=streaming)


@pytest.mark.parametrize(("runtime", "program"), INSTALLED)
@pytest.mark.parametrize(
    ("handler", "at_load"),
    [
        ("h", ""),
        ("h.none", ""),
        ("h.number", ""),
        ("none.handler", ""),
        ("../h.handler", ""),
        ("h.handler", "throw"),
        ("h.handler", "require"),
    ],
)
async def test_same_failures_at_load(bench: Bench, runtime: str, program: str, handler: str, at_load: str) -> None:
    ours, theirs = await both(bench, runtime, program, handler=handler, environment={"AT_LOAD": at_load})
    assert await outcome(ours, 1) == await outcome(theirs, 1)


@pytest.mark.parametrize(("runtime", "program"), INSTALLED)
@pytest.mark.parametrize("log_format", ["Text", "JSON"])
async def test_same_logs(bench: Bench, runtime: str, program: str, log_format: str) -> None:
    lines: list[list[str]] = []
    for environment in await both(bench, runtime, program, log_format=log_format, application_log_level="TRACE"):
        bench.logs.events.clear()
        for event in ("log", {"failure": "custom"}, {"failure": "text"}):
            await outcome(environment, event)
        await environment.stop("spindown")
        own = [line for line in bench.logs.lines if not re.match(r"START|END|REPORT|INIT|\{\"time\":", line)]
        text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", "".join(own))
        # Where in the runtime an error passed through does not count.
        text = re.sub(r"(?:\\r|\r|\\n|\",\")\s+at .*?(?=\\r|\r|\\n|\"|\n|$| \{)", "", text)
        lines.append(sorted(text.split("\n")))
    assert lines[0] == lines[1]


@pytest.mark.skipif("nodejs22.x" not in [one.id for one in INSTALLED], reason="needs LAMBENT_NODE_RIC_LEGACY")
async def test_same_callbacks(bench: Bench) -> None:
    folder, program = CLIENTS["nodejs22.x"]
    ours, theirs = await both(bench, "nodejs22.x", f"{folder}/{program}", LEGACY)
    for event in ("value", "error", "text", "nothing", "done", "fail", "succeed", "waits", "throws"):
        assert (event, *await outcome(ours, event)) == (event, *await outcome(theirs, event))
    assert Path(str(folder)).is_dir()
