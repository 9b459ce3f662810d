"""Node.js: awslambda.streamifyResponse over the framed socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lambent.sandbox.protocol import Environment, StreamBroken
from tests.unit.sandbox.support import Bench, ask, invoke, wait_until

MODERN, LEGACY = "nodejs24.x", "nodejs20.x"
INTEGRATION = "application/vnd.awslambda.http-integration-response"


async def stream(bench: Bench, body: str, runtime: str = MODERN, **options: Any) -> Environment:
    source = f"""
    const fs = require('fs');
    const {{ setTimeout: sleep }} = require('timers/promises');
    const {{ pipeline }} = require('stream/promises');
    const {{ Readable }} = require('stream');
    exports.handler = awslambda.streamifyResponse(async (event, responseStream, context) => {{ {body} }});
    """
    return await bench.start({"h.js": source}, runtime=runtime, **options)


async def collect(environment: Environment, payload: Any = None, **options: Any) -> tuple[str, bytes]:
    """(content type, all bytes) of a streamed answer."""
    response = await invoke(environment, payload, streaming=True, **options)
    assert response.streaming
    assert response.function_error is None
    body = await response.read()
    await response.report()
    return response.content_type, body


async def broken(environment: Environment, payload: Any = None, **options: Any) -> tuple[bytes, str, Any]:
    """(bytes before the break, error type, error) of a stream that fails midway."""
    response = await invoke(environment, payload, streaming=True, **options)
    taken: list[bytes] = []

    async def take(body: AsyncIterator[bytes]) -> None:
        async for chunk in body:
            taken.append(chunk)

    with pytest.raises(StreamBroken) as caught:
        await take(response.body())
    await response.report()
    return b"".join(taken), caught.value.error_type, msgspec.json.decode(caught.value.error_body)


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
async def test_chunks_come_as_they_are_written(bench: Bench, runtime: str) -> None:
    flag = str(bench.root / "flag")
    body = """
      for (let i = 0; i < 3; i++) {
        responseStream.write(`chunk ${i};`);
        while (!fs.existsSync(event + i)) await sleep(2);
      }
      responseStream.end('last');
    """
    environment = await stream(bench, body, runtime)
    for _ in range(2):
        response = await invoke(environment, flag, streaming=True)
        chunks = response.body()
        for i in range(3):
            assert await anext(chunks) == b"chunk %d;" % i  # the handler waits for the flag before it writes on
            Path(flag + str(i)).touch()
        assert [chunk async for chunk in chunks] == [b"last"]
        await response.report()
        for i in range(3):
            Path(flag + str(i)).unlink()
    assert response.content_type == "application/octet-stream"


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
async def test_ways_to_write(bench: Bench, runtime: str) -> None:
    body = """
      responseStream.setContentType('text/plain');
      responseStream.write('text ü;');
      responseStream.write(Buffer.from('buffer;'));
      responseStream.write(new Uint8Array([65, 59]));
      responseStream.write({an: 'object'});
      responseStream.write('6869', 'hex');
      let late = '';
      try { responseStream.setContentType('text/html'); } catch (error) { late = `${error.name}: ${error.message}`; }
      await new Promise((resolve) => responseStream.write(late, resolve));
      await pipeline(Readable.from(['piped', 'to', 'its', 'end']), responseStream);
      if (!responseStream.writableFinished) throw new Error('not finished');
    """
    environment = await stream(bench, body, runtime)
    late = "Runtime.InvalidStreamingOperation: Cannot set content-type, too late."
    expected = f'text ü;buffer;A;{{"an":"object"}}hi{late}pipedtoitsend'
    assert await collect(environment) == ("text/plain", expected.encode())
    assert await collect(environment) == ("text/plain", expected.encode())


async def test_empty_stream(bench: Bench) -> None:
    environment = await stream(bench, "responseStream.end();")
    assert await collect(environment) == ("application/octet-stream", b"")
    assert await collect(environment) == ("application/octet-stream", b"")


@pytest.mark.parametrize(
    "ending", ["responseStream.write('body'); responseStream.end();", "responseStream.end('body');"]
)
async def test_http_metadata(bench: Bench, ending: str) -> None:
    body = """
      const metadata = {statusCode: 201, headers: {'X-A': 'b'}, cookies: ['c=d']};
      responseStream = awslambda.HttpResponseStream.from(responseStream, metadata);
    """
    environment = await stream(bench, body + ending)
    content_type, answer = await collect(environment)
    assert content_type == INTEGRATION
    prelude, nothing, rest = answer.partition(b"\0" * 8)
    assert msgspec.json.decode(prelude) == {"statusCode": 201, "headers": {"X-A": "b"}, "cookies": ["c=d"]}
    assert (nothing, rest) == (b"\0" * 8, b"body")


async def test_http_metadata_without_a_body(bench: Bench) -> None:
    body = (
        "responseStream = awslambda.HttpResponseStream.from(responseStream, {statusCode: 204}); responseStream.end();"
    )
    environment = await stream(bench, body)
    assert await collect(environment) == (INTEGRATION, b'{"statusCode":204}' + b"\0" * 8)


async def test_twenty_megabytes(bench: Bench) -> None:
    body = """
      const part = Buffer.alloc(1 << 20, 'x');
      for (let i = 0; i < 17; i++) {
        if (!responseStream.write(part)) await new Promise((resolve) => responseStream.once('drain', resolve));
      }
      responseStream.write(Buffer.alloc(3 << 20, 'y'));
      responseStream.end();
    """
    environment = await stream(bench, body, memory_mb=512)
    _, answer = await collect(environment)
    assert answer == b"x" * (17 << 20) + b"y" * (3 << 20)
    # For a caller that wants it whole, 6 MB are the most.
    error, failure = await ask(environment)
    assert (error, failure["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")


async def test_a_slow_reader_holds_the_writer_and_not_the_handler(bench: Bench) -> None:
    body = """
      let ticks = 0, full = 0;
      const timer = setInterval(() => { if (++ticks === 20) fs.writeFileSync(event, ''); }, 2);
      const part = Buffer.alloc(100000);
      for (let i = 0; i < 100; i++) {
        if (!responseStream.write(part)) {
          full += 1;
          await new Promise((resolve) => responseStream.once('drain', resolve));
        }
      }
      clearInterval(timer);
      responseStream.end();
      console.log('FULL', full > 0);
    """
    environment = await stream(bench, body)
    flag = bench.root / "ticking"

    response = await invoke(environment, str(flag), streaming=True)
    chunks = response.body()
    size = len(await anext(chunks))
    await wait_until(flag.exists)  # the reader sleeps; timers of the handler run on
    async for chunk in chunks:
        size += len(chunk)
    await response.report()
    assert size == 10_000_000
    assert "FULL true" in bench.logs.text


async def test_lost_reader(bench: Bench) -> None:
    body = """
      const part = Buffer.alloc(100000);
      for (let i = 0; i < event; i++) {
        if (!responseStream.write(part)) await new Promise((resolve) => responseStream.once('drain', resolve));
      }
      responseStream.end();
    """
    environment = await stream(bench, body)
    response = await invoke(environment, 100, streaming=True)
    chunks = response.body()
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]
    await asyncio.wait_for(response.report(), 10)
    assert len((await collect(environment, 1))[1]) == 100_000


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
async def test_failures(bench: Bench, runtime: str) -> None:
    body = """
      switch (event) {
        case 'early': throw new RangeError('before the first byte');
        case 'midway': responseStream.write('some'); await sleep(5); throw new RangeError('midway');
        case 'after': responseStream.end('all'); await sleep(5); throw new RangeError('after the end');
        case 'at once': responseStream.end('all'); throw new RangeError('at once');
        case 'unfinished': responseStream.write('some'); return;
        case 'nothing': return;
        case 'destroyed':
          responseStream.write('some');
          responseStream.destroy(new RangeError('destroyed'));
          return sleep(5);
        case 'written after':
          responseStream.end('all');
          responseStream.write('more');
          responseStream.write('still more');
          return sleep(5);
        case 'value': responseStream.end('all'); return 7;
        case 'throw':
          responseStream.write('some');
          setTimeout(() => { throw new RangeError('uncaught'); }, 5);
          return sleep(9e6);
        case 'exit': responseStream.write('some'); process.exit(3);
      }
      responseStream.end('fine');
    """
    environment = await stream(bench, body, runtime)
    error, failure = await ask(environment, "early", streaming=True)
    assert (error, failure["errorType"], failure["errorMessage"]) == (
        "Unhandled",
        "RangeError",
        "before the first byte",
    )
    before, kind, failure = await broken(environment, "midway")
    assert (before, kind, failure["errorMessage"]) == (b"some", "RangeError", "midway")
    assert "\tERROR\tInvoke Error \t{" in bench.logs.text
    assert (await collect(environment, "after"))[1] == b"all"
    assert "after the end" in bench.logs.text
    assert (await collect(environment, "at once"))[1] == b"all"
    before, kind, failure = await broken(environment, "unfinished")
    assert (before, failure["errorMessage"]) == (b"some", "Response stream is not finished.")
    assert kind == ("Error" if runtime == MODERN else "string")
    error, failure = await ask(environment, "nothing", streaming=True)
    assert (error, failure["errorMessage"]) == ("Unhandled", "Response stream is not finished.")
    before, _, failure = await broken(environment, "destroyed")
    assert (before, failure["errorMessage"]) == (b"some", "destroyed")
    assert (await collect(environment, "written after"))[1] == b"all"
    assert "write after end" in bench.logs.text
    assert (await collect(environment, "value"))[1] == b"all"
    assert "\tWARN\tStreaming handlers ignore return values.\n" in bench.logs.text
    before, kind, failure = await broken(environment, "throw")
    assert (before, kind, failure["errorMessage"]) == (b"some", "RangeError", "uncaught")
    assert "exit status 129\n" in bench.logs.text
    before, kind, failure = await broken(environment, "exit")
    assert (before, kind) == (b"some", "Runtime.ExitError")
    assert failure["errorMessage"].endswith("Runtime exited with error: exit status 3")
    assert (await collect(environment))[1] == b"fine"
    # A caller that wants it whole gets the error alone.
    assert (await ask(environment, "midway"))[1]["errorMessage"] == "midway"


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
async def test_handler_that_is_not_async(bench: Bench, runtime: str) -> None:
    source = "exports.handler = awslambda.streamifyResponse((event, stream, context) => { stream.write('x'); });"
    environment = await bench.start({"h.js": source}, runtime=runtime)
    error, failure = await ask(environment)
    assert (error, failure["errorMessage"]) == ("Unhandled", "Streaming does not support non-async handlers.")


async def test_the_stream_ends_before_the_handler(bench: Bench) -> None:
    body = "responseStream.end('all'); while (!fs.existsSync(event)) await sleep(2); console.log('done later');"
    environment = await stream(bench, body)
    flag = bench.root / "flag"
    response = await invoke(environment, str(flag), streaming=True)
    assert await response.read() == b"all"
    assert "done later" not in bench.logs.text
    flag.touch()
    assert b"done later" in (await response.report()).log_tail


async def test_return_before_the_end_of_the_stream(bench: Bench) -> None:
    body = "Readable.from((async function* () { yield 'a'; await sleep(20); yield 'b'; })()).pipe(responseStream);"
    environment = await stream(bench, body)
    assert (await collect(environment))[1] == b"ab"


async def test_waiting_for_an_empty_event_loop_before_24(bench: Bench) -> None:
    body = """
      if (event === 'hurry') context.callbackWaitsForEmptyEventLoop = false;
      setTimeout(() => console.log('timer of', event), 200);
      responseStream.end('all');
    """
    environment = await stream(bench, body, LEGACY)
    response = await invoke(environment, "wait", streaming=True)
    assert b"timer of wait" in (await _report(response)).log_tail
    response = await invoke(environment, "hurry", streaming=True)
    assert b"timer of hurry" not in (await _report(response)).log_tail


async def _report(response: Any) -> Any:
    await response.read()
    return await response.report()


async def test_timeout_in_a_stream(bench: Bench) -> None:
    environment = await stream(
        bench, "responseStream.write('some'); if (event) await sleep(60000); responseStream.end();"
    )
    before, kind, _ = await broken(environment, 1, timeout_s=0.5)
    assert (before, kind) == (b"some", "Sandbox.Timedout")
    assert (await collect(environment, 0))[1] == b"some"


async def test_high_water_mark_and_marks(bench: Bench) -> None:
    source = """
    exports.handler = awslambda.streamifyResponse(async (event, stream) => {
      stream.end(String(stream.writableHighWaterMark));
    }, {highWaterMark: 12345});
    """
    environment = await bench.start({"h.js": source}, runtime=MODERN)
    assert (await collect(environment))[1] == b"12345"
    mark = (
        "exports.handler = async () => {}; exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'up';"
    )
    error, failure = await bench.call({"h.js": mark}, runtime=MODERN)
    assert (error, failure["errorType"]) == ("Unhandled", "Runtime.MalformedStreamingHandler")


async def test_streaming_caller_of_a_plain_handler(bench: Bench) -> None:
    environment = await bench.start({"h.js": "exports.handler = async () => ({a: 1});"}, runtime=MODERN)
    response = await invoke(environment, streaming=True)
    assert (response.streaming, await response.read()) == (False, b'{"a":1}')


async def test_global_can_be_switched_off(bench: Bench) -> None:
    source = "exports.handler = async () => typeof awslambda;"
    off = {"AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA": "true"}
    assert await bench.call({"h.js": source}, runtime=MODERN) == (None, "object")
    assert await bench.call({"h.js": source}, runtime=MODERN, environment=off) == (None, "undefined")
