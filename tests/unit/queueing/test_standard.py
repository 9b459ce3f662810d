from __future__ import annotations

import asyncio

import pytest

from lambent.queueing.model import DeadLetters, NewMessage, Outcome, QueueExists, QueueGone, TooManyInFlight

from .conftest import Bench, texts


async def test_a_message_is_visible_hidden_visible_again_and_deleted(bench: Bench) -> None:
    q = await bench.create(visibility_timeout_s=30)
    await bench.send(q, "a", "b")
    assert await bench.counts(q) == (2, 0, 0)
    first = await bench.engine.receive(q, limit=10)
    assert texts(first) == ["a", "b"]
    assert await bench.bodies(q) == []
    assert await bench.counts(q) == (0, 2, 0)
    await bench.clock.advance(29.999)
    assert await bench.bodies(q) == []
    await bench.clock.advance(0.001)
    assert await bench.counts(q) == (2, 0, 0)
    again = await bench.engine.receive(q, limit=10)
    assert [each.receive_count for each in again] == [2, 2]
    assert [each.first_received_ms for each in again] == [each.first_received_ms for each in first]
    assert again[0].handle != first[0].handle
    # Any handle ever given out deletes; a deletion twice is none the worse.
    handles = [first[0].handle, again[1].handle, again[1].handle, "nonsense"]
    outcomes = await bench.engine.delete_messages(q.id, handles)
    assert outcomes == [Outcome.DONE, Outcome.DONE, Outcome.GONE, Outcome.INVALID]
    assert await bench.counts(q) == (0, 0, 0)
    await bench.clock.advance(100)
    assert await bench.bodies(q) == []


async def test_delays(bench: Bench) -> None:
    q = await bench.create(delay_s=10)
    await bench.send(q, "queue")
    await bench.send(q, "own", delay_s=5)
    await bench.send(q, "none", delay_s=0)
    assert await bench.counts(q) == (1, 0, 2)
    assert await bench.bodies(q) == ["none"]
    await bench.clock.advance(5)
    assert await bench.bodies(q) == ["own"]
    await bench.reopen()
    assert await bench.counts(q) == (0, 2, 1)
    await bench.clock.advance(5)
    assert await bench.bodies(q) == ["queue"]


async def test_changed_visibility(bench: Bench) -> None:
    q = await bench.create()
    await bench.send(q, "a")
    [held] = await bench.engine.receive(q)
    change = bench.engine.change_visibility
    assert await change(q.id, [(held.handle, 100)]) == [Outcome.DONE]
    await bench.clock.advance(99)
    assert await bench.bodies(q) == []
    assert await change(q.id, [(held.handle, 0)]) == [Outcome.DONE]
    [other] = await bench.engine.receive(q)
    assert await change(q.id, [(held.handle, 0), ("x", 1)]) == [Outcome.NOT_IN_FLIGHT, Outcome.INVALID]
    assert await bench.bodies(q) == []
    await bench.clock.advance(0.001)
    assert await change(q.id, [(other.handle, 43_200)]) == [Outcome.TOO_LONG]
    assert await change(q.id, [(other.handle, 43_199)]) == [Outcome.DONE]
    await bench.engine.delete_messages(q.id, [held.handle])
    assert await change(q.id, [(other.handle, 1)]) == [Outcome.GONE]


async def test_visibility_zero_leaves_a_message_visible(bench: Bench) -> None:
    q = await bench.create()
    await bench.send(q, "a", "b")
    assert await bench.bodies(q, visibility_timeout_s=0) == ["a", "b"]
    assert await bench.counts(q) == (2, 0, 0)


async def test_retention_counts_from_the_sending_whatever_happens(bench: Bench) -> None:
    q = await bench.create(retention_s=60, visibility_timeout_s=50)
    await bench.send(q, "old")
    await bench.clock.advance(30)
    await bench.send(q, "young")
    assert await bench.bodies(q, limit=1) == ["old"]
    await bench.clock.advance(30.001)
    assert await bench.counts(q) == (1, 0, 0)
    assert await bench.bodies(q) == ["young"]


async def test_expired_messages_go_by_themselves_with_their_files(bench: Bench) -> None:
    q = await bench.create(retention_s=60)
    for _ in range(3):
        await bench.send(q, *["small"] * 99, "x" * 2000)
    await bench.clock.advance(70)
    rows = await bench.database.read(lambda tx: tx.one("SELECT count(*) FROM queueing_messages"))
    assert rows is not None
    assert rows[0] == 0
    assert list((bench.folder / "bodies").iterdir()) == []


