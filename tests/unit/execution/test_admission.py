from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.limits import MIB
from lambent.execution.admission import HostAdmission, HostLoad, HostRefusal, HostRules, Reservation, decide
from lambent.execution.host import HostReading
from lambent.testing.clock import VirtualClock

RULES = HostRules(starts_per_s=100, starting=50)


def reading(
    *, available_mb: int = 4096, total_mb: int = 8192, processes: int = 100, limit: int | None = 1000, out_mb: int = 0
) -> HostReading:
    return HostReading(
        total_bytes=total_mb * MIB,
        available_bytes=available_mb * MIB,
        memory_of="this machine",
        swapped_out_bytes=out_mb * MIB,
        processes=processes,
        processes_limit=limit,
        processes_of="this machine",
    )


def load(**changes: float) -> HostLoad:
    values: dict[str, float] = dict.fromkeys(HostLoad.__slots__, 0)
    return HostLoad(**{**values, **changes})  # type: ignore[arg-type]


def kind(refusal: HostRefusal | None) -> str | None:
    return refusal.kind if refusal else None


def test_the_floor_is_kept_free() -> None:
    assert decide(reading(available_mb=576), load(), RULES, 64 * MIB) is None
    assert kind(decide(reading(available_mb=575), load(), RULES, 64 * MIB)) == "memory"


def test_the_floor_of_a_large_machine_is_a_twentieth_and_of_a_small_one_a_quarter() -> None:
    big = 100 * 1024
    assert kind(decide(reading(available_mb=5120, total_mb=big), load(), RULES, MIB)) == "memory"
    assert decide(reading(available_mb=5121, total_mb=big), load(), RULES, MIB) is None
    assert decide(reading(available_mb=257, total_mb=1024), load(), RULES, MIB) is None
    assert kind(decide(reading(available_mb=256, total_mb=1024), load(), RULES, MIB)) == "memory"


def test_promises_count() -> None:
    assert kind(decide(reading(available_mb=1000), load(promised_bytes=425 * MIB), RULES, 64 * MIB)) == "memory"


def test_a_swapping_machine_takes_nothing() -> None:
    refusal = decide(reading(), load(swapped_out_bytes_per_s=5 * MIB), RULES, MIB)
    assert refusal is not None
    assert "swapping, 5 MB/s" in refusal.detail


def test_process_ids_keep_a_twentieth_free() -> None:
    assert decide(reading(processes=934), load(), RULES, MIB) is None
    assert kind(decide(reading(processes=935), load(), RULES, MIB)) == "processes"
    assert kind(decide(reading(processes=920), load(promised_environments=1), RULES, MIB)) == "processes"
    assert decide(reading(processes=9999, limit=None), load(), RULES, MIB) is None


def test_too_many_starts_are_refused() -> None:
    assert kind(decide(reading(), load(starts_last_s=100), RULES, MIB)) == "starts"
    assert kind(decide(reading(), load(starting=50), RULES, MIB)) == "starts"
    assert decide(reading(), load(starts_last_s=99, starting=49), RULES, MIB) is None


@given(
    st.integers(0, 10_000), st.integers(1, 10_000), st.integers(0, 5_000), st.integers(0, 2_000), st.integers(1, 1_000)
)
def test_more_load_never_turns_a_refusal_into_a_yes(
    available: int, total: int, promised: int, processes: int, wanted: int
) -> None:
    before = decide(
        reading(available_mb=available, total_mb=total, processes=processes),
        load(promised_bytes=promised * MIB),
        RULES,
        wanted * MIB,
    )
    after = decide(
        reading(available_mb=available, total_mb=total, processes=processes + 1),
        load(promised_bytes=(promised + 1) * MIB, promised_environments=1, starting=1),
        RULES,
        (wanted + 1) * MIB,
    )
    assert before is None or after is not None


class Machine:
    def __init__(self, available_mb: int) -> None:
        self.available_mb = available_mb
        self.out_mb = 0
        self.clock = VirtualClock()
        rules = HostRules(starts_per_s=100_000, starting=100_000)
        self.admission = HostAdmission(read=self.read, rules=rules, clock=self.clock)

    def read(self) -> HostReading:
        return reading(available_mb=self.available_mb, out_mb=self.out_mb, limit=None)

    def reserve(self, key: str = "f", memory_mb: int = 1024) -> Reservation:
        reservation = self.admission.try_reserve(key, memory_mb)
        assert isinstance(reservation, Reservation), reservation
        return reservation

    def fill(self, key: str = "f", memory_mb: int = 1024) -> list[Reservation]:
        taken = []
        while isinstance(reservation := self.admission.try_reserve(key, memory_mb), Reservation):
            taken.append(reservation)
        return taken


