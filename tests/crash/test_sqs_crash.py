"""kill -9 in the middle of sends, receives and deletions: nothing acknowledged is lost, undone or reordered."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lambent.testing.server import ServerProcess
from tests.crash import power_loss
from tests.crash.sqs_load import Load

pytest.importorskip("lambent.sqs.engine", reason="SQS has no message engine yet")
KILLS = 12


def test_nothing_is_lost_to_kill_9(tmp_path: Path) -> None:
    with ServerProcess(data=tmp_path / "data") as server:
        load = Load(server)
        load.create()
        for _ in range(KILLS):
            load.hammer(random.uniform(0.1, 0.8))
            server.start()
        load.drain()
        assert load.losses() == []
        assert len(load.books.acknowledged) > 20 * KILLS
        assert len(load.books.deleted_at) > KILLS


@pytest.mark.parametrize(("module", "survives"), [("lambent", True), ("tests.crash.unsafe_lambent", False)])
def test_nothing_is_lost_to_a_power_cut(tmp_path: Path, module: str, survives: bool) -> None:
    """The shim forgets what was not synced at the kill; with synchronous=OFF the same test must see losses."""
    data, undo = tmp_path / "data", tmp_path / "undo"
    environment = power_loss.environment(power_loss.build_shim(tmp_path), data, undo)
    with ServerProcess(data=data, environment=environment, module=module) as server:
        load = Load(server)
        load.create()
        for _ in range(3):
            load.hammer(random.uniform(0.5, 1.0))
            assert power_loss.counters(undo).writes > 0, "the shim was not there"
            power_loss.lose_power(data, undo)
            server.start()
            if load.losses() and not survives:
                break
        if survives:
            load.drain()
            assert load.losses() == []
        else:
            load.drain(timeout_s=5)
            assert load.losses()
