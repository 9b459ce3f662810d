from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.sandbox.support import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A process sandbox that leaves nothing behind."""
    bench = Bench(tmp_path)
    yield bench
    await bench.sandbox.close()
    assert list((tmp_path / "work" / "environments").glob("*")) == []
