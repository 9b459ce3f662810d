"""No message is lost, reordered, sent twice or kept too long on its way into batches; no event is over 6 MB."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.limits import LAMBDA_SYNC_PAYLOAD_BYTES, MIB
from lambent.event_sources import batching, records
from lambent.event_sources.batching import Batch, Batcher, Rules
from lambent.sqs.messages import Delivery
from tests.unit.event_sources.messages import delivery

RECORD = b"x" * 100


def received(*numbers: int) -> list[tuple[int, bytes]]:
    return [(number, RECORD) for number in numbers]


def test_without_a_window_what_came_goes_at_once() -> None:
    batcher: Batcher[int] = Batcher(Rules(size=10))
    (batch,) = batcher.add(received(1, 2, 3), 5.0)
    assert batch.messages == (1, 2, 3)
    assert batch.payload == b'{"Records":[' + b",".join([RECORD] * 3) + b"]}"
    assert batcher.due_s is None
    assert batcher.add([], 6.0) == []


def test_a_small_batch_size_limits_the_receive() -> None:
    assert Batcher[int](Rules(size=4)).wanted == 4
    assert Batcher[int](Rules(size=400, window_s=1)).wanted == 10


def test_a_window_gathers_several_receives() -> None:
    batcher: Batcher[int] = Batcher(Rules(size=25, window_s=5.0))
    assert batcher.wait_s(100.0) == 20.0
    assert batcher.add(received(*range(10)), 100.0) == []
    assert batcher.add(received(*range(10, 20)), 102.0) == []
    assert (batcher.open, batcher.wanted, batcher.due_s, batcher.wait_s(102.0)) == (20, 5, 105.0, 3.0)
    assert batcher.close_due(104.9) == []
    (batch,) = batcher.add(received(*range(20, 25)), 104.9)
    assert batch.messages == tuple(range(25))
    assert batcher.close_due(105.0) == []


def test_the_window_begins_with_the_first_message() -> None:
    batcher: Batcher[int] = Batcher(Rules(size=100, window_s=5.0))
    batcher.add([], 100.0)
    batcher.add(received(1), 103.0)
    batcher.add(received(2), 107.0)
    assert batcher.close_due(107.9) == []
    (batch,) = batcher.close_due(108.0)
    assert batch.messages == (1, 2)


def test_messages_of_one_mebibyte_go_in_fives() -> None:
    batcher: Batcher[Delivery] = Batcher(Rules(size=100, window_s=5.0))
    recorder = records.Recorder(queue_arn="q", region="r", window_s=5, digest=lambda _: "")
    batches = []
    for number in range(12):
        message = delivery(number, body="b" * MIB)
        batches += batcher.add([(message, records.encode(recorder.record(message)))], 0.0)
    batches += batcher.close_due(5.0)
    assert [len(batch.messages) for batch in batches] == [5, 5, 2]
    assert all(len(batch.payload) <= LAMBDA_SYNC_PAYLOAD_BYTES for batch in batches)


def test_what_is_given_up_is_returned() -> None:
    batcher: Batcher[int] = Batcher(Rules(size=100, window_s=5.0))
    batcher.add(received(1, 2), 0.0)
    assert batcher.abandon() == [1, 2]
    assert batcher.abandon() == []
    assert batcher.due_s is None


@given(
    size=st.integers(1, 40),
    window_s=st.sampled_from([0.0, 1.0, 5.0]),
    max_bytes=st.integers(120, 2000),
    receives=st.lists(st.tuples(st.floats(0, 4), st.lists(st.integers(1, 600), max_size=10)), max_size=30),
)
def test_batches_keep_every_rule(
    size: int, window_s: float, max_bytes: int, receives: list[tuple[float, list[int]]]
) -> None:
    batcher: Batcher[tuple[int, float]] = Batcher(Rules(size=size, window_s=window_s, max_bytes=max_bytes))
    now_s, sent, got = 0.0, 0, []
    for pause_s, lengths in receives:
        now_s += min(pause_s, batcher.wait_s(now_s))
        gone = [(batch, now_s) for batch in batcher.close_due(now_s)]
        brought = []
        for length in lengths[: batcher.wanted]:
            brought.append(((sent, now_s), b"x" * length))
            sent += 1
        gone += [(batch, now_s) for batch in batcher.add(brought, now_s)]
        for batch, at_s in gone:
            got += [number for number, _ in batch.messages]
            assert 1 <= len(batch.messages) <= size
            assert len(batch.payload) <= max_bytes or len(batch.messages) == 1
            assert all(at_s - came_s <= window_s + 1e-9 for _, came_s in batch.messages)
        assert batcher.due_s is None or batcher.due_s > now_s
        assert batcher.wanted >= 1
    got += [number for number, _ in batcher.abandon()]
    assert got == list(range(sent))


@pytest.mark.parametrize(
    ("kept", "left", "held"),
    [([], ["m1", "m2", "m3"], []), (["a"], ["m2"], ["m1", "m3"]), (["a", "b"], [], ["m1", "m2", "m3"])],
)
def test_a_group_that_kept_something_waits(kept: list[str], left: list[str], held: list[str]) -> None:
    messages = tuple(delivery(number, group=group) for number, group in ((1, "a"), (2, "b"), (3, "a")))
    batch = Batch(messages, (b"1", b"2", b"3"))
    going, waiting = batching.held_back(batch, frozenset(kept))
    assert [message.message_id for message in waiting] == held
    assert (going is None) == (not left)
    if going is not None:
        assert [message.message_id for message in going.messages] == left
        assert [record.decode() for record in going.records] == [name[1:] for name in left]
    assert batching.groups_of(messages) == {"a", "b"}
