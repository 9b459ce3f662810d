"""`lambent simulate burst`: what would happen to a burst on a queue, on virtual time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lambent.core.errors import UserFacingError
from lambent.simulation import plot
from lambent.simulation.arrivals import Arrival, InvalidTrace, from_trace
from lambent.simulation.burst import DoesNotEnd, Handler, Result
from lambent.simulation.scenario import MODES, PROFILES, Scenario, answer

simulate = typer.Typer(
    name="simulate", help="Ask what would happen, on virtual time and without a server.", no_args_is_help=True
)
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0}


@simulate.callback()
def _group() -> None:
    """Ask what would happen, on virtual time and without a server."""


@simulate.command()
def burst(
    messages: Annotated[int, typer.Option(min=1, max=10_000_000, help="Messages in the burst.")] = 100_000,
    rate: Annotated[
        float | None, typer.Option(min=0.001, max=1e6, help="Messages a second; without it all wait at the start.")
    ] = None,
    duration: Annotated[str, typer.Option(metavar="SPAN", help="How long an invoke runs: 200ms, 2s, 1m.")] = "200ms",
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="BatchSize.")] = 10,
    message_bytes: Annotated[int, typer.Option(min=1, max=1024 * 1024, help="Average size of a message.")] = 1024,
    mode: Annotated[str, typer.Option(help="standard, provisioned or both.")] = "both",
    pollers: Annotated[str, typer.Option(metavar="MIN:MAX", help="MinimumPollers and MaximumPollers.")] = "2:200",
    profile: Annotated[str, typer.Option(help="Whose ramp: aws, legacy, article or instant.")] = "aws",
    trace: Annotated[Path | None, typer.Option(help="CSV of recorded arrivals: seconds,messages.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Concurrency of the function; without it no limit.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other arrivals at the same rate.")] = 0,
    plot_to: Annotated[Path | None, typer.Option("--plot", metavar="FILE.svg", help="Write a picture.")] = None,
) -> None:
    """Simulate a burst on a queue with an event source mapping: how fast it scales, how long messages wait."""
    if mode not in (*MODES, "both"):
        raise typer.BadParameter(f"{mode} is none of standard, provisioned, both", param_hint="--mode")
    if profile not in PROFILES:
        raise typer.BadParameter(f"{profile} is none of {', '.join(PROFILES)}", param_hint="--profile")
    if trace is not None and rate is not None:
        raise typer.BadParameter("a trace has its own rate", param_hint="--rate")
    minimum, maximum = _pollers(pollers)
    scenario = Scenario(
        messages=messages,
        rate_per_s=rate,
        trace=None if trace is None else _trace(trace),
        handler=Handler(batch_size=batch, duration_s=_seconds(duration), message_bytes=message_bytes),
        profile=profile,
        minimum_pollers=minimum,
        maximum_pollers=maximum,
        concurrency=concurrency,
        seed=seed,
    )
    try:
        results = answer(scenario, MODES if mode == "both" else (mode,))
    except DoesNotEnd as error:
        raise UserFacingError(f"the burst does not end: {error}; allow more concurrency or send less") from error
    Console().print(_table(results))
    if plot_to is not None:
        title = f"{results[0].arrived:,} messages, batch {batch}, {duration} an invoke, profile {profile}"
        try:
            plot_to.write_text(plot.svg(results, title), encoding="utf-8")
        except OSError as error:
            raise UserFacingError(f"cannot write {plot_to}: {error.strerror}") from error
        typer.echo(f"wrote {plot_to}")


def _table(results: list[Result]) -> Table:
    table = Table()
    table.add_column("")
    for result in results:
        table.add_column(result.mode, justify="right")
    rows: dict[str, Callable[[Result], str]] = {
        "messages handled": lambda r: f"{r.handled:,}",
        "invocations": lambda r: f"{r.invocations:,}",
        "full concurrency": lambda r: f"{r.full_concurrency:,}",
        "time to full concurrency": lambda r: (
            "not reached" if r.full_concurrency_s is None else f"{r.full_concurrency_s:,.1f} s"
        ),
        "highest concurrency": lambda r: f"{r.peak_concurrency:,}",
        "deepest queue": lambda r: f"{r.peak_waiting:,}",
        "latency p50": lambda r: f"{r.latency_s(0.5):,.3f} s",
        "latency p90": lambda r: f"{r.latency_s(0.9):,.3f} s",
        "latency p99": lambda r: f"{r.latency_s(0.99):,.3f} s",
        "drained after": lambda r: f"{r.drained_s:,.1f} s",
        "poller-unit hours": lambda r: f"{r.poller_unit_hours:,.2f}",
    }
    for name, cell in rows.items():
        table.add_row(name, *[cell(result) for result in results])
    return table


def _pollers(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5}):(\d{1,5})", text, re.ASCII)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= 10_000:
        raise typer.BadParameter(f"{text} is not MIN:MAX with 1 <= MIN <= MAX <= 10000", param_hint="--pollers")
    return int(found[1]), int(found[2])


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(ms|s|m)", text, re.ASCII)
    seconds = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if not 0 < seconds <= 900:
        raise typer.BadParameter(f"{text} is no duration up to 15m; write 200ms, 2s or 1m", param_hint="--duration")
    return seconds


def _trace(path: Path) -> list[Arrival]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return from_trace(lines)
    except OSError as error:
        raise UserFacingError(f"cannot read {path}: {error.strerror}") from error
    except (InvalidTrace, UnicodeDecodeError) as error:
        raise UserFacingError(f"{path}: {error}") from error
