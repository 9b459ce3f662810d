"""What benchmarks share: a real server process, the constant-answer floor, wrk, and one way to print a figure."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

# Any credentials are accepted on loopback; a static header keeps signing out of the load generator's way.
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIDBENCH/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=00"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run of the load generator. Latencies in milliseconds, `rate` in requests a second."""

    rate: float
    p50_ms: float
    p99_ms: float
    failures: int


def wrk(url: str, *, connections: int, seconds: int = 5, service: str = "lambda", script: str = "") -> Load:
    """Load `url` with wrk on one thread. `script` is Lua that sets method, body and further headers."""
    if shutil.which("wrk") is None:
        sys.exit("this benchmark needs wrk (Debian: apt-get install wrk)")
    host = urlsplit(url).netloc
    lua = (
        f'wrk.headers["Host"] = "{host}"\n'
        f'wrk.headers["Authorization"] = "{AUTHORIZATION.format(service=service)}"\n{script}\n'
        "done = function(summary, latency, requests)\n"
        '  io.write(string.format("RESULT %f %f %f %d\\n", summary.requests / summary.duration * 1e6,\n'
        "    latency:percentile(50) / 1000, latency:percentile(99) / 1000,\n"
        "    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))\n"
        "end\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(lua)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", file.name, url]
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
    rate, p50, p99, failures = re.findall(r"RESULT (\S+) (\S+) (\S+) (\S+)", output)[0]
    return Load(rate=float(rate), p50_ms=float(p50), p99_ms=float(p99), failures=int(failures))


@contextlib.contextmanager
def process(command: list[str], ready: str, *, timeout_s: float = 30.0) -> Iterator[tuple[psutil.Process, str]]:
    """Run `command`, wait for a line that matches `ready`, and give the process with the pattern's first group."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        started = time.monotonic()
        try:
            for line in child.stdout:
                if found := re.search(ready, line):
                    yield psutil.Process(child.pid), found[1]
                    break
                if time.monotonic() - started > timeout_s:
                    raise TimeoutError(f"{command} printed no line that matches {ready!r}")
            else:
                raise RuntimeError(f"{command} ended before it was ready")
        finally:
            child.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(15)
            child.kill()


@contextlib.contextmanager
def lambent(*arguments: str, data: Path | None = None) -> Iterator[tuple[psutil.Process, str]]:
    """A real server on a free port with its own data directory: its process and endpoint."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lambent", "up", "--port", "0", "--data", str(data or Path(folder) / "data")]
        with process([*command, *arguments], r"ready.*?(http://\S+)") as running:
            yield running


@contextlib.contextmanager
def floor() -> Iterator[str]:
    """The same HTTP server answering a constant: its URL."""
    with process([sys.executable, "-m", "benchmarks.floor_server"], r"ready (http://\S+)") as (_, url):
        yield url


def client(service: str, endpoint: str):  # type: ignore[no-untyped-def]
    """A boto3 client of the server under test."""
    import boto3

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
    )


def median_of(runs: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(runs))


def report(what: str, figure: float, unit: str, *, floor: float, floor_is: str, promise: str = "") -> None:
    """Print one figure beside its floor from this run."""
    ratio = figure / floor if floor else float("nan")
    line = f"  {what:<52} {figure:>11,.2f} {unit:<9} floor {floor:>11,.2f} ({floor_is})  ratio {ratio:.3f}"
    print(line + (f"  promise: {promise}" if promise else ""), flush=True)


def heading(title: str) -> None:
    cores = os.cpu_count()
    print(f"\n{title}  [{cores} cores, Python {sys.version.split()[0]}]", flush=True)
