"""GetFunction and ListFunctions over plain HTTP."""

from __future__ import annotations

from benchmarks import harness
from benchmarks.invoke import ECHO, package


def main() -> None:
    harness.heading("Control-plane reads")
    with harness.lambent() as (_, endpoint), harness.floor() as constant:
        api = harness.client("lambda", endpoint)
        code = package(app=ECHO)
        for number in range(50):
            api.create_function(
                FunctionName=f"f{number:02}",
                Runtime="python3.13",
                Handler="app.handler",
                Role="arn:aws:iam::000000000000:role/bench",
                Code={"ZipFile": code},
            )
        for what, path, promise in (
            ("GetFunction", "/2015-03-31/functions/f00", ">= 0.25 of the floor"),
            ("ListFunctions(50)", "/2015-03-31/functions/?MaxItems=50", ">= 0.083 of the floor"),
        ):
            floors, rates = [], []
            for _ in range(3):
                floors.append(harness.wrk(constant, connections=16).rate)
                load = harness.wrk(endpoint + path, connections=16)
                assert load.failures == 0, load
                rates.append(load.rate)
            harness.report(
                f"{what} at 16 connections", sorted(rates)[1], "/s", floor=sorted(floors)[1], floor_is="constant",
                promise=promise,
            )  # fmt: skip


if __name__ == "__main__":
    main()
