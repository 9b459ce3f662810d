"""`lambent doctor`: what this host can do, and the fix for what it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lambent.cli import probes
from lambent.cli.probes import Finding
from lambent.cli.up import DEFAULT_DATA


def doctor(
    data: Annotated[
        Path,
        typer.Option(
            envvar="LAMBENT_DATA",
            file_okay=False,
            show_default="~/.local/share/lambent",
            help="The folder that would hold the server's state.",
        ),
    ] = DEFAULT_DATA,
) -> None:
    """Say what this machine can do for functions, and how to get what it lacks (exit code 1 when nothing can run)."""
    findings = [*probes.all_findings(data.expanduser().absolute()), _sandbox()]
    typer.echo(render(findings), nl=False)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


def _sandbox() -> Finding:
    """Builds one, as the server would."""
    from lambent.platform import sandbox_ability

    ability = asyncio.run(sandbox_ability())
    lack = ability.lack
    return probes.sandbox(lack.what if lack else "", lack.fix if lack else "", ability.limits)


def render(findings: Sequence[Finding]) -> str:
    """One line for each finding, with the fix beneath it where there is one. Pure."""
    marks = {"ok": "ok     ", "none": "none   ", "limited": "limited", "missing": "MISSING"}
    width = max((len(finding.what) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.state]}  {finding.what.ljust(width)}  {finding.detail}")
        if finding.fix:
            lines.append(f"{' ' * (width + 11)}-> {finding.fix}")
    return "".join(f"{line}\n" for line in lines)
