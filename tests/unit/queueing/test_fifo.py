from __future__ import annotations

import asyncio

import pytest

from lambent.queueing.model import DeadLetters, Outcome, QueueConfig

from .conftest import Bench, texts


async def put(bench: Bench, q: QueueConfig, group: str, *bodies: str) -> None:
    for body in bodies:
        await bench.send(q, body, group=group, deduplication_id=f"{group}{body}{bench.clock.now()}")


async def test_a_group_is_blocked_while_one_of_its_messages_is_in_flight(bench: Bench) -> None:
    q = await bench.create(fifo=True)
    await put(bench, q, "a", "a1", "a2", "a3")
    await put(bench, q, "b", "b1")
    [held] = await bench.engine.receive(q)
    assert held.body == b"a1"
    assert await bench.bodies(q) == ["b1"]
    assert await bench.bodies(q) == []
    assert await bench.engine.delete_messages(q.id, [held.handle]) == [Outcome.DONE]
    assert await bench.bodies(q) == ["a2", "a3"]
    await bench.clock.advance(30)
    assert sorted(await bench.bodies(q)) == ["a2", "a3", "b1"]


@pytest.mark.parametrize(("extended", "rest"), [(0, []), (1, ["m0"]), (2, ["m0", "m1"])])
async def test_only_what_is_before_the_first_in_flight(bench: Bench, extended: int, rest: list[str]) -> None:
    q = await bench.create(fifo=True)
    await put(bench, q, "g", "m0", "m1", "m2")
    held = await bench.engine.receive(q, limit=10, visibility_timeout_s=1)
    await bench.engine.change_visibility(q.id, [(held[extended].handle, 4)])
    await bench.clock.advance(1)
    assert await bench.bodies(q) == rest


async def test_deletion_after_the_visibility_timeout(bench: Bench) -> None:
    q = await bench.create(fifo=True, visibility_timeout_s=1)
    await put(bench, q, "g", "m")
    [held] = await bench.engine.receive(q)
    await bench.engine.change_visibility(q.id, [(held.handle, 5)])
    await bench.clock.advance(5)
    assert await bench.engine.delete_messages(q.id, [held.handle]) == [Outcome.EXPIRED]
    assert await bench.engine.change_visibility(q.id, [(held.handle, 5)]) == [Outcome.EXPIRED]
    [again] = await bench.engine.receive(q)
    assert await bench.engine.delete_messages(q.id, [held.handle, again.handle]) == [Outcome.EXPIRED, Outcome.DONE]


async def test_deduplication(bench: Bench) -> None:
    q = await bench.create(fifo=True)
    [first] = await bench.send(q, "a", group="g", deduplication_id="d")
    [held] = await bench.engine.receive(q)
    await bench.engine.delete_messages(q.id, [held.handle])
    await bench.clock.advance(299.999)
    await bench.reopen()
    assert await bench.send(q, "a", "b", group="other", deduplication_id="d") == [first, first]
    assert await bench.bodies(q) == []
    await bench.clock.advance(0.001)
    [second] = await bench.send(q, "c", group="g", deduplication_id="d")
    assert second != first
    assert await bench.bodies(q) == ["c"]


async def test_deduplication_by_group_remembers_what_the_queue_knew(bench: Bench) -> None:
    q = await bench.create(fifo=True)
    await bench.send(q, "1", group="a", deduplication_id="before")
    q = await bench.configure(q, deduplication_scope="messageGroup")
    await bench.send(q, "2", group="b", deduplication_id="before")
    await bench.send(q, "3", group="a", deduplication_id="d")
    await bench.send(q, "4", group="b", deduplication_id="d")
    await bench.send(q, "5", group="b", deduplication_id="d")
    assert sorted(await bench.bodies(q)) == ["1", "3", "4"]


