"""Amounts over intervals, from readings that went through the door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from decimal import Decimal as D

import pytest

from ingest.consumption import Amount, Boundary, Counter, Policy, Stretch, consumption
from ingest.judge import HOUR as HOUR_MICROS
from ingest.judge import Limits
from ingest.load_profile import Slot
from ingest.model import Quality, Source
from tests.ingest.memory_store import spec
from tests.ingest.point import ALWAYS, DAY, HOUR, START, Point, Stay, hours, reading
from tests.ingest.test_chain import mark

ONE = D("1.0000")
EPOCH_HOURS = int(START.timestamp()) // 3600
LIMITS = Limits(10**6 * 10**6, 15 * 10**6, 1000)


def told(amount: Amount) -> tuple[object, object, object]:
    return amount.amount, amount.quality.label, amount.reasons


def kwh(*values: str | None) -> list[Decimal | None]:
    return [None if value is None else D(value) for value in values]


def amounts(found: Sequence[Amount]) -> list[Decimal | None]:
    return [amount.amount for amount in found]


def metered(*values: float, every: float = 1) -> Point:
    """Readings every hour (or so many hours)."""
    point = Point()
    for number, value in enumerate(values):
        point.give(reading(number * every, value))
    return point


def test_readings_at_the_cuts_give_exact_amounts_and_what_the_register_showed() -> None:
    first, second = metered(100, 101.5, 103).amounts(hours(0, 1, 2))
    assert told(first) == (D("1.5"), "good", ())
    assert (first.begin_value, first.end_value, second.begin_value) == (D(100), D("101.5"), D("101.5"))
    assert (first.completeness, first.ratios, first.meters, first.unit) == (ONE, (D(1),), ("m1",), "kWh")


def test_a_cut_between_readings_is_interpolated_and_the_sum_is_what_was_measured() -> None:
    found = metered(100, 103, every=2).amounts(hours(0, 1, 2))
    assert [told(amount) for amount in found] == [(D("1.5"), "estimated", ("interpolated",))] * 2
    [whole] = metered(100, 103, every=2).amounts(hours(0, 2))
    assert told(whole) == (D(3), "good", ())


def test_a_cut_where_the_register_stood_still_is_exact_however_long() -> None:
    found = metered(100, 100, every=900).amounts(hours(0, 100, 900))
    assert [told(amount) for amount in found] == [(0, "good", ())] * 2
    assert [amount.completeness for amount in found] == [ONE, ONE]


def test_no_amount_from_no_readings() -> None:
    [nothing] = Point().amounts(hours(0, 1))
    assert told(nothing) == (None, "missing", ("no_readings",))
    assert (nothing.completeness, nothing.ratios, nothing.begin_value) == (D(0), (), None)


def test_no_amount_from_one_reading() -> None:
    assert told(metered(100).amounts(hours(-1, 1))[0]) == (None, "missing", ("gap",))


def test_nobody_measured_where_no_meter_stood() -> None:
    [before] = Point(Stay("m1", since=START + 5 * HOUR)).amounts(hours(0, 1))
    assert told(before) == (None, "missing", ("no_meter",))
    assert told(consumption([], hours(0, 1))[0]) == (None, "missing", ("no_meter",))


def test_an_amount_covers_the_measured_part_of_its_interval() -> None:
    point = metered(100, 101, 102)
    late, early = point.amounts(hours(-2, 1, 5))
    assert told(late) == (1, "good", ("gap",))
    assert told(early) == (1, "good", ("gap",))
    assert (late.completeness, early.completeness) == (D("0.3333"), D("0.2500"))
    assert (late.begin_value, early.end_value) == (D(100), D(102))


def test_inside_a_long_gap_nothing_is_guessed_and_its_total_is_good() -> None:
    point = metered(100, 200, every=100)
    days = point.amounts(hours(-24, 0, 24, 48, 72, 100))
    assert amounts(days) == kwh(None, None, None, None, None)
    [whole] = point.amounts(hours(-10, 110))
    assert told(whole) == (100, "good", ("gap",))
    [exact] = point.amounts(hours(0, 100))
    assert told(exact) == (100, "good", ())


def test_a_gap_is_spread_evenly_on_request() -> None:
    found = metered(100, 200, every=100).amounts(hours(0, 25, 50, 100), policy=Policy(distribute=True))
    assert [told(amount) for amount in found] == [
        (25, "estimated", ("distributed", "interpolated")),
        (25, "estimated", ("distributed", "interpolated")),
        (50, "estimated", ("distributed", "interpolated")),
    ]
    assert [amount.completeness for amount in found] == [0, 0, 0]


def test_an_unexplained_gap_is_not_spread_even_on_request() -> None:
    found = metered(5000, 3, every=100).amounts(hours(0, 25, 50, 100), policy=Policy(distribute=True))
    assert amounts(found) == kwh(None, None, None)


def test_the_gap_limit_is_configuration_and_never_less_than_one_and_a_half_of_the_interval() -> None:
    point = metered(100, 200, every=100)
    assert amounts(point.amounts(hours(0, 50, 100), policy=Policy(gap_limit=timedelta(hours=100)))) == kwh("50", "50")
    monthly = metered(100, 400, 700, every=31 * 24)
    assert amounts(monthly.amounts(hours(240, 240 + 31 * 24))) == kwh("300")


def test_a_rollover_counts_only_when_it_is_proven() -> None:
    [proven] = metered(999_999, 2).amounts(hours(0, 1))
    assert told(proven) == (3, "good", ("rollover",))
    [unproven] = metered(999_899, 999_900, 500, 501).amounts(hours(0, 3))
    assert told(unproven) == (2, "suspect", ("unexplained_fall",))


def test_an_unexplained_fall_adds_nothing_and_is_not_measured() -> None:
    point = metered(500, 501, 3, 4, 5)
    found = point.amounts(hours(0, 1, 2, 3, 4))
    assert [told(amount) for amount in found] == [
        (1, "good", ()),
        (None, "missing", ("unexplained_fall",)),
        (1, "good", ()),
        (1, "good", ()),
    ]
    [whole] = point.amounts(hours(0, 4))
    assert told(whole) == (3, "suspect", ("unexplained_fall",))
    assert whole.completeness == D("0.7500")


def test_a_jump_that_is_too_fast_adds_nothing() -> None:
    [whole] = metered(500, 501, 9000, 9001, 9002, 9003, 9004).amounts(hours(0, 6))
    assert told(whole) == (5, "suspect", ("unexplained_jump",))


def test_one_wild_value_changes_no_amount() -> None:
    found = metered(100, 101, 9000, 103, 104).amounts(hours(0, 1, 3, 4))
    assert [told(amount) for amount in found] == [(1, "good", ()), (2, "good", ()), (1, "good", ())]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 12, 40])
@pytest.mark.parametrize("value", [0, 5000])
def test_a_block_of_wild_values_of_any_length_changes_no_total(length: int, value: float) -> None:
    point = metered(100, 101, *[value] * length, 101 + length, 102 + length)
    [whole] = point.amounts(hours(0, length + 2))
    assert whole.amount == length + 1
    assert whole.quality is Quality.GOOD


@pytest.mark.parametrize("length", [2, 4, 5, 12, 40])
def test_a_stuck_run_of_any_length_is_measured_from_its_first(length: int) -> None:
    after = 101 + 12 * length
    point = metered(100, *[101] * length, after, after + 1)
    [whole] = point.amounts(hours(0, length + 1))
    assert (whole.amount, whole.quality) == (D(after - 100), Quality.GOOD)


def test_a_meter_exchange_counts_both_meters_by_opening_and_closing() -> None:
    swap = START + 2 * HOUR
    old = Stay("m1", until=swap, closing=D(102))
    new = Stay("m2", since=swap, opening=D("7.5"))
    point = Point(old, new)
    point.give(reading(0, 100), reading(1, 101), reading(3, "8.5", serial="m2"), reading(4, "9.5", serial="m2"))
    [whole] = point.amounts(hours(0, 4))
    assert told(whole) == (4, "good", ("exchange",))
    assert (whole.begin_value, whole.end_value, whole.meters) == (D(100), D("9.5"), ("m1", "m2"))
    before, across, after = point.amounts(hours(0, 1, 3, 4))
    assert amounts([before, across, after]) == kwh("1", "2", "1")


def test_time_without_a_meter_is_a_gap() -> None:
    old = Stay("m1", until=START + HOUR, closing=D(101))
    new = Stay("m2", since=START + 3 * HOUR, opening=D(0))
    point = Point(old, new)
    point.give(reading(0, 100), reading(4, 1, serial="m2"))
    [whole] = point.amounts(hours(0, 4))
    assert told(whole) == (2, "good", ("exchange", "no_meter"))
    assert whole.completeness == D("0.5000")


def test_without_opening_and_closing_the_time_around_an_exchange_is_unknown() -> None:
    swap = START + 2 * HOUR
    point = Point(Stay("m1", until=swap), Stay("m2", since=swap))
    point.give(reading(0, 100), reading(1, 101), reading(3, 5, serial="m2"), reading(4, 6, serial="m2"))
    [whole] = point.amounts(hours(0, 4))
    assert told(whole) == (2, "good", ("exchange", "gap"))
    assert whole.completeness == D("0.5000")


def test_a_closing_reading_below_the_last_one_is_suspect() -> None:
    swap = START + 2 * HOUR
    point = Point(Stay("m1", until=swap, closing=D(90)), Stay("m2", since=swap, opening=D(0)))
    point.give(reading(0, 100), reading(1, 101), reading(3, 1, serial="m2"))
    [whole] = point.amounts(hours(0, 3))
    assert told(whole) == (2, "suspect", ("exchange", "unexplained_fall"))


def test_the_ratio_is_applied_once() -> None:
    [whole] = metered(100, 101.25).amounts(hours(0, 1))
    point = Point(Stay("m1", ratio=D(40)))
    point.give(reading(0, 100), reading(1, "101.25"))
    [scaled] = point.amounts(hours(0, 1))
    assert (whole.amount, scaled.amount, scaled.ratios) == (D("1.25"), D(50), (D(40),))


def test_a_change_of_the_ratio_splits_at_a_reading() -> None:
    change = START + 2 * HOUR
    point = Point(
        Stay("m1", until=change, ratio=D(20), closing=D(102)),
        Stay("m1", since=change, ratio=D(40), opening=D(102)),
    )
    point.give(reading(0, 100), reading(4, 105))
    [whole] = point.amounts(hours(0, 4))
    assert told(whole) == (2 * 20 + 3 * 40, "good", ("ratio_change",))
    assert whole.ratios == (D(20), D(40))


def counter(channel: str, *readings: tuple[float, float], slots: tuple[Slot, ...] = ()) -> Counter:
    """A counter with readings of kWh at hours after START."""
    marks = [mark(EPOCH_HOURS + hour, value) for hour, value in readings]
    return Counter(channel, LIMITS, tuple(Boundary(one.at, (one,), (one,)) for one in marks), slots=slots)


def zoned(total: list[tuple[float, float]] | None, *zones: list[tuple[float, float]], ratio: int = 1) -> Stretch:
    counters = tuple(counter(f"1.8.{n}", *marks) for n, marks in enumerate(zones, 1))
    if total is None:
        return Stretch("m1", ALWAYS, None, D(ratio), counters)
    return Stretch("m1", ALWAYS, None, D(ratio), (counter("1.8.0", *total),), counters)


def test_a_total_without_a_register_is_the_sum_of_its_zones() -> None:
    stretch = zoned(None, [(0, 10), (1, 11)], [(0, 20), (1, 22.5)], ratio=2)
    [whole] = consumption([stretch], hours(0, 1))
    assert told(whole) == (7, "good", ())
    assert (whole.begin_value, whole.end_value) == (None, None)


def test_zones_are_never_added_to_the_total() -> None:
    stretch = zoned([(0, 30), (1, 33.5)], [(0, 10), (1, 11)], [(0, 20), (1, 22.5)])
    assert told(consumption([stretch], hours(0, 1))[0]) == (D("3.5"), "good", ())


def test_one_silent_zone_leaves_the_total_unknown() -> None:
    [whole] = consumption([zoned(None, [(0, 10), (1, 11)], [])], hours(0, 1))
    assert told(whole) == (None, "missing", ("no_readings",))


def test_a_total_of_zones_known_for_different_times_is_as_complete_as_the_worst() -> None:
    [whole] = consumption([zoned(None, [(0, 10), (4, 14)], [(0, 20), (1, 22)])], hours(0, 4))
    assert told(whole) == (6, "good", ("gap",))
    assert whole.completeness == D("0.2500")


def test_zones_stand_in_for_a_total_register_that_says_nothing() -> None:
    stretch = zoned([], [(0, 10), (1, 11)], [(0, 20), (1, 22.5)])
    assert told(consumption([stretch], hours(0, 1))[0]) == (D("3.5"), "good", ("sum_of_zones",))
    partly = zoned([(0, 30), (3, 33)], [(0, 10), (10, 15)], [(0, 20), (10, 25)])
    assert told(consumption([partly], hours(0, 10))[0]) == (10, "good", ("sum_of_zones",))
    mostly = zoned([(0, 30), (6, 33)], [(0, 10), (10, 15)], [(0, 20), (10, 25)])
    assert told(consumption([mostly], hours(0, 10))[0]) == (3, "good", ("gap",))


def test_reactive_energy_has_its_own_unit() -> None:
    stretch = Stretch("m1", ALWAYS, None, D(1), (counter("3.8.0", (0, 1), (1, 2)),))
    assert consumption([stretch], hours(0, 1))[0].unit == "kvarh"


def test_a_profile_cuts_where_no_reading_is() -> None:
    base = EPOCH_HOURS * HOUR_MICROS
    slots = tuple(
        Slot(base + n * HOUR_MICROS, base + (n + 1) * HOUR_MICROS, 10**6 * (n + 1), HOUR_MICROS) for n in range(4)
    )
    stretch = Stretch("m1", ALWAYS, None, D(30), (counter("1.8.0", (0, 100), (4, 110), slots=slots),))
    found = consumption([stretch], hours(0, 1, 3, 4))
    assert [told(amount) for amount in found] == [(30, "good", ()), (150, "good", ()), (120, "good", ())]


def test_a_profile_alone_measures_what_it_recorded() -> None:
    base = EPOCH_HOURS * HOUR_MICROS
    slots = (
        Slot(base, base + HOUR_MICROS, 10**6, HOUR_MICROS),
        Slot(base + HOUR_MICROS, base + 2 * HOUR_MICROS, 2 * 10**6, HOUR_MICROS // 2),
    )
    stretch = Stretch("m1", ALWAYS, None, D(1), (counter("1.8.0", slots=slots),))
    first, second, third = consumption([stretch], hours(0, 1, 2, 3))
    assert told(first) == (1, "good", ())
    assert (told(second), second.completeness) == ((2, "good", ("gap",)), D("0.5000"))
    assert told(third)[:2] == (None, "missing")


def test_a_persons_reading_fills_the_silence_of_a_machine() -> None:
    point = metered(100, 101)
    point.give(reading(10 * 24, 301, source=Source.CONSUMER))
    [whole] = point.amounts(hours(0, 10 * 24))
    assert told(whole) == (201, "good", ())


def test_an_estimate_makes_estimated_amounts_until_a_fact_comes() -> None:
    point = metered(100, 101)
    point.give(reading(10 * 24, 301, source=Source.ESTIMATE))
    assert told(point.amounts(hours(0, 10 * 24))[0]) == (201, "estimated", ())
    point.give(reading(10 * 24, 250, source=Source.CONSUMER))
    assert told(point.amounts(hours(0, 10 * 24))[0]) == (150, "good", ())


def test_a_control_reading_without_decimals_between_automatic_ones_counts_nothing_twice() -> None:
    point = metered(100.2, 100.7, 101.2, 101.7)
    point.give(reading(1.5, 101, source=Source.INSPECTION), reading(2.5, 102, source=Source.INSPECTION))
    assert told(point.amounts(hours(0, 3))[0]) == (D("1.5"), "good", ())
    assert sum(a.amount or 0 for a in point.amounts(hours(0, 1, 1.5, 2, 2.5, 3))) == D("1.5")


def test_a_counter_that_breaks_all_the_time_says_so() -> None:
    unsteady = replace(counter("1.8.0", (0, 100), (1, 101)), unsteady=True)
    [whole] = consumption([Stretch("m1", ALWAYS, None, D(1), (unsteady,))], hours(0, 1))
    assert told(whole) == (1, "suspect", ("unsteady",))


def test_rounding_is_left_to_whoever_prints() -> None:
    point = Point(Stay("m1", ratio=D("1.732")), registers=[spec(decimals=6)])
    point.give(reading(0, "0.000001"), reading(1, "0.000002"))
    assert point.amounts(hours(0, 1))[0].amount == D("0.000001732")


def test_amounts_of_days_and_the_amount_of_all_of_them_agree() -> None:
    point = metered(*(100 + n * 0.37 for n in range(200)))
    cuts = [START + n * DAY for n in range(9)]
    days = point.amounts(cuts)
    [whole] = point.amounts([cuts[0], cuts[-1]])
    assert whole.amount == sum(day.amount or 0 for day in days)
