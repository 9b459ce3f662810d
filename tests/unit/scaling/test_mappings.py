"""What the modes of a mapping promise, whatever is observed, and that their ramps are the documented ones."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.scaling import mapping_back_off, mapping_forecast, mapping_provisioned, mapping_standard
from lambent.scaling.mapping_back_off import Outcomes
from lambent.scaling.mapping_forecast import Work
from lambent.scaling.mapping_limits import Limit

COUNTS = st.sampled_from([0, 1, 3, 50, 1_000, 100_000])
OUTCOMES = st.builds(Outcomes, succeeded=COUNTS, failed=COUNTS, throttled=COUNTS, reports_item_failures=st.booleans())
STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 7.0, 100.0, 1000.0]), COUNTS, COUNTS, OUTCOMES, st.none() | COUNTS),
    max_size=40,
)
STANDARD = st.builds(
    mapping_standard.Config,
    profile=st.sampled_from(list(mapping_standard.PROFILES.values())),
    maximum_concurrency=st.none() | st.integers(2, 1_500),
)
PROVISIONED = st.builds(
    lambda low, more, instant, most: mapping_provisioned.Config(
        minimum_pollers=low, maximum_pollers=low + more, instant=instant, maximum_concurrency=most
    ),
    st.integers(1, 200),
    st.integers(0, 2_000),
    st.booleans(),
    st.none() | st.integers(2, 1_500),
)


@settings(max_examples=200, deadline=None)
@given(config=STANDARD, steps=STEPS)
def test_standard_mode_keeps_every_limit(config: mapping_standard.Config, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    now_s = 0.0
    state = mapping_standard.start(config, now_s)
    for elapsed_s, waiting, in_flight, outcomes, function in steps:
        now_s += elapsed_s
        seen = mapping_standard.Observation(
            waiting=waiting, in_flight=in_flight, outcomes=outcomes, function_concurrency=function
        )
        before = state
        state, decision = mapping_standard.decide(state, seen, now_s, config)
        most = min(
            config.profile.ceiling, config.maximum_concurrency or 10**9, function if function is not None else 10**9
        )
        assert decision.concurrency <= most
        assert decision.concurrency >= min(1, most)
        if waiting:
            ceiling = min(config.profile.ceiling, config.maximum_concurrency or 10**9)
            assert state.ramp >= min(before.ramp, ceiling)
            gained = state.ramp - max(before.ramp, config.profile.start)
            assert gained <= max(config.profile.first_minute, config.profile.per_minute) / 60 * elapsed_s + 1e-6
        else:
            assert decision.limit is Limit.BACKLOG
            assert state.ramp <= max(before.ramp, 0)


@settings(max_examples=200, deadline=None)
@given(config=PROVISIONED, steps=STEPS)
def test_provisioned_mode_keeps_every_limit(config: mapping_provisioned.Config, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    now_s = 0.0
    state = mapping_provisioned.start(config, now_s)
    for elapsed_s, waiting, in_flight, outcomes, function in steps:
        now_s += elapsed_s
        seen = mapping_provisioned.Observation(
            waiting=waiting, in_flight=in_flight, outcomes=outcomes, function_concurrency=function or None
        )
        before = state
        state, decision = mapping_provisioned.decide(state, seen, now_s, config)
        assert config.minimum_pollers <= decision.pollers <= config.maximum_pollers
        assert decision.concurrency <= min(decision.pollers * 10, config.maximum_concurrency or 10**9)
        if function:
            assert decision.concurrency <= function
        if mapping_provisioned.needed(seen, config) >= before.pollers:
            assert state.pollers >= before.pollers
        if not config.instant:
            assert state.pollers <= before.pollers + 100 / 60 * elapsed_s + 1e-6
        assert state.poller_s >= before.poller_s


def ramp(profile: str, seconds: int) -> list[int]:
    config = mapping_standard.Config(profile=mapping_standard.PROFILES[profile])
    state = mapping_standard.start(config, 0.0)
    found, in_flight = [], 0
    for now_s in range(seconds + 1):
        seen = mapping_standard.Observation(waiting=10**6, in_flight=in_flight)
        state, decision = mapping_standard.decide(state, seen, float(now_s), config)
        in_flight = decision.concurrency
        found.append(in_flight)
    return found


def test_the_ramps_are_the_documented_ones() -> None:
    aws = ramp("aws", 300)
    assert (aws[0], aws[60], aws[120], aws[249], aws[300]) == (5, 305, 605, 1250, 1250)
    legacy = ramp("legacy", 1_000)
    assert (legacy[0], legacy[60], legacy[600], legacy[994], legacy[1_000]) == (5, 65, 605, 999, 1000)
    article = ramp("article", 120)
    assert (article[30], article[60]) == (30, 60)
    assert 559 <= article[120] <= 560


def test_any_interval_gives_the_same_ramp() -> None:
    config = mapping_standard.Config(profile=mapping_standard.PROFILES["article"])
    state = mapping_standard.start(config, 0.0)
    for now_s in (0.0, 45.0, 90.0):
        seen = mapping_standard.Observation(waiting=1, in_flight=10_000)
        state, decision = mapping_standard.decide(state, seen, now_s, config)
    assert decision.concurrency == 60 + 250


def test_standard_mode_holds_then_scales_in_and_idles() -> None:
    config = mapping_standard.Config()
    state = mapping_standard.start(config, 0.0)
    seen = mapping_standard.Observation(waiting=9, in_flight=10_000)
    for now_s in (0.0, 60.0):
        state, busy = mapping_standard.decide(state, seen, now_s, config)
    quiet = mapping_standard.Observation(waiting=0, in_flight=0)
    found = {}
    for now_s in range(61, 600):
        state, decision = mapping_standard.decide(state, quiet, float(now_s), config)
        found[now_s] = decision.concurrency
    assert busy.concurrency == found[120] == 305
    assert found[300] == 5
    assert found[500] == 2
    state, decision = mapping_standard.decide(state, seen, 600.0, config)
    assert decision.concurrency == 5
    limited = mapping_standard.Config(maximum_concurrency=50)
    state = mapping_standard.start(limited, 0.0)
    for now_s in (0.0, 100.0, 1000.0):
        state, decision = mapping_standard.decide(state, quiet, now_s, limited)
    assert decision.concurrency == 5


def test_a_trickle_that_needs_no_more_does_not_ramp() -> None:
    config = mapping_standard.Config()
    state = mapping_standard.start(config, 0.0)
    for now_s in range(600):
        seen = mapping_standard.Observation(waiting=now_s % 2, in_flight=2)
        state, decision = mapping_standard.decide(state, seen, float(now_s), config)
    assert decision.concurrency == 5


def test_throttles_halve_once_in_a_while_and_are_recovered_from() -> None:
    config = mapping_standard.Config()
    state = mapping_standard.start(config, 0.0)
    for now_s in (0.0, 59.0):
        seen = mapping_standard.Observation(waiting=9, in_flight=10_000)
        state, _ = mapping_standard.decide(state, seen, now_s, config)
    throttled = mapping_standard.Observation(waiting=9, in_flight=300, outcomes=Outcomes(throttled=50, succeeded=1))
    found = []
    for now_s in range(60, 66):
        state, decision = mapping_standard.decide(state, throttled, float(now_s), config)
        found.append((decision.concurrency, decision.limit))
    assert found == [(152, Limit.THROTTLES)] * 6
    fine = mapping_standard.Observation(waiting=9, in_flight=152)
    for now_s in range(66, 73):
        state, decision = mapping_standard.decide(state, fine, float(now_s), config)
    assert 152 < decision.concurrency < 300
    for now_s in range(73, 130):
        state, decision = mapping_standard.decide(state, fine, float(now_s), config)
    assert decision.limit is Limit.RAMP


def test_errors_do_not_slow_a_mapping_that_reports_item_failures() -> None:
    failing = Outcomes(failed=10)
    reporting = Outcomes(failed=10, reports_item_failures=True)
    arguments = {"permitted": 100.0, "floor": 5.0, "recovery_per_s": 5.0}
    assert mapping_back_off.decide(mapping_back_off.STEADY, failing, 1.0, **arguments).cap == 50
    assert mapping_back_off.decide(mapping_back_off.STEADY, reporting, 1.0, **arguments).cap is None


def test_provisioned_growth_instant_and_at_the_pace_of_aws() -> None:
    seen = mapping_provisioned.Observation(waiting=10**6, in_flight=100)
    instant = mapping_provisioned.Config(minimum_pollers=10, maximum_pollers=500)
    state = mapping_provisioned.start(instant, 0.0)
    _, decision = mapping_provisioned.decide(state, seen, 0.0, instant)
    assert (decision.pollers, decision.concurrency, decision.limit) == (500, 5000, Limit.MAXIMUM_POLLERS)
    aws = mapping_provisioned.Config(minimum_pollers=10, maximum_pollers=500, instant=False)
    found = []
    for now_s in (0, 60, 120, 293, 294):
        state, decision = mapping_provisioned.decide(state, seen, float(now_s), aws)
        found.append(decision.concurrency)
    assert found[:3] == [100, 1100, 2100]
    assert found[-1] == 5000
    assert found[-2] < 5000


def test_provisioned_mode_gives_back_what_nothing_needs() -> None:
    config = mapping_provisioned.Config(minimum_pollers=10, maximum_pollers=500)
    state = mapping_provisioned.start(config, 0.0)
    state, _ = mapping_provisioned.decide(
        state, mapping_provisioned.Observation(waiting=10**6, in_flight=0), 0.0, config
    )
    found = {}
    for now_s in range(1, 200):
        quiet = mapping_provisioned.Observation(waiting=0, in_flight=0)
        state, decision = mapping_provisioned.decide(state, quiet, float(now_s), config)
        found[now_s] = decision.pollers
    assert found[61] == 500
    assert 240 < found[91] < 270
    assert found[125] == found[199] == 10
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert state.poller_unit_hours > 500 * 60 / 3600


def test_which_of_a_pollers_three_limits_binds() -> None:
    config = mapping_provisioned.Config(minimum_pollers=2, maximum_pollers=2)
    state = mapping_provisioned.start(config, 0.0)

    def limit(**seen: float) -> Limit:
        observation = mapping_provisioned.Observation(waiting=5_000, **seen)  # type: ignore[arg-type]
        return mapping_provisioned.decide(state, observation, 1.0, config)[1].limit

    assert limit(in_flight=20, receives_per_s=20) is Limit.MAXIMUM_POLLERS
    assert limit(in_flight=3, receives_per_s=20) is Limit.RECEIVES
    assert limit(in_flight=3, bytes_per_s=2 * 1024 * 1024) is Limit.BYTES
    assert limit(in_flight=3, message_groups=3) is Limit.MESSAGE_GROUPS
    assert limit(in_flight=3, function_concurrency=3) is Limit.FUNCTION_CONCURRENCY


def test_forecasts() -> None:
    work = Work(waiting=20_000, duration_s=2.0, function_concurrency=500)
    provisioned = mapping_provisioned.Config(minimum_pollers=20, maximum_pollers=500)
    at = mapping_forecast.drain_provisioned_s(work, mapping_provisioned.start(provisioned, 0.0), 0.0, provisioned)
    assert at is not None
    assert 7.5 <= at <= 8.5
    standard = mapping_standard.Config()
    at = mapping_forecast.drain_standard_s(work, mapping_standard.start(standard, 0.0), 0.0, standard)
    assert at is not None
    assert 38 <= at <= 42  # a simulation by events takes 40 s
    endless = Work(waiting=10**5, arrivals_per_s=10**6, duration_s=2.0)
    assert mapping_forecast.drain_standard_s(endless, mapping_standard.start(standard, 0.0), 0.0, standard) is None
