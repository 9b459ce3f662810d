"""All commands together, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from lambent.cli.backup import backup
from lambent.cli.debug import debug
from lambent.cli.doctor import doctor
from lambent.cli.invoke import invoke
from lambent.cli.logs import logs
from lambent.cli.runtimes import runtimes
from lambent.cli.simulate import simulate
from lambent.cli.status import status
from lambent.cli.up import up
from lambent.cli.version import version
from lambent.core.errors import UserFacingError


def commands() -> typer.Typer:
    """The command line's grammar."""
    app = typer.Typer(
        name="lambent",
        help="The serverless stack on machines you own, behind the AWS APIs.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in (up, invoke, debug, logs, runtimes, status, doctor, backup, version):
        app.command()(command)
    app.add_typer(simulate)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line: its exit code. 0 went well, 1 did not (one line on stderr says why), 2 is misuse."""
    try:
        code = commands()(list(arguments), standalone_mode=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except UserFacingError as error:
        print(f"lambent: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(code or 0)
