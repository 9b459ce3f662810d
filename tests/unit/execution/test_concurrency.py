from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lambent.core.arns import function_arn
from lambent.core.operations import Scope
from lambent.execution.concurrency import CONCURRENCY_EXCEEDED, RESERVED_EXCEEDED, Admission, Concurrency, Refusal

SCOPE = Scope(account="000000000000", region="us-east-1")
OTHER = Scope(account="000000000000", region="eu-west-1")


def arn(name: str, scope: Scope = SCOPE) -> str:
    return function_arn(scope, name)


def admit(limits: Concurrency, name: str) -> Admission:
    place = limits.try_admit(arn(name))
    assert isinstance(place, Admission)
    return place


def refuse(limits: Concurrency, name: str, scope: Scope = SCOPE) -> Refusal:
    refusal = limits.try_admit(arn(name, scope))
    assert isinstance(refusal, Refusal)
    return refusal


def test_the_account_limit_is_a_thousand_unless_set() -> None:
    limits = Concurrency()
    for _ in range(1000):
        admit(limits, "f")
    refusal = refuse(limits, "g")
    assert refusal.reason == CONCURRENCY_EXCEEDED
    assert "1000" in refusal.detail


def test_a_released_place_is_free_again_and_only_once() -> None:
    limits = Concurrency(default_limit=1)
    place = admit(limits, "f")
    refuse(limits, "f")
    place.release()
    place.release()
    admit(limits, "f")
    refuse(limits, "f")


def test_regions_do_not_share_a_limit() -> None:
    limits = Concurrency(default_limit=1)
    admit(limits, "f")
    assert isinstance(limits.try_admit(arn("f", OTHER)), Admission)


def test_zero_reserved_blocks() -> None:
    limits = Concurrency()
    limits.set_reserved(arn("f"), 0)
    refusal = refuse(limits, "f")
    assert refusal.reason == RESERVED_EXCEEDED
    assert "blocks" in refusal.detail
    limits.set_reserved(arn("f"), None)
    admit(limits, "f")


def test_a_reservation_is_a_ceiling_and_is_kept_from_others() -> None:
    limits = Concurrency(default_limit=3)
    limits.set_reserved(arn("f"), 2)
    admit(limits, "g")
    assert refuse(limits, "g").reason == CONCURRENCY_EXCEEDED
    admit(limits, "f")
    admit(limits, "f")
    assert refuse(limits, "f").reason == RESERVED_EXCEEDED


def test_events_under_way_move_with_their_function() -> None:
    limits = Concurrency(default_limit=4)
    running = [admit(limits, "f") for _ in range(3)]
    limits.set_reserved(arn("f"), 3)
    admit(limits, "g")
    assert refuse(limits, "g").reason == CONCURRENCY_EXCEEDED
    limits.set_reserved(arn("f"), None)
    assert refuse(limits, "f").reason == CONCURRENCY_EXCEEDED
    for place in running:
        place.release()
    [use] = limits.scopes()
    assert (use.in_flight, use.unreserved_in_flight) == (1, 1)


def test_the_account_limit_binds_a_fresh_reservation_while_others_still_run() -> None:
    limits = Concurrency(default_limit=2)
    others = [admit(limits, "g"), admit(limits, "g")]
    limits.set_reserved(arn("f"), 1)
    assert refuse(limits, "f").reason == CONCURRENCY_EXCEEDED
    others[0].release()
    admit(limits, "f")


def test_pruning_forgets_only_what_is_unused() -> None:
    limits = Concurrency(default_limit=5)
    place = admit(limits, "busy")
    limits.set_reserved(arn("reserved"), 2)
    admit(limits, "gone").release()
    limits.prune()
    place.release()
    assert limits.in_flight(arn("busy")) == 0
    assert limits.reserved(arn("reserved")) == 2
    [use] = limits.scopes()
    assert use.in_flight == 0


def test_negative_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Concurrency().set_reserved(arn("f"), -1)
    with pytest.raises(ValueError, match="negative"):
        Concurrency().set_account_limit(SCOPE, -1)
    with pytest.raises(ValueError, match="negative"):
        Concurrency().set_provisioned(arn("f"), "1", -1)


def test_a_version_takes_its_provisioned_places_first_and_then_those_that_all_share() -> None:
    limits = Concurrency(default_limit=5)
    limits.set_provisioned(arn("f"), "1", 2)
    [use] = limits.scopes()
    assert (use.provisioned, use.unreserved_limit) == (2, 3)
    for _ in range(3):
        admit(limits, "g")
    assert "2 provisioned for versions" in refuse(limits, "f").detail  # $LATEST has no place of its own
    places = [limits.try_admit(arn("f"), "1") for _ in range(2)]
    assert all(isinstance(place, Admission) for place in places)
    assert isinstance(limits.try_admit(arn("f"), "1"), Refusal)
    assert [use.unreserved_in_flight for use in limits.scopes()] == [3]
    limits.set_provisioned(arn("f"), "1", 0)
    assert [use.unreserved_in_flight for use in limits.scopes()] == [5]


