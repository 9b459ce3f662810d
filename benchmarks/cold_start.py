"""Cold starts in sandboxes: from the request to its answer over HTTP, at a client of a real server.

Every start is the first event of a new environment: a change of the function's description retires the one before.
Floors, taking turns with what they are floors of: a fork that imports the same handler and is waited for; the bare
execution of the same native program; a bare `node -e 0`.
"""

from __future__ import annotations

import http.client
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import harness
from lambent.sandbox.node_interpreters import bundled_node

ROUNDS = 100
PAUSE_S = 0.15  # between starts: sandboxes are made up for in it, as they are on a server that is not full
HANDLER = "import json\ndef handler(event, context):\n    return event\n"
NATIVE = Path(__file__).with_name("native_bootstrap.c")


def zipped(name: str, content: bytes, mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, content)
    return buffer.getvalue()


def forked_import(folder: Path) -> float:
    """The floor of a Python start, in milliseconds: fork, import, end."""
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        sys.path.insert(0, str(folder))
        __import__("floor_handler")
        os._exit(0)
    os.waitpid(pid, 0)
    return (time.perf_counter() - started) * 1e3


def executed(program: Path) -> float:
    """The floor of a native start: run it until it finds that nobody answers."""
    started = time.perf_counter()
    subprocess.run([program], env={"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9"}, check=False)
    return (time.perf_counter() - started) * 1e3


def bare_node(program: Path) -> float:
    """The floor of a Node.js start that has to start Node.js."""
    started = time.perf_counter()
    subprocess.run([program, "-e", "0"], env={}, check=True)
    return (time.perf_counter() - started) * 1e3


def cold_starts(client: Any, endpoint: str, name: str, floor: Callable[[], float]) -> tuple[list[float], list[float]]:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    headers = {"Authorization": harness.AUTHORIZATION.format(service="lambda")}
    times: list[float] = []
    floors: list[float] = []
    for number in range(ROUNDS + 5):
        client.update_function_configuration(FunctionName=name, Description=str(number))
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.02})
        time.sleep(PAUSE_S)
        floors.append(floor())
        started = time.perf_counter()
        connection.request("POST", f"/2015-03-31/functions/{name}/invocations", b'{"k": "v"}', headers)
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.perf_counter() - started) * 1e3)
        if answer.status != 200 or answer.headers["X-Amz-Function-Error"]:
            sys.exit(f"{name} failed: {body.decode()} {answer.headers.get('x-lambent-detail', '')}")
    connection.close()
    return times[5:], floors[5:]  # the first ones start the zygote and fill the pool


def report(what: str, times: list[float], floors: list[float], floor_is: str, promises: tuple[str, str]) -> None:
    for share, promise in zip((50, 99), promises, strict=True):
        harness.report(
            f"{what}, p{share}",
            percentile(times, share),
            "ms",
            floor=percentile(floors, share),
            floor_is=floor_is,
            promise=promise,
        )


def percentile(times: list[float], share: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[share - 1]


def measure(isolation: str) -> None:
    with harness.lambent("--isolation", isolation) as (_, endpoint), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "floor_handler.py").write_text(HANDLER)
        client = harness.client("lambda", endpoint)
        role = "arn:aws:iam::000000000000:role/r"

        def create(function: str, runtime: str, package: bytes) -> None:
            client.create_function(
                FunctionName=function, Runtime=runtime, Role=role, Handler="h.handler", Code={"ZipFile": package}
            )
            client.get_waiter("function_active_v2").wait(FunctionName=function)

        create("python", "python3.13", zipped("h.py", HANDLER.encode()))
        times, floors = cold_starts(client, endpoint, "python", lambda: forked_import(folder))
        promises = ("at most 15", "at most 40") if isolation == "sandbox" else ("", "")
        report(f"{isolation}: Python cold start", times, floors, "fork + import", promises)
        if (node := bundled_node()) is not None:
            program = node[0]
            create("node", "nodejs24.x", zipped("h.js", b"exports.handler = async (event) => event;\n"))
            times, floors = cold_starts(client, endpoint, "node", lambda: bare_node(program))
            promises = ("at most 40", "") if isolation == "sandbox" else ("", "")
            report(f"{isolation}: Node.js cold start", times, floors, "node -e 0", promises)
        if shutil.which("cc") is None:
            print("  native bootstrap: no C compiler on this machine")
            return
        program = folder / "bootstrap"
        subprocess.run(["cc", "-O2", "-static", "-o", program, NATIVE], check=True)
        create("native", "provided.al2023", zipped("bootstrap", program.read_bytes(), 0o755))
        times, floors = cold_starts(client, endpoint, "native", lambda: executed(program))
        promises = ("at most 25", "") if isolation == "sandbox" else ("", "")
        report(f"{isolation}: native cold start", times, floors, "bare exec", promises)


def main() -> None:
    harness.heading("Cold starts over HTTP")
    for isolation in ("sandbox", "process"):
        measure(isolation)


if __name__ == "__main__":
    main()
