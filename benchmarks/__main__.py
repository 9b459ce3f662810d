"""`python -m benchmarks [NAME ...]`: run the benchmarks one after the other (all of them without a name)."""

from __future__ import annotations

import importlib
import sys

ALL = ("startup", "invoke", "reads", "protocol", "engine", "storage", "sandbox", "node", "logs", "http_servers")
ALL += ("cold_start", "snap_start", "concurrency", "event_patterns", "queue_engine", "sqs", "sqs_crash", "soak")


def main(names: list[str]) -> None:
    for name in names or ALL:
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
