"""`lambent runtimes`: which interpreter serves which AWS runtime."""

from __future__ import annotations

import typer

from lambent.cli import tables
from lambent.cli.client import DEFAULT_ENDPOINT, EndpointOption, Server


def runtimes(endpoint: EndpointOption = DEFAULT_ENDPOINT) -> None:
    """Show which interpreter of the server's machine serves which AWS runtime."""
    found = Server(endpoint).get("/_lambent/runtimes")
    rows = [
        {
            "runtime": entry["runtime"],
            "interpreter": entry.get("path"),
            "version": entry.get("version"),
            "exact": entry.get("exact"),
            "note": entry.get("note"),
        }
        for entry in found
    ]
    typer.echo(tables.table(rows), nl=False)
