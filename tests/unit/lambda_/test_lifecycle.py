from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import pytest

from lambent.lambda_.lifecycle import settle
from lambent.lambda_.store import find_version
from lambent.storage.database import StorageError, Transaction
from tests.unit.lambda_.functions_room import FunctionsRoom
from tests.unit.lambda_.room import SCOPE


async def test_a_full_disk_delays_a_change_but_does_not_lose_it(
    functions: FunctionsRoom, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, refusals = functions.database.run, 2

    async def full(work: Callable[[Transaction], Any], *, key: Hashable | None = None) -> Any:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise StorageError("disk full")
        return await run(work, key=key)

    functions.code.gate.clear()
    await functions.begin_create()
    monkeypatch.setattr(functions.database, "run", full)
    functions.code.gate.set()
    await functions.clock.advance(1.0)
    await functions.clock.advance(1.0)

    assert (await functions.settled())["State"] == "Active"
    assert caplog.text.count("cannot store its new state, trying again: disk full") == 2


async def test_only_the_change_that_began_is_ended(functions: FunctionsRoom) -> None:
    functions.code.gate.clear()
    await functions.begin_create()
    first = await functions.database.read(lambda tx: find_version(tx, SCOPE, "f", 0))
    await functions.call("DeleteFunction", FunctionName="f")
    assert first is not None
    new_id = iter("abc").__next__
    assert await functions.database.run(lambda tx: settle(tx, first, None, new_id)) is None
    await functions.begin_create()
    assert await functions.database.run(lambda tx: settle(tx, first, None, new_id)) is None
    assert (await functions.call("GetFunctionConfiguration", FunctionName="f"))["State"] == "Pending"
    functions.code.gate.set()
    await functions.settled()
