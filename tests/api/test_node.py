"""Node.js functions through a whole server: the published handlers, module kinds, streams, .NET beside them."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.lambda_functions import create_function, package

Unique = Callable[[str], str]
DATA = Path(__file__).parents[1] / "data" / "node"
# A module that runs before the handler's: the published handler calls a function that it leaves to its reader.
SERVICE_TOKEN = "globalThis.getServiceToken = async () => 'token-' + process.env.AWS_LAMBDA_FUNCTION_NAME;"
# Stands for the AWS SDK's client, which comes with AWS's own runtime: the model's answer is an upstream's lines.
BEDROCK = """
export class InvokeModelWithResponseStreamCommand { constructor(input) { this.input = input; } }
export class BedrockRuntimeClient {
  constructor(options) { this.region = options.region; }
  async send({ input }) {
    const response = await fetch(process.env.UPSTREAM, { method: 'POST', body: input.body });
    return { body: events(response.body) };
  }
}
async function* events(body) {
  for await (const bytes of body) yield { chunk: { bytes } };
}
"""


class Upstream:
    """An HTTP server; `answer` decides what a request gets."""

    def __init__(self, answer: Callable[[http.server.BaseHTTPRequestHandler, bytes], None]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, format: str, *values: Any) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Upstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("lambda")


def create(client: Any, name: str, files: dict[str, str], **settings: Any) -> None:
    settings = {"Runtime": "nodejs24.x", "Handler": "index.handler", "Timeout": 20} | settings
    create_function(client, name, Code={"ZipFile": package(files)}, **settings)


def invoke(client: Any, name: str, event: Any) -> tuple[str | None, Any, str]:
    """(function error, answer, log tail) of one event."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    assert answer["StatusCode"] == 200
    tail = base64.b64decode(answer["LogResult"]).decode()
    return answer.get("FunctionError"), json.loads(answer["Payload"].read()), tail


def chunks(client: Any, name: str, event: Any) -> Iterator[bytes]:
    """The payload chunks of a streamed answer as they come; an error at its end is raised."""
    answer = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event))
    complete = None
    for part in answer["EventStream"]:
        if "PayloadChunk" in part:
            yield part["PayloadChunk"]["Payload"]
        else:
            complete = part["InvokeComplete"]
    assert complete is not None
    if complete.get("ErrorCode"):
        raise RuntimeError(complete["ErrorCode"], json.loads(complete["ErrorDetails"]))


