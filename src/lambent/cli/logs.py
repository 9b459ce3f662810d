"""`lambent logs`: what a function wrote."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from lambent.cli.client import DEFAULT_ENDPOINT, EndpointOption, Server
from lambent.core.clock import SystemClock

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Function name.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing what is written from now on.")] = False,
    since: Annotated[str, typer.Option(metavar="SPAN", help="How far back: 30s, 10m, 2h, 7d.")] = "10m",
    endpoint: EndpointOption = DEFAULT_ENDPOINT,
) -> None:
    """Print what a function wrote, oldest first."""
    since_ms = int((SystemClock().now() - span_s(since)) * 1000)
    server = Server(endpoint)
    query = {"function": name, "since_ms": str(since_ms), **server.scope()} | ({"follow": "1"} if follow else {})
    for event in server.stream("/_lambent/logs", **query):
        moment = datetime.fromtimestamp(event["timestamp_ms"] / 1000, UTC)
        typer.echo(f"{moment:%Y-%m-%dT%H:%M:%S}.{event['timestamp_ms'] % 1000:03}Z {event['message'].rstrip()}")


def span_s(text: str) -> int:
    """Seconds of a span such as `10m`. Raises typer.BadParameter."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII)
    if found is None:
        raise typer.BadParameter(f"{text} is no span; write a number and s, m, h or d, as in 10m", param_hint="--since")
    return int(found[1]) * _UNITS_S[found[2]]