async def test_a_burst_on_one_reading_cannot_promise_more_than_there_is() -> None:
    machine = Machine(available_mb=512 + 640)
    assert len(machine.fill()) == 10


async def test_a_small_function_promises_no_more_than_its_memory_size() -> None:
    machine = Machine(available_mb=512 + 640)
    assert len(machine.fill(memory_mb=32)) == 20


async def test_what_earlier_environments_used_is_what_the_next_promise() -> None:
    machine = Machine(available_mb=512 + 640)
    reservation = machine.reserve()
    reservation.started()
    reservation.settled(160)
    await machine.clock.advance(0.2)
    assert len(machine.fill()) == 4
    machine = Machine(available_mb=512 + 640)
    machine.reserve().settled(160)
    machine.admission.forget("f")
    await machine.clock.advance(0.2)
    assert len(machine.fill()) == 10


async def test_a_promise_ends_only_with_the_reading_that_shows_the_memory() -> None:
    machine = Machine(available_mb=512 + 640)
    taken = machine.fill()
    for reservation in taken:
        reservation.settled(64)
    machine.available_mb -= 320
    assert not machine.fill()  # the cached reading knows nothing of it yet
    await machine.clock.advance(0.2)
    assert len(machine.fill()) == 5


async def test_a_promise_ends_by_itself_after_ten_seconds() -> None:
    machine = Machine(available_mb=512 + 64)
    machine.reserve()
    await machine.clock.advance(9.8)
    assert not machine.fill()
    await machine.clock.advance(0.3)
    assert len(machine.fill()) == 1


async def test_a_start_that_failed_gives_its_room_back_once() -> None:
    machine = Machine(available_mb=512 + 64)
    reservation = machine.reserve()
    reservation.release()
    reservation.release()
    reservation.settled(64)
    assert len(machine.fill()) == 1
    data = machine.admission.as_data()
    assert (data["environments"], data["starting"], data["memory_promised_bytes"]) == (1, 1, 64 * MIB)


async def test_the_rate_of_swapping_is_measured_between_readings() -> None:
    machine = Machine(available_mb=4096)
    machine.reserve()
    machine.out_mb = 100
    await machine.clock.advance(1)
    refusal = machine.admission.try_reserve("f", 128)
    assert isinstance(refusal, HostRefusal)
    assert "100 MB/s" in refusal.detail
    await machine.clock.advance(1)
    machine.reserve()


async def test_starts_are_counted_over_one_second() -> None:
    clock = VirtualClock()
    admission = HostAdmission(read=lambda: reading(limit=None), rules=RULES, clock=clock)
    for _ in range(100):
        reservation = admission.try_reserve("f", 1)
        assert isinstance(reservation, Reservation)
        reservation.started()
    refusal = admission.try_reserve("f", 1)
    assert isinstance(refusal, HostRefusal)
    assert refusal.kind == "starts"
    await clock.advance(1)
    assert isinstance(admission.try_reserve("f", 1), Reservation)


@given(st.lists(st.tuples(st.sampled_from(["reserve", "started", "settled", "release", "wait"]), st.integers(0, 99))))
def test_promises_are_never_lost_nor_negative(steps: list[tuple[str, int]]) -> None:
    class Ticking:
        time_s = 0.0

        def monotonic(self) -> float:
            return self.time_s

    clock = Ticking()
    rules = HostRules(starts_per_s=10**6, starting=10**6)
    admission = HostAdmission(read=lambda: reading(limit=None), rules=rules, clock=clock)  # type: ignore[arg-type]
    taken: list[Reservation] = []
    for step, pick in steps:
        if step == "reserve":
            if isinstance(reservation := admission.try_reserve("f", 100), Reservation):
                taken.append(reservation)
        elif step == "wait":
            clock.time_s += pick / 10
        elif taken:
            reservation = taken[pick % len(taken)]
            if step == "started":
                reservation.started()
            elif step == "settled":
                reservation.settled(pick)
            else:
                reservation.release()
    data = admission.as_data()
    assert data["environments"] == sum(not reservation.released for reservation in taken)
    assert data["starting"] == sum(reservation.starting for reservation in taken)
    assert data["memory_promised_bytes"] == sum(reservation.promised_bytes for reservation in taken)
    for reservation in taken:
        reservation.release()
    data = admission.as_data()
    assert (data["environments"], data["starting"], data["memory_promised_bytes"]) == (0, 0, 0)


def test_rules_grow_with_the_cores() -> None:
    assert HostRules.for_cores(4).starting == 2 * HostRules.for_cores(2).starting
    with pytest.raises(TypeError):
        HostRules()  # type: ignore[call-arg]
