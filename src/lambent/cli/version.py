"""`lambent version`."""

from __future__ import annotations

import platform

import typer

from lambent import __version__


def version() -> None:
    """Print the versions of Lambent and of the Python that runs it."""
    typer.echo(f"lambent {__version__} (Python {platform.python_version()})")
