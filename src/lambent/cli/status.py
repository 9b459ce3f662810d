"""`lambent status`: what the server is doing, and what limits it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lambent.cli import tables
from lambent.cli.client import DEFAULT_ENDPOINT, EndpointOption, Server


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print what the server answered.")] = False,
    endpoint: EndpointOption = DEFAULT_ENDPOINT,
) -> None:
    """Show what the server is doing, and what limits it."""
    answer = Server(endpoint).get("/_lambent/status")
    typer.echo(json.dumps(answer, indent=2) if as_json else tables.report(answer), nl=as_json)