async def test_dead_letters(bench: Bench) -> None:
    dead = await bench.create("dead", retention_s=100)
    q = await bench.create(dead_letters=DeadLetters(target=dead.name, max_receives=2), visibility_timeout_s=1)
    [message_id] = await bench.send(q, "poison")
    sent_ms = round(bench.clock.now() * 1000)
    await bench.send(q, "x" * 3000)
    for _ in range(2):
        assert len(await bench.bodies(q)) == 2
        await bench.clock.advance(10)
    assert await bench.bodies(q) == []
    assert await bench.counts(q) == (0, 0, 0)
    got = await bench.engine.receive(dead, limit=10)
    assert [len(each.body) for each in got] == [6, 3000]
    assert (got[0].message_id, got[0].receive_count, got[0].sent_ms) == (message_id, 3, sent_ms)
    assert got[0].dead_letter_source == q.name
    # The clock of retention goes on; the age counts from the move.
    assert (await bench.engine.counts(dead)).oldest_ms == sent_ms + 20_000
    await bench.clock.advance(81)
    assert await bench.counts(dead) == (0, 0, 0)


async def test_a_missing_dead_letter_queue_keeps_messages_where_they_are(bench: Bench) -> None:
    q = await bench.create(dead_letters=DeadLetters(target="arn:none", max_receives=1), visibility_timeout_s=0)
    await bench.send(q, "a")
    for _ in range(3):
        assert await bench.bodies(q) == ["a"]


async def test_move_back(bench: Bench) -> None:
    dead = await bench.create("dead")
    q = await bench.create(dead_letters=DeadLetters(target=dead.name, max_receives=1), visibility_timeout_s=0)
    await bench.send(q, "a", "b", "c")
    await bench.bodies(q)
    assert await bench.bodies(q) == []
    assert await bench.counts(dead) == (3, 0, 0)
    assert await bench.database.run(lambda tx: bench.engine.move(tx, dead.id, None, 2)) == (2, False)
    bench.engine.moved(dead.id)
    assert await bench.counts(dead) == (1, 0, 0)
    got = await bench.engine.receive(q, limit=10)
    assert texts(got) == ["a", "b"]
    assert [(each.receive_count, each.dead_letter_source) for each in got] == [(1, None)] * 2
    await bench.database.run(lambda tx: bench.engine.delete(tx, q.id))
    bench.engine.deleted(q.id)
    assert await bench.database.run(lambda tx: bench.engine.move(tx, dead.id, None, 2)) == (0, True)


async def test_purge_and_delete(bench: Bench) -> None:
    q = await bench.create()
    await bench.send(q, "a", "b", "x" * 5000)
    [held] = await bench.engine.receive(q)
    await bench.engine.purge(q.id)
    assert await bench.counts(q) == (0, 0, 0)
    assert await bench.engine.delete_messages(q.id, [held.handle]) == [Outcome.GONE]
    await bench.send(q, "c")
    assert await bench.bodies(q) == ["c"]
    with pytest.raises(QueueExists):
        await bench.create()
    await bench.database.run(lambda tx: bench.engine.delete(tx, q.id))
    bench.engine.deleted(q.id)
    with pytest.raises(QueueGone):
        await bench.send(q, "d")
    await bench.engine.sweep()
    await bench.clock.settle()
    for table in ("messages", "bodies", "doomed"):
        row = await bench.database.read(lambda tx, t=table: tx.one(f"SELECT count(*) FROM queueing_{t}"))  # type: ignore[misc]
        assert row is not None
        assert row[0] == 0, table
    assert list((bench.folder / "bodies").iterdir()) == []


async def test_a_long_poll_wakes_for_what_comes(bench: Bench) -> None:
    q = await bench.create()
    poll = asyncio.create_task(bench.engine.receive(q, limit=10, wait_s=20))
    await bench.clock.advance(5)
    assert not poll.done()
    await bench.send(q, "a")
    assert texts(await poll) == ["a"]


