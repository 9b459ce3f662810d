from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.clock import Clock
from lambent.testing.clock import DEFAULT_START_S, ClockStuck, VirtualClock

milliseconds = st.integers(min_value=0, max_value=5_000)


def as_clock(clock: VirtualClock) -> Clock:
    return clock


async def test_time_stands_still_until_advanced() -> None:
    clock = as_clock(VirtualClock())
    assert (clock.now(), clock.monotonic()) == (DEFAULT_START_S, 0.0)
    await clock.sleep(0)
    assert clock.monotonic() == 0.0


async def test_a_sleeper_wakes_exactly_when_its_time_has_come() -> None:
    clock = VirtualClock(start_s=100.0)
    task = asyncio.create_task(clock.sleep(10))
    await clock.advance(9.999)
    assert not task.done()
    await clock.advance(0.001)
    assert task.done()
    assert (clock.now(), clock.monotonic()) == (110.0, 10.0)


async def test_steps_add_up_exactly() -> None:
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(1.0))
    for _ in range(10):
        await clock.advance(0.1)
    assert task.done()


async def test_time_never_goes_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        await VirtualClock().advance(-1)


@given(st.lists(milliseconds, max_size=20), st.lists(milliseconds, min_size=1, max_size=5))
def test_sleepers_wake_in_the_order_of_time_then_of_creation(sleeps: list[int], steps: list[int]) -> None:
    async def scenario() -> list[tuple[float, int]]:
        clock = VirtualClock()
        woken: list[tuple[float, int]] = []

        async def sleeper(number: int, ms: int) -> None:
            await clock.sleep(ms / 1000)
            woken.append((clock.monotonic(), number))

        tasks = [asyncio.create_task(sleeper(number, ms)) for number, ms in enumerate(sleeps)]
        for step in steps:
            await clock.advance(step / 1000)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return woken

    woken = asyncio.run(scenario())
    # A sleep of nothing passes no time, so it ends before time starts to pass.
    expected = sorted((max(ms, 0) / 1000, number) for number, ms in enumerate(sleeps) if ms <= sum(steps))
    assert woken == expected


@given(period=st.integers(1, 50), span=st.integers(0, 500))
def test_sleeps_that_begin_while_time_advances_wake_on_time(period: int, span: int) -> None:
    async def scenario() -> list[float]:
        clock = VirtualClock()
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                await clock.sleep(period)
                ticks.append(clock.monotonic())

        task = asyncio.create_task(tick())
        await clock.advance(span)
        task.cancel()
        return ticks

    assert asyncio.run(scenario()) == [float(t) for t in range(period, span + 1, period)]


async def test_what_a_wakened_task_does_is_done_before_the_next_one_wakes() -> None:
    clock = VirtualClock()
    trace: list[str] = []

    async def relay(name: str, due: float) -> None:
        await clock.sleep(due)
        for step in range(5):
            trace.append(f"{name}{step}")
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(relay("b", 2)), asyncio.create_task(relay("a", 1))]
    await clock.advance(2)
    assert trace == [f"{name}{step}" for name in "ab" for step in range(5)]
    assert all(task.done() for task in tasks)


async def test_a_cancelled_sleeper_is_gone_and_holds_nobody_up() -> None:
    clock = VirtualClock()
    doomed = asyncio.create_task(clock.sleep(1))
    other = asyncio.create_task(clock.sleep(2))
    await clock.settle()
    assert clock.sleepers == 2
    doomed.cancel()
    await clock.advance(5)
    assert doomed.cancelled()
    assert other.done()
    assert clock.sleepers == 0


async def test_a_task_cancelled_by_a_sleeper_of_the_same_instant_does_not_wake() -> None:
    clock = VirtualClock()
    woke: list[str] = []

    victims: list[asyncio.Task[None]] = []

    async def sleeper(name: str) -> None:
        await clock.sleep(1)
        woke.append(name)
        for victim in victims:
            victim.cancel()

    first = asyncio.create_task(sleeper("first"))
    victims.append(asyncio.create_task(sleeper("second")))
    await clock.advance(1)
    assert woke == ["first"]
    assert first.done()
    assert victims[0].cancelled()


async def test_wait_for_gives_the_result_or_times_out_on_virtual_time() -> None:
    clock = VirtualClock()

    async def late(seconds: float) -> str:
        await clock.sleep(seconds)
        return "done"

    in_time = asyncio.create_task(clock.wait_for(late(1), 2))
    too_late = asyncio.create_task(clock.wait_for(late(10), 2))
    await clock.advance(1.5)
    assert in_time.result() == "done"
    assert not too_late.done()
    await clock.advance(0.5)
    with pytest.raises(TimeoutError):
        too_late.result()
    assert clock.sleepers == 0


