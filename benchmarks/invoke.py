"""Warm Invoke of a Python echo function over plain HTTP."""

from __future__ import annotations

import io
import zipfile

from benchmarks import harness

ECHO = "def handler(event, context):\n    return event\n"
POST = 'wrk.method = "POST"\nwrk.body = \'{"hello": "world"}\'\n'


def package(**files: str) -> bytes:
    """A code package of the named Python modules."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return buffer.getvalue()


def create_echo(endpoint: str) -> None:
    api = harness.client("lambda", endpoint)
    api.create_function(
        FunctionName="echo",
        Runtime="python3.13",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/bench",
        Code={"ZipFile": package(app=ECHO)},
        Timeout=30,
    )
    api.get_waiter("function_active_v2").wait(FunctionName="echo", WaiterConfig={"Delay": 1})
    assert api.invoke(FunctionName="echo", Payload=b'{"hello":"world"}')["StatusCode"] == 200


def main() -> None:
    harness.heading("Warm Invoke, Python echo")
    with harness.lambent() as (_, endpoint), harness.floor() as constant:
        create_echo(endpoint)
        url = f"{endpoint}/2015-03-31/functions/echo/invocations"
        harness.wrk(url, connections=16, seconds=2, script=POST)  # environments come up
        for connections, what, promise in ((1, "p50", "<= 1.0 ms"), (16, "rate", ">= 2,500/s")):
            floors, loads = [], []
            for _ in range(3):  # in turn, so that a slow spell of the machine hits both
                floors.append(harness.wrk(constant, connections=connections, script=POST))
                loads.append(harness.wrk(url, connections=connections, script=POST))
            failures = sum(load.failures for load in loads)
            floor = sorted(floors, key=lambda load: load.rate)[1]
            load = sorted(loads, key=lambda load: load.rate)[1]
            where = f"at {connections} connection{'s' if connections > 1 else ''}"
            if what == "p50":
                harness.report(
                    f"Invoke p50 {where}", load.p50_ms, "ms", floor=floor.p50_ms, floor_is="constant", promise=promise
                )
            harness.report(
                f"Invoke rate {where}", load.rate, "/s", floor=floor.rate, floor_is="constant",
                promise=promise if what == "rate" else "",
            )  # fmt: skip
            print(f"  {'':<52} p99 {load.p99_ms:.2f} ms, failures {failures}")


if __name__ == "__main__":
    main()
