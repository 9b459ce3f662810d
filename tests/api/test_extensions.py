"""Extensions and the Telemetry API through a whole server: a layer is published, a function uses it."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from collections.abc import Callable
from typing import Any

from tests.api.lambda_functions import create_function, package

Unique = Callable[[str], str]

EXTENSION = f"""#!{sys.executable} -Su
import http.client, http.server, json, os, sys, threading
NAME = os.path.basename(sys.argv[0])

def call(method, path, body=None, **headers):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    headers = {{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.headers, json.loads(answer.read())

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            if event["type"] != "platform.extension":
                os.write(1, ("telemetry " + event["type"] + chr(10)).encode())
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args): pass

server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
headers, answer = call(
    "POST", "/2020-01-01/extension/register", {{"events": ["INVOKE", "SHUTDOWN"]}},
    Lambda_Extension_Name=NAME, Lambda_Extension_Accept_Feature="accountId",
)
print("registered for", answer["functionName"], "of", answer["accountId"])
me = headers["Lambda-Extension-Identifier"]
call("PUT", "/2022-07-01/telemetry", {{
    "schemaVersion": "2022-12-13", "types": ["platform"], "buffering": {{"timeoutMs": 25}},
    "destination": {{"protocol": "HTTP", "URI": "http://sandbox.localdomain:%d" % server.server_address[1]}},
}}, Lambda_Extension_Identifier=me)
while True:
    _, event = call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=me)
    print("event", event["eventType"], event.get("shutdownReason", ""))
    if event["eventType"] == "SHUTDOWN":
        break
"""


def layer(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(f"extensions/{name}")
        entry.create_system = 3
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, EXTENSION)
    return buffer.getvalue()


def test_an_extension_of_a_layer(aws: Callable[..., Any], unique: Unique) -> None:
    client, logs, name = aws("lambda"), aws("logs"), unique("extended")
    published = client.publish_layer_version(LayerName=unique("layer"), Content={"ZipFile": layer("watcher")})
    source = "import time\ndef handler(event, context):\n    return time.sleep(60) if event == 'sleep' else event\n"
    create_function(
        client,
        name,
        Runtime=f"python3.{sys.version_info[1]}",
        Code={"ZipFile": package({"handler.py": source})},
        Layers=[published["LayerVersionArn"]],
        Timeout=2,
    )

    def invoke(event: Any) -> Any:
        return json.loads(client.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"].read())

    assert invoke("x") == "x"
    assert invoke("sleep")["errorType"] == "Sandbox.Timedout"
    assert invoke("y") == "y"

    wanted = {
        f"registered for {name} of 000000000000",
        "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE,SHUTDOWN]",
        "TELEMETRY\tName: watcher\tState: Subscribed\tTypes: [Platform]",
        "event INVOKE ",
        "event SHUTDOWN timeout",
        *(f"telemetry platform.{kind}" for kind in ("initStart", "initReport", "start", "runtimeDone", "report")),
    }
    lines: set[str] = set()
    deadline_s = time.monotonic() + 10
    while not wanted <= lines and time.monotonic() < deadline_s:
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        lines = {event["message"].removesuffix("\n") for event in found}
    assert wanted <= lines
