"""GetFunction and ListFunctions over plain HTTP."""

from __future__ import annotations

import contextlib
import statistics
import threading
from collections.abc import Iterator
from typing import Any

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
            measure(what, endpoint + path, constant, promise)
            # Every commit empties what is kept of earlier reads, so this is the other extreme.
            with writing(api):
                measure(f"{what}, while another client writes", endpoint + path, constant, "")


def measure(what: str, url: str, constant: str, promise: str) -> None:
    """Load the URL and the floor in turns and print the medians."""
    floors, rates = [], []
    for _ in range(3):
        floors.append(harness.wrk(constant, connections=16).rate)
        load = harness.wrk(url, connections=16)
        assert load.failures == 0, load
        rates.append(load.rate)
    figure, floor = statistics.median(rates), statistics.median(floors)
    harness.report(f"{what}, 16 conn.", figure, "/s", floor=floor, floor_is="constant", promise=promise)


@contextlib.contextmanager
def writing(api: Any) -> Iterator[None]:
    """A client that tags a function over and over, one request after the other."""
    stop = threading.Event()

    def write() -> None:
        arn = api.get_function(FunctionName="f01")["Configuration"]["FunctionArn"]
        number = 0
        while not stop.is_set():
            number += 1
            api.tag_resource(Resource=arn, Tags={"number": str(number)})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


if __name__ == "__main__":
    main()
