"""`lambent debug`: let the events of a function wait for a debugger, whoever sends them."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from lambent.cli.client import DEFAULT_ENDPOINT, EndpointOption, Server

PortOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=65535,
        help="Loopback port to attach to; by default 5678 (Python), 9229 (Node.js), or a free one if that is taken.",
    ),
]
_KINDS = {"debugpy": "Python, debugpy", "inspector": "Node.js inspector"}


def debug(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Function name or ARN.")] = None,
    on: Annotated[
        bool | None, typer.Option("--on/--off", help="Switch debugging on or off; neither shows what is on.")
    ] = None,
    port: PortOption = 0,
    endpoint: EndpointOption = DEFAULT_ENDPOINT,
) -> None:
    """Let every event of a function wait for a debugger, one at a time, until switched off or the server ends."""
    server = Server(endpoint)
    if name is None or on is None:
        if on is not None or (name is not None):
            typer.echo("lambent debug needs both a function's name and --on or --off, or neither", err=True)
            raise typer.Exit(2)
        rows = server.get("/_lambent/debug")
        for row in rows:
            state = "a debugger is attached" if row["attached"] else f"attach to {where(row)}"
            typer.echo(f"{row['function_arn']}  {state}")
        if not rows:
            typer.echo("no function is switched to debugging")
        return
    answer = server.post("/_lambent/debug", {"function": name, "on": on, "port": port, **server.scope()})
    if on:
        typer.echo(f"every event of {name} now waits for a debugger at {where(answer)}")
    else:
        typer.echo(f"debugging of {name} {'is off' if answer['was_on'] else 'was off already'}")


def where(row: dict[str, Any]) -> str:
    """`127.0.0.1:5678 (Python, debugpy)`."""
    return f"{row['host']}:{row['port']} ({_KINDS[row['debugger']]})"


def follow(server: Server, request: dict[str, Any]) -> dict[str, Any]:
    """Run one event in the debugger, saying on standard error where to attach; the server's last line."""
    line: dict[str, Any] = {}
    for line in server.converse("/_lambent/debug/invoke", request):
        if "waiting" in line:
            found = line["waiting"]
            print(f"waiting for a debugger at {where(found)}; the code is in {found['folder']}", file=sys.stderr)
        elif "attached" in line:
            print("attached", file=sys.stderr)
        sys.stderr.flush()
    return line
