"""The floor of every HTTP benchmark: the endpoint's own HTTP server answering a constant, and nothing else."""

from __future__ import annotations

import asyncio

import uvloop

from benchmarks import http_servers

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(http_servers.connection())