async def test_sequence_numbers_grow_over_restarts(bench: Bench) -> None:
    q = await bench.create(fifo=True)
    numbers = []
    for index in range(6):
        await put(bench, q, "g", str(index))
        [got] = await bench.engine.receive(q)
        assert got.sequence is not None
        assert len(got.sequence) == 20
        numbers.append(got.sequence)
        await bench.engine.delete_messages(q.id, [got.handle])
        if index % 2:
            await bench.reopen()
    assert numbers == sorted(set(numbers))


async def test_the_same_attempt_gets_the_same_messages(bench: Bench) -> None:
    q = await bench.create(fifo=True, visibility_timeout_s=30)
    await put(bench, q, "g", "1", "2")
    first = await bench.engine.receive(q, limit=10, attempt_id="x")
    await bench.clock.advance(20)
    await bench.reopen()
    again = await bench.engine.receive(q, limit=10, attempt_id="x")
    assert [(each.handle, each.body) for each in again] == [(each.handle, each.body) for each in first]
    assert await bench.bodies(q, attempt_id="y") == []
    await bench.clock.advance(29)
    assert await bench.bodies(q) == []
    await bench.engine.delete_messages(q.id, [first[0].handle])
    assert await bench.bodies(q, attempt_id="x") == []
    await bench.clock.advance(1)
    assert await bench.bodies(q, attempt_id="x") == ["2"]


async def test_a_changed_delay_holds_for_what_waits_already(bench: Bench) -> None:
    q = await bench.create(fifo=True, delay_s=60)
    await put(bench, q, "g", "1")
    await bench.clock.advance(10)
    assert await bench.counts(q) == (0, 0, 1)
    q = await bench.configure(q, delay_s=5)
    assert await bench.bodies(q) == ["1"]
    q = await bench.configure(q, delay_s=100)
    await put(bench, q, "h", "2")
    assert await bench.bodies(q) == []
    assert await bench.counts(q) == (0, 1, 1)
    await bench.clock.advance(100)
    assert sorted(await bench.bodies(q)) == ["1", "2"]


async def test_dead_letters_of_a_group(bench: Bench) -> None:
    dead = await bench.create("dead", fifo=True, retention_s=100)
    q = await bench.create(
        fifo=True, dead_letters=DeadLetters(target=dead.name, max_receives=1), visibility_timeout_s=1
    )  # fmt: skip
    await put(bench, q, "g", "1", "2")
    assert await bench.bodies(q, limit=1) == ["1"]
    await bench.clock.advance(90)
    assert await bench.bodies(q) == ["2"]
    await bench.clock.advance(50)  # retention began anew
    got = await bench.engine.receive(dead, limit=10)
    assert texts(got) == ["1"]
    assert (got[0].receive_count, got[0].group, got[0].dead_letter_source) == (2, "g", q.name)


async def test_a_long_poll_wakes_when_its_group_opens(bench: Bench) -> None:
    q = await bench.create(fifo=True)
    await put(bench, q, "g", "1", "2")
    [held] = await bench.engine.receive(q)
    polls = [asyncio.create_task(bench.engine.receive(q, wait_s=20)) for _ in range(3)]
    await bench.clock.advance(3)
    assert not any(poll.done() for poll in polls)
    await bench.engine.delete_messages(q.id, [held.handle])
    await bench.clock.settle()
    assert [texts(poll.result()) for poll in polls if poll.done()] == [["2"]]
    await bench.clock.advance(20)
    assert sum(len(poll.result()) for poll in polls) == 1


async def test_a_letter_that_goes_back_is_no_duplicate_of_itself(bench: Bench) -> None:
    dead = await bench.create("dead", fifo=True)
    q = await bench.create(
        fifo=True, dead_letters=DeadLetters(target=dead.name, max_receives=1), visibility_timeout_s=0
    )
    await put(bench, q, "g", "1", "2")
    await bench.bodies(q)
    assert await bench.bodies(q) == []
    assert await bench.database.run(lambda tx: bench.engine.move(tx, dead.id, None, 10)) == (2, False)
    bench.engine.moved(dead.id)
    assert await bench.bodies(q) == ["1", "2"]
