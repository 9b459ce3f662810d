"""Node.js beside Python: warm events one at a time and in a row, and cold starts beside the bare `node -e 0`.

Node.js and Python (and each cold start and its floor) take turns within one run, so that a busy machine touches all
alike. The start of a large bundle is measured with its compiled code kept and without.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from benchmarks import harness
from benchmarks.invoke import POST
from benchmarks.sandbox import Code, NoLogs, event, report, spec
from lambent.core.clock import SystemClock
from lambent.sandbox.local import ProcessSandbox
from lambent.sandbox.protocol import Environment

ROUNDS = 20
WARM_PER_ROUND = 200
IN_A_ROW_S = 0.25
FILES = {
    "echo.py": "def handler(event, context):\n    return event\n",
    "echo.js": "exports.handler = async (event) => event;\n",
    "logging/echo.js": "exports.handler = async (event) => { console.log('an event', event); return event; };\n",
    "esm/echo.mjs": "export const handler = async (event) => event;\n",
}
# What a bundler makes of an application with its packages: much code, some of it run at the start.
BUNDLE_FUNCTIONS = 8000


def bundle() -> str:
    parts = [
        f"function part{n}(value) {{ const list = [value, {n}]; const seen = new Map(); for (const one of list) {{ "
        f"if (!seen.has(one)) seen.set(one, {{ one, text: `part {n} ${{one}}` }}); }} return seen.size; }}\n"
        for n in range(BUNDLE_FUNCTIONS)
    ]
    calls = "".join(f"total += part{n}({n});\n" for n in range(0, BUNDLE_FUNCTIONS, 2))
    return "'use strict';\n" + "".join(parts) + "let total = 0;\n" + calls + "exports.handler = async () => total;\n"


async def timed(work: Callable[[], Awaitable[object]], times: list[float]) -> None:
    started = time.perf_counter()
    await work()
    times.append(time.perf_counter() - started)


async def rate(environment: Environment) -> float:
    """Events a second on one environment, one after the other."""
    count = 0
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < IN_A_ROW_S:
        await event(environment)
        count += 1
    return count / passed


async def warm(sandbox: ProcessSandbox, node: Environment, logging: Environment, python: Environment) -> None:
    times: dict[str, list[float]] = {"node": [], "logging": [], "python": []}
    rates: dict[str, list[float]] = {"node": [], "python": []}
    for _ in range(WARM_PER_ROUND):  # let V8 compile what is hot
        await event(node)
        await event(logging)
    for _ in range(ROUNDS):
        for name, environment in (("node", node), ("logging", logging), ("python", python)):
            for _ in range(WARM_PER_ROUND):
                await timed(lambda one=environment: event(one), times[name])  # type: ignore[misc]
        for name, environment in (("node", node), ("python", python)):
            rates[name].append(await rate(environment))
    report("warm echo p50, nodejs24.x", "us", times["node"], "Python echo", times["python"], 1e6)
    report("warm echo with a log line p50, nodejs24.x", "us", times["logging"], "Python echo", times["python"], 1e6)
    harness.report(
        "echoes in a row, nodejs24.x",
        statistics.median(rates["node"]),
        "/s",
        floor=statistics.median(rates["python"]),
        floor_is="Python echo",
        promise="within 1.5x of Python",
    )


async def cold(sandbox: ProcessSandbox, runtime: str, handler: str, node: str) -> None:
    start: list[float] = []
    first: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        one = await sandbox.start(spec(number, runtime, handler))
        start.append(time.perf_counter() - began)
        await event(one)
        first.append(time.perf_counter() - began)
        await one.stop("spindown")
        await timed(lambda: asyncio.to_thread(subprocess.run, [node, "-e", "0"], env={}, check=True), bare)
    name = f"{runtime}, {handler}"
    report(f"cold start, {name}", "ms", start, "node -e 0", bare, 1e3)
    report(f"cold start with its first event, {name}", "ms", first, "node -e 0", bare, 1e3)


async def bundles(sandbox: ProcessSandbox) -> None:
    kept: list[float] = []
    compiled: list[float] = []
    off = {"NODE_DISABLE_COMPILE_CACHE": "1"}
    for number in range(ROUNDS // 2):
        for environment, times in (({}, kept), (off, compiled)):
            began = time.perf_counter()
            one = await sandbox.start(spec(number, "nodejs24.x", "bundle.handler", environment))
            await event(one)
            times.append(time.perf_counter() - began)
            if number == 0 and times is kept:
                await asyncio.sleep(1.5)  # compiled code is written a while after the first event
                times.clear()
            await one.stop("spindown")
    report("cold start with its first event, 1.8 MB bundle", "ms", kept, "compiled anew", compiled, 1e3)


async def run(root: Path) -> None:
    (root / "code").mkdir()
    (root / "code/bundle.js").write_text(bundle())
    for name, text in FILES.items():
        (root / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "code" / name).write_text(text)
    sandbox = ProcessSandbox(Code(root / "code"), NoLogs(), SystemClock(), work_dir=root / "work")
    rows = [row for row in await sandbox.runtimes_table() if row.status == "exact"]
    python = [row.runtime for row in rows if row.runtime.startswith("python")][-1]
    environments = [
        await sandbox.start(spec(-1, "nodejs24.x", "echo.handler")),
        await sandbox.start(spec(-2, "nodejs24.x", "logging/echo.handler")),
        await sandbox.start(spec(-3, python, "echo.handler")),
    ]
    await warm(sandbox, *environments)
    for environment in environments:
        await environment.stop("spindown")
    for row in rows:
        if row.runtime.startswith("nodejs"):
            for handler in ("echo.handler", "esm/echo.handler"):
                await cold(sandbox, row.runtime, handler, row.path)
    await bundles(sandbox)
    await sandbox.close()


def over_http() -> None:
    """Warm Invokes of both echoes on one server, in turn."""
    with harness.lambent() as (_, endpoint):
        api = harness.client("lambda", endpoint)
        urls = {}
        for runtime, source in (("nodejs24.x", "echo.js"), ("python3.13", "echo.py")):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr(source, FILES[source])
            name = source.replace(".", "-")
            api.create_function(
                FunctionName=name,
                Runtime=runtime,
                Handler="echo.handler",
                Role="arn:aws:iam::000000000000:role/bench",
                Code={"ZipFile": buffer.getvalue()},
                Timeout=30,
            )
            api.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
            urls[runtime] = f"{endpoint}/2015-03-31/functions/{name}/invocations"
            harness.wrk(urls[runtime], connections=16, seconds=2, script=POST)  # environments come up
        for connections in (1, 16):
            loads: dict[str, list[harness.Load]] = {runtime: [] for runtime in urls}
            for _ in range(3):
                for runtime, url in urls.items():
                    loads[runtime].append(harness.wrk(url, connections=connections, seconds=3, script=POST))
            node, python = (sorted(several, key=lambda load: load.rate)[1] for several in loads.values())
            failures = sum(load.failures for several in loads.values() for load in several)
            if connections == 1:
                harness.report(
                    "Invoke p50, Node.js echo", node.p50_ms, "ms", floor=python.p50_ms, floor_is="Python echo"
                )
            harness.report(
                f"Invoke rate at {connections}, Node.js echo",
                node.rate,
                "/s",
                floor=python.rate,
                floor_is="Python echo",
                promise="within 1.5x of Python" if connections == 16 else "",
            )
            print(f"  {'':<52} p99 {node.p99_ms:.2f} ms, failures {failures}")


def main() -> None:
    harness.heading("Node.js: environments as processes")
    with tempfile.TemporaryDirectory() as root:
        uvloop.run(run(Path(root)))
    over_http()


if __name__ == "__main__":
    main()
