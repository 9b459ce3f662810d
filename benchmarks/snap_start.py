"""Cold starts of a function that imports numpy: with SnapStart and without, in both isolations.

Both are published versions whose environments are reaped as soon as they idle, so each event starts a new one. numpy
comes from the package index; without it the benchmark says so and measures a pure Python module that takes long to
compile. Floor: a fork of a small process.
"""

from __future__ import annotations

import http.client
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import harness

ROUNDS = 60
IDLE_S = 0.1
PAUSE_S = 0.6
HANDLER = "import numpy\ndef handler(event, context):\n    return float(numpy.arange(4).sum())\n"
HEAVY = "SOURCE = ''.join(f'def f{n}(a, b=2):\\n return [a + b * {n} for a in range(9)]\\n' for n in range(3000))\n"
HEAVY += "exec(compile(SOURCE, 'heavy', 'exec'))\ndef handler(event, context):\n    return f4(1)[0]\n"


def numpy_into(folder: Path) -> bool:
    """Install numpy for Python 3.13 into `folder`; False where that cannot be done."""
    argv = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(folder)]
    argv += ["--python-version", "3.13", "--only-binary", ":all:", "numpy"]
    return subprocess.run(argv, check=False).returncode == 0


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.rglob("*"):
            if path.is_file() and "tests" not in path.parts:
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def cold_starts(endpoint: str, name: str, rounds: int) -> list[float]:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    headers = {"Authorization": harness.AUTHORIZATION.format(service="lambda")}
    times = []
    for _ in range(rounds + 3):
        time.sleep(PAUSE_S)
        started = time.perf_counter()
        connection.request("POST", f"/2015-03-31/functions/{name}/invocations?Qualifier=1", b"{}", headers)
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.perf_counter() - started) * 1e3)
        if answer.status != 200 or answer.headers["X-Amz-Function-Error"]:
            sys.exit(f"{name} failed: {body.decode()}")
    connection.close()
    return times[3:]


def bare_forks(rounds: int) -> list[float]:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        times.append((time.perf_counter() - started) * 1e3)
    return times


def measure(isolation: str, package: bytes, library: str, floor: list[float]) -> None:
    with harness.lambent("--isolation", isolation, "--idle-timeout", str(IDLE_S)) as (_, endpoint):
        client = harness.client("lambda", endpoint)

        def publish(name: str, apply_on: str) -> None:
            settings: dict[str, Any] = {"SnapStart": {"ApplyOn": apply_on}, "MemorySize": 512, "Timeout": 30}
            role = "arn:aws:iam::000000000000:role/r"
            client.create_function(
                FunctionName=name,
                Runtime="python3.13",
                Role=role,
                Handler="h.handler",
                Code={"ZipFile": package},
                **settings,
            )
            client.get_waiter("function_active_v2").wait(FunctionName=name)
            client.publish_version(FunctionName=name)
            client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1")

        publish("snapped", "PublishedVersions")
        publish("plain", "None")
        with_snapshot = cold_starts(endpoint, "snapped", ROUNDS)
        without = cold_starts(endpoint, "plain", ROUNDS // 3)
    for what, times, promise in (("with", with_snapshot, "at most 25 with numpy"), ("without", without, "")):
        harness.report(
            f"{isolation}: {library} {what} SnapStart, p50",
            statistics.median(times),
            "ms",
            floor=statistics.median(floor),
            floor_is="fork",
            promise=promise,
        )


def main() -> None:
    harness.heading("Cold starts with SnapStart over HTTP")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library, source = "numpy", HANDLER
        if not numpy_into(folder):
            print("numpy cannot be installed here: a heavy module of Python takes its place", file=sys.stderr)
            library, source = "a heavy module", HEAVY
        (folder / "h.py").write_text(source)
        package = zipped(folder)
    floor = bare_forks(ROUNDS)
    for isolation in ("sandbox", "process"):
        measure(isolation, package, library, floor)


if __name__ == "__main__":
    main()