def test_where_all_that_is_reserved_is_provisioned_other_versions_are_refused() -> None:
    limits = Concurrency()
    limits.set_reserved(arn("f"), 2)
    limits.set_provisioned(arn("f"), "1", 2)
    refusal = refuse(limits, "f")
    assert refusal.reason == RESERVED_EXCEEDED
    assert refusal.detail == "all 2 reserved concurrent executions are in use or provisioned for versions (2)"
    place = limits.try_admit(arn("f"), "1")
    assert isinstance(place, Admission)
    limits.set_provisioned(arn("f"), "1", 1)
    admit(limits, "f")
    assert refuse(limits, "f").detail == "all 2 reserved concurrent executions are in use"


class Provision:
    def __init__(self) -> None:
        self.places = 0


NAMES = st.sampled_from(["a", "b", "c"])


class Accounting(RuleBasedStateMachine):
    """Whatever happens, places are counted exactly: compared with a model that keeps a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Concurrency(default_limit=6)
        self.limit = 6
        self.reserved: dict[str, int] = {}
        self.provisions: dict[tuple[str, str], Provision] = {}
        self.running: list[tuple[str, Provision | None, Admission]] = []
        self.ended: list[Admission] = []

    def count(self, name: str) -> int:
        return sum(running == name for running, _, _ in self.running)

    def used(self, provision: Provision) -> int:
        return sum(running is provision for _, running, _ in self.running)

    def shared(self, name: str) -> int:
        """Events of the function that have no provisioned place."""
        provisions = {provision for running, provision, _ in self.running if running == name and provision}
        return self.count(name) - sum(min(self.used(provision), provision.places) for provision in provisions)

    def provisioned(self, name: str) -> int:
        return sum(provision.places for (owner, _), provision in self.provisions.items() if owner == name)

    def unreserved(self) -> int:
        left = self.limit - sum(self.reserved.values())
        return max(0, left - sum(self.provisioned(name) for name in "abc" if name not in self.reserved))

    @rule(name=NAMES, version=st.sampled_from(["1", "2"]))
    def admit(self, name: str, version: str) -> None:
        provision = self.provisions.get((name, version))
        own = provision is not None and self.used(provision) < provision.places
        if name in self.reserved:
            free = self.shared(name) < self.reserved[name] - self.provisioned(name)
            fits = self.count(name) < self.reserved[name] and (own or free)
        else:
            fits = own or sum(self.shared(other) for other in "abc" if other not in self.reserved) < self.unreserved()
        place = self.limits.try_admit(arn(name), version)
        assert isinstance(place, Admission) == (fits and len(self.running) < self.limit)
        if isinstance(place, Admission):
            self.running.append((name, provision, place))

    @rule(name=NAMES, version=st.sampled_from(["1", "2"]), places=st.integers(0, 3))
    def provision(self, name: str, version: str, places: int) -> None:
        self.limits.set_provisioned(arn(name), version, places)
        if places:
            self.provisions.setdefault((name, version), Provision()).places = places
        elif (gone := self.provisions.pop((name, version), None)) is not None:
            gone.places = 0

    @rule(pick=st.integers(0, 50))
    def release(self, pick: int) -> None:
        if self.running:
            _, _, place = self.running.pop(pick % len(self.running))
            place.release()
            self.ended.append(place)

    @rule(pick=st.integers(0, 50))
    def release_again(self, pick: int) -> None:
        if self.ended:
            self.ended[pick % len(self.ended)].release()

    @rule(name=NAMES, limit=st.none() | st.integers(0, 3))
    def reserve(self, name: str, limit: int | None) -> None:
        self.limits.set_reserved(arn(name), limit)
        if limit is None:
            self.reserved.pop(name, None)
        else:
            self.reserved[name] = limit

    @rule(limit=st.integers(0, 8))
    def resize(self, limit: int) -> None:
        self.limits.set_account_limit(SCOPE, limit)
        self.limit = limit

    @rule()
    def prune(self) -> None:
        self.limits.prune()

    @invariant()
    def counts_agree(self) -> None:
        for name in "abc":
            assert self.limits.in_flight(arn(name)) == self.count(name)
        for use in self.limits.scopes():
            assert use.in_flight == len(self.running)
            assert use.reserved == sum(self.reserved.values())
            assert use.unreserved_limit == self.unreserved()
            assert use.unreserved_in_flight == sum(self.shared(name) for name in "abc" if name not in self.reserved)


Accounting.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestAccounting = Accounting.TestCase
