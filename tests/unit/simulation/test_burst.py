"""A simulated burst loses nothing, repeats exactly, and follows the documented ramps."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.cli.app import run
from lambent.simulation import plot
from lambent.simulation.arrivals import InvalidTrace, at_rate, from_trace
from lambent.simulation.burst import Handler
from lambent.simulation.scenario import MODES, PROFILES, Scenario, answer

ARRIVALS = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5_000)), min_size=1, max_size=8).map(sorted)


@settings(max_examples=60, deadline=None)
@given(
    trace=ARRIVALS,
    batch=st.sampled_from([1, 10, 1_000]),
    duration_s=st.sampled_from([0.01, 0.7, 30.0]),
    message_bytes=st.sampled_from([1, 1024, 1024 * 1024]),
    profile=st.sampled_from(list(PROFILES)),
    concurrency=st.none() | st.integers(1, 300),
)
def test_what_arrived_is_handled_and_no_limit_is_passed(
    trace: list[tuple[float, int]],
    batch: int,
    duration_s: float,
    message_bytes: int,
    profile: str,
    concurrency: int | None,
) -> None:
    handler = Handler(batch_size=batch, duration_s=duration_s, message_bytes=message_bytes)
    scenario = Scenario(trace=trace, handler=handler, profile=profile, maximum_pollers=20, concurrency=concurrency)
    for result in answer(scenario, MODES):
        messages = sum(count for _, count in trace)
        assert result.arrived == result.handled == result.latencies_ms.total() == messages
        assert result.peak_concurrency <= result.full_concurrency
        assert result.invocations * batch >= messages
        assert all(sample.waiting + sample.in_flight <= messages for sample in result.samples)
        assert result.samples[-1].waiting == result.samples[-1].in_flight == 0


def test_the_same_seed_gives_the_same_answer() -> None:
    def answered(seed: int) -> object:
        scenario = Scenario(messages=2_000, rate_per_s=300, handler=Handler(), seed=seed)
        results = answer(scenario, MODES)
        return [result.samples for result in results], plot.svg(results, "x")

    assert answered(1) == answered(1)
    assert answered(1) != answered(2)


@pytest.mark.parametrize(
    ("mode", "profile", "full", "after_s"),
    [
        ("standard", "aws", 1250, 249),
        ("standard", "legacy", 1000, 995),
        ("standard", "article", 5000, 653),
        ("provisioned", "aws", 5000, 294),
        ("provisioned", "instant", 5000, 0),
    ],
)
def test_full_concurrency_comes_when_the_pages_say(mode: str, profile: str, full: int, after_s: int) -> None:
    scenario = Scenario(
        messages=1_000_000, handler=Handler(duration_s=30), profile=profile, minimum_pollers=10, maximum_pollers=500
    )
    (result,) = answer(scenario, [mode])
    assert result.full_concurrency == full
    assert result.full_concurrency_s is not None
    assert result.full_concurrency_s == pytest.approx(after_s, abs=2)


def test_a_backlog_with_provisioned_pollers_drains_in_the_time_of_its_waves() -> None:
    scenario = Scenario(
        messages=20_000,
        handler=Handler(duration_s=2),
        profile="instant",
        minimum_pollers=20,
        maximum_pollers=500,
        concurrency=500,
    )
    (result,) = answer(scenario, ["provisioned"])
    assert 8 <= result.drained_s <= 8.5


def test_arrivals_at_a_rate() -> None:
    arrivals = list(at_rate(50_000, 1_000, random.Random(3)))
    assert sum(count for _, count in arrivals) == 50_000
    assert arrivals[-1][0] == pytest.approx(50, rel=0.03)


def test_traces() -> None:
    assert from_trace(["seconds,messages", "5,2", "4.5,1", "6,0"]) == [(0.0, 1), (0.5, 2)]
    for lines in (["a,b", "x,1"], ["1"], ["1,-2"], ["nan,1"], []):
        with pytest.raises(InvalidTrace):
            from_trace(lines)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, trace = tmp_path / "out.svg", tmp_path / "arrivals.csv"
    trace.write_text("0,500\n2,1000\n")
    assert run(["simulate", "burst", "--trace", str(trace), "--duration", "2s", "--plot", str(picture)]) == 0
    assert "1,500" in capsys.readouterr().out
    assert ET.parse(picture).getroot().tag.endswith("svg")
    assert run(["simulate", "burst", "--trace", str(tmp_path / "none.csv")]) == 1
    for wrong in (["--duration", "2h"], ["--pollers", "9:2"], ["--mode", "x"], ["--profile", "x"]):
        assert run(["simulate", "burst", *wrong]) == 2
