"""A zygote's memory stays shared: a fork writes to few of the pages that it has from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lambent.sandbox.runtimes.python as runtime

# Leaves holes all over the heap, forks, and counts the pages that the fork comes to write to.
PROGRAM = """
import os, resource, sys
from lambent_runtime import sharing
kept = [bytes(size) for _ in range(2000) for size in (20, 60, 100, 200, 400, 700, 1500)]
del kept[::2]
if sys.argv[1] == "shared":
    sharing.share()
read_end, write_end = os.pipe()
if os.fork() == 0:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    made = [bytes(size) for _ in range(100) for size in (20, 60, 100, 200, 400, 700, 1500)]
    os.write(write_end, b"%d" % (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))
    os._exit(0)
print(os.read(read_end, 20).decode())
"""


def faults(how: str) -> int:
    place = Path(runtime.__path__[0])
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        env={"PYTHONPATH": str(place)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=30,
    )
    return int(ended.stdout)


def test_what_a_fork_makes_lies_together() -> None:
    assert faults("shared") * 2 < faults("plain")