@pytest.mark.parametrize("runtime", ["nodejs24.x", "nodejs22.x", "nodejs20.x"])
def test_published_fetch_handler(client: Any, unique: Unique, runtime: str) -> None:
    seen: list[tuple[str, str, str, Any]] = []

    def products(request: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        headers = request.headers
        seen.append((request.path, headers["X-Tenant-ID"], headers["Authorization"], json.loads(body)))
        found = json.loads(body)["filter"] != {"color": "none"}
        answer = json.dumps([{"id": 1, "name": "Stuhl für Zwei"}]).encode() if found else b""
        request.send_response(200 if found else 503)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    name = unique("products")
    with Upstream(products) as upstream:
        create(
            client,
            name,
            {"index.mjs": (DATA / "products.mjs").read_text(), "service-token.mjs": SERVICE_TOKEN},
            Runtime=runtime,
            Environment={
                "Variables": {"PRODUCTS_SERVICE_URL": upstream.url, "NODE_OPTIONS": "--import ./service-token.mjs"}
            },
        )
        event = {
            "requestContext": {"authorizer": {"lambda": {"tenantId": "blue"}}},
            "body": {"filter": {"color": "red"}},
        }
        for _ in range(2):
            error, answer, _ = invoke(client, name, event)
            assert error is None
            assert answer == {
                "statusCode": 200,
                "headers": {"Content-Type": "application/json"},
                "body": '[{"id":1,"name":"Stuhl für Zwei"}]',
            }
        assert seen[-1] == ("/v2/products", "blue", f"Bearer token-{name}", {"filter": {"color": "red"}})
        event["body"] = {"filter": {"color": "none"}}
        error, answer, tail = invoke(client, name, event)
        assert (error, answer["errorType"], answer["errorMessage"]) == ("Unhandled", "Error", "Upstream error: 503")
        assert "\tERROR\tInvoke Error \t{" in tail


def test_published_streaming_handler(client: Any, unique: Unique) -> None:
    arrived = threading.Semaphore(0)
    finished = threading.Event()

    def model(request: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        prompt = json.loads(body)["messages"][0]["content"]
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        for word in prompt.split():
            event = {"type": "content_block_delta", "delta": {"text": word}}
            request.wfile.write(json.dumps(event).encode())
            request.wfile.flush()
            # Not before this one has reached the caller is the next one made.
            assert arrived.acquire(timeout=20)
        finished.set()
        request.close_connection = True

    name = unique("tokens")
    with Upstream(model) as upstream:
        create(
            client,
            name,
            {
                "index.mjs": (DATA / "tokens.mjs").read_text(),
                "node_modules/@aws-sdk/client-bedrock-runtime/package.json": '{"type": "module", "main": "index.js"}',
                "node_modules/@aws-sdk/client-bedrock-runtime/index.js": BEDROCK,
            },
            Environment={"Variables": {"UPSTREAM": upstream.url}},
        )
        event = {"body": json.dumps({"prompt": "one two three", "tenantId": "blue"})}
        received = b""
        words = 0
        for chunk in chunks(client, name, event):
            received += chunk
            while received.count(b"data: ") > words:
                words += 1
                assert not finished.is_set()
                arrived.release()
        assert finished.is_set()
    prelude, _, stream = received.partition(b"\0" * 8)
    assert json.loads(prelude) == {
        "statusCode": 200,
        "headers": {"Content-Type": "text/event-stream", "X-Tenant-ID": "blue", "Cache-Control": "no-cache"},
    }
    assert stream == b'data: {"token":"one"}\ndata: {"token":"two"}\ndata: {"token":"three"}\n'


def test_stream_over_six_megabytes(client: Any, unique: Unique) -> None:
    name = unique("large")
    source = """
    exports.handler = awslambda.streamifyResponse(async (event, stream) => {
      for (let i = 0; i < 12; i++) {
        if (!stream.write(Buffer.alloc(1 << 20, i))) await new Promise((resolve) => stream.once('drain', resolve));
      }
      stream.end();
    });
    """
    create(client, name, {"index.js": source}, MemorySize=512)
    assert b"".join(chunks(client, name, 1)) == b"".join(bytes([i]) * (1 << 20) for i in range(12))


def test_stream_that_fails(client: Any, unique: Unique) -> None:
    name = unique("fails")
    source = """
    exports.handler = awslambda.streamifyResponse(async (event, stream) => {
      if (event) stream.write('some');
      throw new RangeError('midway');
    });
    """
    create(client, name, {"index.js": source})
    for event in (0, 1):
        with pytest.raises(RuntimeError) as failed:
            list(chunks(client, name, event))
        code, details = failed.value.args
        assert (code, details["errorType"], details["errorMessage"]) == ("Unhandled", "RangeError", "midway")


@pytest.mark.parametrize(
    ("runtime", "files"),
    [
        (
            "nodejs24.x",
            {"index.mjs": "export const handler = async (event, context) => [event, context.functionName];"},
        ),
        ("nodejs24.x", {"index.js": "exports.handler = async (event, context) => [event, context.functionName];"}),
        ("nodejs22.x", {"index.cjs": "exports.handler = async (event, context) => [event, context.functionName];"}),
        (
            "nodejs20.x",
            {"index.js": "exports.handler = (event, context, done) => done(null, [event, context.functionName]);"},
        ),
    ],
)
def test_kinds_of_modules_and_handlers(client: Any, unique: Unique, runtime: str, files: dict[str, str]) -> None:
    name = unique("kinds")
    create(client, name, files, Runtime=runtime)
    for event in ({"a": 1}, "x"):
        error, answer, tail = invoke(client, name, event)
        assert (error, answer) == (None, [event, name])
        assert tail.startswith("START RequestId: ")


def test_callback_handler_on_24(client: Any, unique: Unique) -> None:
    name = unique("old")
    create(client, name, {"index.js": "exports.handler = (event, context, done) => done(null, 1);"})
    error, answer, _ = invoke(client, name, 1)
    assert (error, answer["errorType"]) == ("Unhandled", "Runtime.CallbackHandlerDeprecated")


def test_failures_and_recovery(client: Any, unique: Unique) -> None:
    name = unique("failing")
    source = """
    exports.handler = async (event) => {
      if (event === 'throw') throw new RangeError('over');
      if (event === 'exit') process.exit(3);
      if (event === 'hang') await new Promise(() => setInterval(() => {}, 1000));
      if (event === 'reject') {
        Promise.reject(new Error('stray'));
        await new Promise((done) => setTimeout(done, 500));
      }
      return event;
    };
    """
    create(client, name, {"index.js": source}, Timeout=1)
    assert invoke(client, name, 1)[:2] == (None, 1)
    for event, kind, message in (
        ("throw", "RangeError", "over"),
        ("exit", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ("hang", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        ("reject", "Runtime.UnhandledPromiseRejection", "Error: stray"),
    ):
        error, answer, tail = invoke(client, name, event)
        assert (event, error, answer["errorType"]) == (event, "Unhandled", kind)
        assert answer["errorMessage"].endswith(message)
        assert "\nREPORT RequestId: " in tail
    assert invoke(client, name, 2)[:2] == (None, 2)


def test_dotnet_class_library_is_refused_in_words(client: Any, unique: Unique) -> None:
    name = unique("library")
    create(client, name, {"Orders.dll": ""}, Runtime="dotnet10", Handler="Orders::Orders.Function::Handle")
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName=name, Payload=b"1")
    assert "Orders::Orders.Function::Handle names a method of a class library" in str(refused.value)
