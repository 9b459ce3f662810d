"""Several events at once in one environment: Node.js functions, interleaved by asynchronous context."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from lambent.sandbox.protocol import StreamBroken
from tests.unit.sandbox.support import Bench, ask, invocation, invoke, wait_until

HANDLER = """
const { threadId } = require('worker_threads');
let running = 0, meeting = [], count = 0;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

exports.handler = async (event, context) => {
  count++;
  console.log('begins');
  if (event.meet) {
    await new Promise((resolve) => {
      meeting.push(resolve);
      if (meeting.length === event.meet) meeting.forEach((go) => go());
    });
  }
  for (let n = 0; n < 3; n++) await sleep(2);
  process.stdout.write('written by ' + context.awsRequestId + '\\n');
  console.warn({ by: context.awsRequestId });
  if (event.fail) throw new TypeError('no');
  if (event.sleep) await sleep(event.sleep);
  if (event.crash) setTimeout(() => { throw new Error('thrown'); }, 5);
  if (event.crash) await sleep(1000);
  if (event.exit) process.exit(4);
  const store = globalThis.awslambda.InvokeStore;
  store.set('own', context.awsRequestId);
  await sleep(2);
  return {
    id: context.awsRequestId, stored: store.getRequestId(), own: store.get('own'), trace: store.getXRayTraceId(),
    traceOfContext: context.xRayTraceId, environment: process.env._X_AMZN_TRACE_ID ?? null, tenant: context.tenantId,
    left: context.getRemainingTimeInMillis(), thread: threadId, count,
  };
};
"""


async def start(bench: Bench, source: str = HANDLER, concurrency: int = 8, threads: int = 1, **options: Any) -> Any:
    options = {"initialization_type": "lambda-managed-instances", "log_format": "JSON", **options}
    environment = await bench.start(
        {"h.js": source},
        runtime="nodejs24.x",
        memory_mb=512,
        max_concurrency=concurrency,
        environment={"AWS_LAMBDA_NODEJS_WORKER_COUNT": str(threads)},
        **options,
    )
    if environment.alive:
        await wait_until(lambda: environment.places == concurrency)
    return environment


async def test_events_interleave_and_each_has_its_own_context_logs_and_trace(bench: Bench) -> None:
    environment = await start(bench)
    events = [invocation({"meet": 8}, trace_id=f"Root={n}", tenant_id=f"t{n}") for n in range(8)]
    responses = await asyncio.gather(*(environment.invoke(event) for event in events))
    for event, response in zip(events, responses, strict=True):
        answer = msgspec.json.decode(await response.read())
        assert answer["id"] == answer["stored"] == answer["own"] == event.request_id
        assert answer["trace"] == answer["traceOfContext"] == event.trace_id
        assert answer["environment"] is None
        assert answer["tenant"] == event.tenant_id
        assert 3000 < answer["left"] <= 10000
        assert answer["count"] == 8  # one process, one set of globals
        tail = (await response.report()).log_tail.decode()
        assert f"written by {event.request_id}\n" in tail
        records = [msgspec.json.decode(line) for line in tail.splitlines() if '"level"' in line]
        assert [record["requestId"] for record in records] == [event.request_id] * 2
        assert records[1]["message"] == {"by": event.request_id}
        assert records[0]["tenantId"] == event.tenant_id
        assert not any(other.request_id in tail for other in events if other is not event)


async def test_threads_share_the_places(bench: Bench) -> None:
    environment = await start(bench, concurrency=5, threads=2)
    answers = await asyncio.gather(*(ask(environment, {}, request_id=f"id-{n}") for n in range(5)))
    threads = [answer["thread"] for _, answer in answers]
    assert sorted(threads.count(thread) for thread in set(threads)) == [2, 3]
    assert [answer["id"] for _, answer in answers] == [f"id-{n}" for n in range(5)]
    for n in range(5):
        assert sum(f'"requestId":"id-{n}"' in line and '"level"' in line for line in bench.logs.lines) == 2
        assert f"written by id-{n}\n" in bench.logs.text


async def test_an_error_and_a_timeout_are_their_events_own(bench: Bench) -> None:
    environment = await start(bench)
    outcomes = await asyncio.gather(
        ask(environment, {"fail": 1}, request_id="x"),
        ask(environment, {"sleep": 600}, timeout_s=0.3),
        ask(environment, {"sleep": 400}),
    )
    assert [error for error, _ in outcomes] == ["Unhandled", "Unhandled", None]
    assert [answer.get("errorType") for _, answer in outcomes] == ["TypeError", "Sandbox.Timedout", None]
    [line] = [line for line in bench.logs.lines if '"errorType":"TypeError"' in line and '"level"' in line]
    assert msgspec.json.decode(line)["requestId"] == "x"
    await wait_until(lambda: environment.places == 8)  # the late one is through


@pytest.mark.parametrize(("event", "status"), [({"exit": 1}, 4), ({"crash": 1}, 129)])
@pytest.mark.parametrize("threads", [1, 2])
async def test_the_end_of_the_process_ends_all_its_events(
    bench: Bench, event: dict[str, int], status: int, threads: int
) -> None:
    environment = await start(bench, concurrency=4, threads=threads)
    others = [asyncio.ensure_future(ask(environment, {"sleep": 5000})) for _ in range(3)]
    await asyncio.sleep(0.1)
    error, answer = await ask(environment, event)
    assert error == "Unhandled"
    if "exit" in event:
        assert answer["errorMessage"].endswith(f"Runtime exited with error: exit status {status}")
    for error, answer in await asyncio.gather(*others):
        assert error == "Unhandled"
        assert answer["errorType"] == "Runtime.ExitError"
        assert answer["errorMessage"].endswith(f"Runtime exited with error: exit status {status}")
    await wait_until(lambda: not environment.alive)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("throw new RangeError('no');", "RangeError"),
        ("exports.handler = (event, context, callback) => callback();", "Runtime.CallbackHandlerDeprecated"),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
async def test_a_failing_init_ends_the_environment(bench: Bench, source: str, kind: str, threads: int) -> None:
    environment = await start(bench, source, concurrency=2, threads=threads)
    assert not environment.alive
    error, answer = await ask(environment, {})
    assert (error, answer["errorType"]) == ("Unhandled", kind)


STREAMS = """
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  for (let n = 0; n < 3; n++) {
    stream.write(context.awsRequestId + ';');
    await sleep(5);
  }
  if (event.fail) throw new Error('midway');
  stream.end();
});
"""


async def test_streams_do_not_mix(bench: Bench) -> None:
    environment = await start(bench, STREAMS, concurrency=4)
    events = [invocation({}) for _ in range(4)]
    responses = await asyncio.gather(*(environment.invoke(msgspec.structs.replace(e, streaming=True)) for e in events))
    bodies = await asyncio.gather(*(response.read() for response in responses))
    assert bodies == [f"{event.request_id};".encode() * 3 for event in events]
    broken = await invoke(environment, {"fail": 1}, streaming=True)
    with pytest.raises(StreamBroken, match="Error"):
        await broken.read()
    await broken.report()
    assert (await invoke(environment, {}, streaming=True)).streaming


async def test_a_worker_count_that_is_none_is_said(bench: Bench) -> None:
    environment = await start(bench, threads=0)
    error, answer = await ask(environment, {})
    assert error == "Unhandled"
    assert answer["errorMessage"] == "AWS_LAMBDA_NODEJS_WORKER_COUNT is no number of workers: 0"
