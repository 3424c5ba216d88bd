"""A reading between its neighbours: which story is believed, and how soon a series recovers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.channel import MICRO
from ingest.judge import HOUR, Limits, advance, coarseness, disputed, intrinsic, limits_of, look_at, quality_of
from ingest.model import NO_REASON, Quality, Reason, Register, Source

HOUSEHOLD = Limits(modulus=10**6 * MICRO, max_rate=15 * MICRO, resolution=1000)
UNKNOWN_RATE = HOUSEHOLD._replace(max_rate=None)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def reasons(values: list[float], limits: Limits = HOUSEHOLD, *, hours: list[float] | None = None) -> list[list[str]]:
    """What is said of readings taken every hour (or at `hours`), in kWh."""
    times = [int(hour * HOUR) for hour in (hours or range(len(values)))]
    micro = [round(value * MICRO) for value in values]
    return [look.reasons.labels for look in look_at(times, micro, limits, 0, len(values))]


def suspects(values: list[float], limits: Limits = HOUSEHOLD) -> list[int]:
    return [number for number, found in enumerate(reasons(values, limits)) if found]


def test_a_possible_step_moves_by_its_difference() -> None:
    assert advance(HOUSEHOLD, HOUR, 100 * MICRO, 101 * MICRO) == MICRO
    assert advance(HOUSEHOLD, HOUR, 100 * MICRO, 100 * MICRO) == 0


def test_a_step_over_the_maximum_rate_is_unexplained_beyond_two_display_units() -> None:
    assert advance(HOUSEHOLD, HOUR, 0, 15 * MICRO + 2000) == 15 * MICRO + 2000
    assert advance(HOUSEHOLD, HOUR, 0, 15 * MICRO + 2001) is None


def test_a_rollover_is_proven_by_modulus_and_rate_only() -> None:
    near_the_top = 999_999 * MICRO
    assert advance(HOUSEHOLD, HOUR, near_the_top, 2 * MICRO) == 3 * MICRO
    assert advance(HOUSEHOLD, HOUR, near_the_top, 20 * MICRO) is None
    assert advance(HOUSEHOLD._replace(modulus=None), HOUR, near_the_top, 2 * MICRO) is None
    assert advance(UNKNOWN_RATE, HOUR, near_the_top, 2 * MICRO) is None


def test_after_a_long_silence_a_fall_is_no_rollover_because_any_fall_would_fit() -> None:
    ten_years = 87_600 * HOUR
    assert advance(HOUSEHOLD, ten_years, 5000 * MICRO, 3 * MICRO) is None
    assert advance(HOUSEHOLD, ten_years, 900_000 * MICRO, 3 * MICRO) == 100_003 * MICRO


@given(
    begin=st.integers(0, 10**6 * MICRO - 1), end=st.integers(0, 10**6 * MICRO - 1), elapsed=st.integers(1, 10**5 * HOUR)
)
def test_no_accepted_step_is_ever_faster_than_the_rate_or_negative(begin: int, end: int, elapsed: int) -> None:
    step = advance(HOUSEHOLD, elapsed, begin, end)
    if step is not None:
        assert step >= 0
        assert (step - 2000) * HOUR <= 15 * MICRO * elapsed
        assert (begin + step - end) % (10**6 * MICRO) == 0


def test_people_may_leave_out_decimals_but_not_whole_units() -> None:
    people = HOUSEHOLD.softened()
    assert advance(people, HOUR, 100_600_000, 100 * MICRO) == 0
    assert advance(people, HOUR, 101 * MICRO, 100 * MICRO) is None
    assert advance(HOUSEHOLD, HOUR, 100_600_000, 100 * MICRO) is None


@pytest.mark.parametrize(
    ("value", "unit"), [(123, MICRO), (123.4, 100_000), (123.45, 10_000), (0.001, 1000), (1000, MICRO), (0, MICRO)]
)
def test_the_precision_a_value_was_given_with(value: float, unit: int) -> None:
    assert coarseness(round(value * MICRO)) == unit


def test_good_readings_are_good() -> None:
    assert suspects([100, 101, 102, 102, 102, 103]) == []


def test_a_spike_is_wild_and_its_followers_are_good_at_once() -> None:
    assert reasons([100, 101, 9000, 102])[2:] == [["above_max_rate"], []]
    assert suspects([100, 101, 9000, 102, 103]) == [2]


def test_a_spike_is_found_without_a_known_rate_by_two_followers() -> None:
    assert suspects([100, 101, 9000, 102, 103], UNKNOWN_RATE) == [2]


def test_a_wild_first_value_is_found_by_two_followers() -> None:
    assert suspects([9000, 100]) == [1]
    assert suspects([9000, 100, 101]) == [0]


def test_a_drop_to_zero_is_wild() -> None:
    assert reasons([100, 101, 0])[2] == ["below_previous"]
    assert suspects([100, 101, 0, 102]) == [2]
    assert suspects([100, 101, 0, 0, 0, 102, 103]) == [2, 3, 4]


def test_a_restart_from_zero_is_believed_by_one_follower() -> None:
    assert suspects([100, 101, 0]) == [2]
    assert suspects([100, 101, 0, 1]) == []
    assert suspects([100, 101, 0.2, 0.9, 1.5]) == []


def test_a_proven_rollover_is_an_ordinary_step() -> None:
    assert suspects([999_998, 999_999, 1, 2]) == []


def test_a_stuck_run_is_told_by_the_jump_that_ends_it() -> None:
    assert reasons([100, 101, 101, 101, 140, 141])[2:4] == [["stuck"], ["stuck"]]
    assert suspects([100, 101, 101, 101, 140, 141]) == [2, 3]


def test_values_of_another_meter_are_wild_up_to_three() -> None:
    assert suspects([100, 101, 5000, 5001, 5002, 102, 103, 104, 105]) == [2, 3, 4]


@pytest.mark.parametrize("limits", [HOUSEHOLD, UNKNOWN_RATE])
@pytest.mark.parametrize("wild", [0.0, 50.0, 5000.0, 999_999.0])
def test_one_wild_value_leaves_all_others_good_after_two_followers(limits: Limits, wild: float) -> None:
    for place in range(2, 6):
        values = [100.0 + n for n in range(place)] + [wild] + [100.0 + n for n in range(place, place + 2)]
        assert suspects(values, limits) == [place]


@given(st.data())
def test_a_judgement_depends_on_four_neighbours_on_either_side_only(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 200), min_size=12, max_size=30))
    place = data.draw(st.integers(4, len(values) - 5))
    far = data.draw(st.lists(st.integers(0, 999_999), max_size=5))
    near = values[place - 4 : place + 5]
    widened = [*far, *near, *far]
    assert reasons([*map(float, near)])[4] == reasons([*map(float, widened)])[len(far) + 4]


def register(**facts: object) -> Register:
    known: dict[str, object] = {"digits": 6, "decimals": 3, "max_rate": Decimal(15), "installed_since": None}
    return Register(1, "m1", "1.8.0", **{**known, **facts})  # type: ignore[arg-type]


def test_what_is_wrong_with_a_reading_by_itself() -> None:
    since = register(installed_since=NOW)
    minute = timedelta(minutes=1)
    assert intrinsic(register(), NOW, None, NOW, 5) == NO_REASON
    assert intrinsic(register(), NOW + 4 * minute, None, NOW, 5) == NO_REASON
    assert intrinsic(register(), NOW + 6 * minute, None, NOW, 5) == Reason.FUTURE_TIME
    assert intrinsic(since, NOW - minute, None, NOW, 5) == Reason.BEFORE_INSTALLATION
    assert intrinsic(register(), NOW, NOW - 31 * minute, NOW, 5) == Reason.CLOCK_DRIFT
    assert intrinsic(register(), NOW, None, NOW, 10**6 * MICRO) == Reason.TOO_MANY_DIGITS


def test_limits_come_from_the_register() -> None:
    assert limits_of(register()) == HOUSEHOLD
    assert limits_of(register(digits=None, max_rate=None, decimals=0)) == Limits(None, None, MICRO)


def test_the_quality_follows_from_the_reasons() -> None:
    assert quality_of(Source.AUTOMATIC, NO_REASON) is Quality.GOOD
    assert quality_of(Source.ESTIMATE, NO_REASON) is Quality.ESTIMATED
    assert quality_of(Source.CONSUMER, Reason.DISPUTED) is Quality.SUSPECT


BEFORE, AFTER = (0, 100_900_000), (2 * HOUR, 101_400_000)


@pytest.mark.parametrize(
    ("value", "before", "after", "verdict"),
    [
        (101, BEFORE, AFTER, False),
        (100, BEFORE, AFTER, False),
        (102, BEFORE, AFTER, False),
        (99, BEFORE, AFTER, True),
        (103, BEFORE, AFTER, True),
        (99, BEFORE, None, True),
        (110, BEFORE, None, False),
        (130, BEFORE, None, True),
        (103, None, AFTER, True),
        (5, None, None, None),
        (5, AFTER, BEFORE, None),
    ],
)
def test_a_persons_value_beside_automatic_ones(
    value: int, before: tuple[int, int] | None, after: tuple[int, int] | None, verdict: bool | None
) -> None:
    if before and after and before[0] > after[0]:
        before, after = (0, before[1]), (2 * HOUR, after[1])
    assert disputed(HOUSEHOLD.softened(), HOUR, value * MICRO, before, after) is verdict


def test_a_persons_value_behind_a_proven_rollover_is_not_disputed() -> None:
    assert disputed(HOUSEHOLD.softened(), HOUR, 3 * MICRO, (0, 999_999 * MICRO), None) is False


@pytest.mark.parametrize(
    ("value", "before", "after", "verdict"),
    [
        (675, (0, 272 * MICRO), (97 * HOUR, 676 * MICRO), True),
        (287, (0, 272 * MICRO), (97 * HOUR, 676 * MICRO), False),
        (272, (-96 * HOUR, 272 * MICRO), (2 * HOUR, 676 * MICRO), True),
        (660, (-96 * HOUR, 272 * MICRO), (2 * HOUR, 676 * MICRO), False),
        (660, None, (2 * HOUR, 676 * MICRO), False),
        (300, None, (2 * HOUR, 676 * MICRO), True),
        (4000, (0, 272 * MICRO), (2 * HOUR, 5000 * MICRO), False),
    ],
)
def test_a_persons_value_between_automatic_ones_has_to_be_reached_from_one_and_to_reach_the_other(
    value: int, before: tuple[int, int] | None, after: tuple[int, int] | None, verdict: bool
) -> None:
    """Unless the counting broke between the two: 4728 kWh in two hours are no step of this meter."""
    assert disputed(HOUSEHOLD.softened(), HOUR, value * MICRO, before, after) is verdict
    unknown = UNKNOWN_RATE.softened()
    assert disputed(unknown, HOUR, value * MICRO, before, after) is False
