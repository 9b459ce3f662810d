"""`lambent invoke`: run a function once and print its answer."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Annotated

import typer

from lambent.cli.client import DEFAULT_ENDPOINT, EndpointOption, Server
from lambent.cli.debug import PortOption, follow
from lambent.core.errors import UserFacingError


def invoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Function name or ARN.")],
    payload: Annotated[
        str, typer.Option(metavar="JSON|@FILE|-", help="The event: JSON, @ and a file, or - for standard input.")
    ] = "{}",
    qualifier: Annotated[str | None, typer.Option(help="Version or alias.")] = None,
    log: Annotated[bool, typer.Option("--log", help="Also print the end of the log, on standard error.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Wait for a debugger to attach before any of the function's code runs.")
    ] = False,
    port: PortOption = 0,
    endpoint: EndpointOption = DEFAULT_ENDPOINT,
) -> None:
    """Run a function once and print its answer; what a failed one answers goes to standard error (exit code 1)."""
    server = Server(endpoint)
    if debug:
        _debug(server, name, payload, qualifier, port, log=log)
        return
    request = {"FunctionName": name, "Payload": _payload(payload)}
    if qualifier is not None:
        request["Qualifier"] = qualifier
    if log:
        request["LogType"] = "Tail"
    with server.talking():
        response = server.aws("lambda", read_timeout=960).invoke(**request)
        answer: bytes = response["Payload"].read()
    if log:
        typer.echo(base64.b64decode(response.get("LogResult", "")), err=True, nl=False)
    _print(answer, failed="FunctionError" in response)


def _debug(server: Server, name: str, payload: str, qualifier: str | None, port: int, *, log: bool) -> None:
    request = {
        "function": name,
        "qualifier": qualifier,
        "payload": base64.b64encode(_payload(payload)).decode(),
        "port": port,
        **server.scope(),
    }
    last = follow(server, request)
    if "answer" not in last:
        error = last.get("error", {"code": "ServerGone", "message": "the server ended before the function did"})
        raise UserFacingError(f"{error['code']}: {error['message']}")
    if log:
        typer.echo(base64.b64decode(last["log_tail"]), err=True, nl=False)
    _print(base64.b64decode(last["answer"]), failed=last["function_error"] is not None)


def _print(answer: bytes, *, failed: bool) -> None:
    typer.echo(answer, err=failed)
    if failed:
        raise typer.Exit(1)


def _payload(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise UserFacingError(f"cannot read the payload {text[1:]}: {error.strerror}") from error
