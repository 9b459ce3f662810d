"""`lambent up`: serve until told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lambent.core.config import DEFAULT_PORT, ServerConfig

DEFAULT_DATA = Path.home() / ".local" / "share" / "lambent"


class LogLevel(StrEnum):
    """What the server's log holds."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class Isolation(StrEnum):
    """How functions are kept apart from this machine."""

    process = "process"
    sandbox = "sandbox"


class Egress(StrEnum):
    """Whether sandboxed functions may connect to the outside."""

    on = "on"
    off = "off"


def up(
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback needs --auth.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    data: Annotated[
        Path,
        typer.Option(
            envvar="LAMBENT_DATA",
            file_okay=False,
            show_default="~/.local/share/lambent",
            help="Folder that holds all state.",
        ),
    ] = DEFAULT_DATA,
    isolation: Annotated[
        Isolation, typer.Option(help="How functions are kept apart; process is the weaker way, without walls.")
    ] = Isolation.sandbox,
    egress: Annotated[
        Egress, typer.Option(help="Whether sandboxed functions may connect to the outside; never to this machine.")
    ] = Egress.on,
    strict_aws: Annotated[
        bool, typer.Option("--strict-aws", help="Answer and scale exactly as AWS, also where Lambent is kinder.")
    ] = False,
    strict_runtimes: Annotated[
        bool, typer.Option("--strict-runtimes", help="Refuse a runtime whose exact interpreter is missing.")
    ] = False,
    auth: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File of access keys; requests must then be signed with one."),
    ] = None,
    external_host: Annotated[
        str | None, typer.Option(metavar="HOST[:PORT]", help="Host name for every URL that the server hands out.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Also answer requests to this host name; repeatable.")
    ] = None,
    idle_timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="End a function's environment after so long without work.")
    ] = 600.0,
    log_level: Annotated[
        LogLevel, typer.Option(help="What the server's log, on standard error, holds.")
    ] = LogLevel.info,
) -> None:
    """Serve until Ctrl-C or SIGTERM; prints [b]ready[/b] and the endpoint once it answers."""
    from lambent.core import log

    log.configure(log_level.value)
    config = ServerConfig(
        data=data.expanduser().absolute(),
        host=host,
        port=port,
        isolation=isolation.value,
        egress=egress.value,
        strict_aws=strict_aws,
        strict_runtimes=strict_runtimes,
        auth_file=auth,
        external_host=external_host,
        allowed_hosts=tuple(allow_host or ()),
        idle_timeout_s=idle_timeout,
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(config))


async def serve(config: ServerConfig) -> None:
    """Run the platform until SIGTERM or SIGINT; a second signal ends the process at once.

    Raises UserFacingError for what the user must change first.
    """
    from lambent.platform import Platform

    told_to_stop = _stop_signal()
    platform = Platform(config)
    starting = asyncio.ensure_future(platform.start())
    try:
        await asyncio.wait([starting, told_to_stop], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            typer.echo(f"ready {platform.endpoint} (isolation: {config.isolation}, data: {config.data})")
            await told_to_stop
    finally:
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
        await platform.stop()


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        # From here on the default dispositions hold, so that an impatient second Ctrl-C works.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        told.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell)
    return told


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # no wheel for this platform
        return None
    return uvloop.new_event_loop