async def test_a_long_poll_wakes_for_what_becomes_visible(bench: Bench) -> None:
    q = await bench.create()
    await bench.send(q, "a", delay_s=7)
    polls = [asyncio.create_task(bench.engine.receive(q, wait_s=20, visibility_timeout_s=5)) for _ in range(3)]
    await bench.clock.advance(6.99)
    assert not any(poll.done() for poll in polls)
    await bench.clock.advance(0.01)
    assert [poll.done() for poll in polls].count(True) == 1
    await bench.clock.advance(13)
    assert all(poll.done() for poll in polls)
    assert sorted(len(poll.result()) for poll in polls) == [1, 1, 1]  # each after the other's timeout


async def test_a_long_poll_ends(bench: Bench) -> None:
    q = await bench.create()
    poll = asyncio.create_task(bench.engine.receive(q, wait_s=20))
    await bench.clock.advance(19.9)
    assert not poll.done()
    await bench.clock.advance(0.1)
    assert await poll == []
    gone = asyncio.create_task(bench.engine.receive(q, wait_s=20))
    await bench.clock.advance(1)
    await bench.database.run(lambda tx: bench.engine.delete(tx, q.id))
    bench.engine.deleted(q.id)
    assert await gone == []


async def test_a_cancelled_receiver_holds_nothing(bench: Bench) -> None:
    q = await bench.create()
    await bench.send(q, "a")
    poll = asyncio.create_task(bench.engine.receive(q, wait_s=20))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    poll.cancel()
    await bench.clock.settle()
    [got] = await bench.engine.receive(q)
    assert (got.body, got.receive_count) == (b"a", 1)


async def test_in_flight_limit(bench: Bench) -> None:
    q = await bench.create(max_in_flight=3)
    await bench.send(q, *"abcde")
    assert await bench.bodies(q) == ["a", "b", "c"]
    with pytest.raises(TooManyInFlight):
        await bench.bodies(q)
    poll = asyncio.create_task(bench.engine.receive(q, wait_s=20))
    await bench.clock.advance(20)
    assert await poll == []


async def test_large_bodies_are_files(bench: Bench) -> None:
    q = await bench.create()
    body = b"\x00\xff" * 5000
    await bench.engine.send(q, [NewMessage(body=b"small"), NewMessage(body=body, head=b"head")])
    assert len(list((bench.folder / "bodies").iterdir())) == 1
    await bench.reopen()
    got = await bench.engine.receive(q, limit=10)
    assert [each.body for each in got] == [b"small", body]
    assert got[1].head == b"head"
    await bench.engine.delete_messages(q.id, [each.handle for each in got])
    await bench.clock.settle()
    assert list((bench.folder / "bodies").iterdir()) == []


async def test_files_without_a_message_go_at_the_start(bench: Bench) -> None:
    q = await bench.create()
    await bench.send(q, "x" * 2000)
    (bench.folder / "bodies" / "left").write_bytes(b"by a crash")
    await bench.reopen()
    await bench.clock.settle()
    assert len(list((bench.folder / "bodies").iterdir())) == 1
    assert await bench.bodies(q) == ["x" * 2000]


async def test_a_quiet_group_is_not_starved(bench: Bench) -> None:
    q = await bench.create()
    for _ in range(100):
        await bench.send(q, *["noise"] * 100, group="noisy")
    for _ in range(4):
        assert await bench.bodies(q) == ["noise"] * 10
    await bench.send(q, "quiet", group="quiet")
    await bench.send(q, "alone")
    assert sorted((await bench.bodies(q))[:2]) == ["alone", "quiet"]


async def test_groups_of_a_standard_queue_are_in_the_order_of_arrival_together(bench: Bench) -> None:
    q = await bench.create()
    for number in range(12):
        await bench.send(q, str(number), group=f"g{number % 3}" if number % 4 else None)
        await bench.clock.advance(0.001)
    assert await bench.bodies(q) == [str(number) for number in range(10)]
    assert await bench.bodies(q) == ["10", "11"]
    await bench.clock.advance(30)
    assert len(await bench.bodies(q)) == 10


async def test_a_cancelled_sender_leaves_no_file_behind(bench: Bench) -> None:
    q = await bench.create()
    for turns in range(0, 40, 4):
        sender = asyncio.create_task(bench.send(q, "x" * 2000))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
    await bench.clock.settle()
    assert len(list((bench.folder / "bodies").iterdir())) == sum(await bench.counts(q))