async def test_wait_for_passes_on_errors_and_cancellation() -> None:
    clock = VirtualClock()

    async def fails() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        await clock.wait_for(fails(), 1)
    waiting = asyncio.create_task(clock.wait_for(asyncio.Event().wait(), 1))
    await clock.settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_wait_for_nothing_times_out_at_once() -> None:
    with pytest.raises(TimeoutError):
        await VirtualClock().wait_for(asyncio.Event().wait(), 0)


async def test_time_waits_for_real_work() -> None:
    clock = VirtualClock()
    finish = threading.Event()
    trace: list[str] = []

    def work() -> None:
        finish.wait(10)
        trace.append("work")

    async def commit() -> None:
        with clock.hold("commit"):
            await asyncio.to_thread(work)

    async def sleeper() -> None:
        await clock.sleep(1)
        trace.append("sleeper")

    tasks = [asyncio.create_task(commit()), asyncio.create_task(sleeper())]
    advancing = asyncio.create_task(clock.advance(1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert clock.monotonic() == 0.0
    finish.set()
    await advancing
    assert trace == ["work", "sleeper"]
    await asyncio.gather(*tasks)


async def test_work_that_a_sleeper_begins_ends_before_the_next_sleeper_wakes() -> None:
    clock = VirtualClock()
    trace: list[tuple[str, float]] = []

    async def worker() -> None:
        await clock.sleep(1)
        with clock.hold():
            await asyncio.to_thread(time.sleep, 0.02)
        trace.append(("worked", clock.monotonic()))

    async def sleeper() -> None:
        await clock.sleep(1.000001)
        trace.append(("slept", clock.monotonic()))

    tasks = [asyncio.create_task(worker()), asyncio.create_task(sleeper())]
    await clock.advance(3)
    assert trace == [("worked", 1.0), ("slept", 1.000001)]
    await asyncio.gather(*tasks)


async def test_time_waits_for_what_is_watched() -> None:
    clock = VirtualClock(patience_s=0.5)
    pending = 1
    clock.watch("commits", lambda: pending)
    advancing = asyncio.create_task(clock.advance(1))
    await asyncio.sleep(0.01)
    assert clock.monotonic() == 0.0
    pending = 0
    await advancing
    pending = 1
    with pytest.raises(ClockStuck, match="commits"):
        await clock.advance(1)
    clock.unwatch("commits")
    await clock.advance(1)
    assert clock.monotonic() == 2.0


async def test_stuck_work_is_named() -> None:
    clock = VirtualClock(patience_s=0.02)
    with clock.hold("commit of control.db"), pytest.raises(ClockStuck, match=r"commit of control\.db"):
        await clock.advance(1)
    assert clock.monotonic() == 0.0
    await clock.advance(1)


async def test_a_loop_that_never_rests_is_reported() -> None:
    clock = VirtualClock(patience_s=0.02)

    async def spin() -> None:
        while True:  # noqa: ASYNC110 - a busy loop is the point
            await asyncio.sleep(0)

    task = asyncio.create_task(spin())
    with pytest.raises(ClockStuck, match="busy"):
        await clock.advance(1)
    task.cancel()


async def test_concurrent_advances_add_up() -> None:
    clock = VirtualClock()
    await asyncio.gather(clock.advance(1), clock.advance(2))
    assert clock.monotonic() == 3.0


async def test_another_thread_can_advance() -> None:
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(5))
    await clock.settle()
    await asyncio.to_thread(clock.advance_threadsafe, 5)
    assert task.done()
    with pytest.raises(RuntimeError, match="await advance"):
        clock.advance_threadsafe(1)


def test_a_clock_without_a_loop_cannot_be_advanced_from_outside() -> None:
    with pytest.raises(RuntimeError, match="no event loop"):
        VirtualClock().advance_threadsafe(1)


def test_a_clock_outlives_its_loop_but_serves_one_at_a_time() -> None:
    clock = VirtualClock()
    asyncio.run(clock.advance(1))
    asyncio.run(clock.advance(1))
    assert clock.monotonic() == 2.0

    async def two_loops() -> None:
        await clock.advance(1)
        with pytest.raises(RuntimeError, match="one event loop at a time"):
            await asyncio.to_thread(asyncio.run, clock.advance(1))

    asyncio.run(two_loops())
