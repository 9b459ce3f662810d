"""The soak of `benchmarks/soak.py` in a size for every day, with the same rule to pass."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import census, soak
from lambent.sandbox.isolation import probe


def test_a_short_soak_leaves_nothing() -> None:
    ability = asyncio.run(probe.probe())
    if ability.lack is not None:
        pytest.skip(f"no sandboxes on this machine: {ability.lack.what}")
    outcome = asyncio.run(soak.soak(invokes=2_000, kills=20, quiet=True))
    assert outcome.failures == []
    assert outcome.invokes >= 2_000
    assert sum(outcome.kills.values()) == 20


def test_the_rule_sees_what_is_left() -> None:
    """The judgement itself: what grew, who failed for no reason, and memory that rises."""
    fields = ("processes", "strays", "threads", "descriptors", "namespaces", "mounts", "groups", "files")
    before = census.Census(**dict.fromkeys(fields, 10))
    after = census.Census(**dict.fromkeys(fields, 10) | {"descriptors": 11, "files": 9})
    outcome = soak.Outcome(invokes=1000, function_errors=1)
    outcome.resident_mb = [(at, 99.0 + at / 100) for at in range(0, 1001, 10)]
    soak.judge(outcome, before, after)
    assert outcome.failures == [
        "not back at the baseline: {'descriptors': (10, 11)}",
        "1 events failed, 0 had a reason to",
        "resident memory rises by 9.0 MB (allowed: 5.0)",
    ]
    flat = soak.Outcome(invokes=1000, resident_mb=[(at, 100.0) for at in range(0, 1001, 10)])
    soak.judge(flat, before, before)
    assert flat.failures == []
