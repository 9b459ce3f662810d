"""`lambent backup`: a consistent copy of a running server's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lambent.cli.client import DEFAULT_ENDPOINT, EndpointOption, Server


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of the server's machine that is new or empty.")
    ],
    endpoint: EndpointOption = DEFAULT_ENDPOINT,
) -> None:
    """Copy a running server's data, as of one moment; `lambent up --data` can start from the copy."""
    path = target.expanduser().absolute()
    Server(endpoint).post("/_lambent/backup", {"target": str(path)})
    typer.echo(f"copied to {path}")
