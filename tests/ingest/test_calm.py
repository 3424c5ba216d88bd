"""The short way to an amount says exactly what the long one says, and is taken where nothing is remarkable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import consumption as engine
from ingest.calm import calm_runs
from ingest.consumption import Amount, Boundary, Policy, Stretch
from ingest.counting import good
from ingest.instants import micros, span
from ingest.model import Reading, Source
from tests.ingest.memory_store import spec
from tests.ingest.messy import MACHINE, MIXED, cuts_over, delivered, messy
from tests.ingest.point import HOUR, START, Point, Stay, hours, reading


def long_way(stretches: list[Stretch], cuts: list[datetime], policy: Policy | None = None) -> Sequence[Amount]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_calm", lambda *_: [])
        patch.setattr(engine, "_narrowed", lambda stretch, _: stretch)
        return engine.consumption(stretches, cuts, policy)


def taken(point: Point, cuts: list[datetime], limit: timedelta = timedelta(days=1)) -> list[tuple[int, int]]:
    """The numbers of the first and the last cut of every run that needs no closer look."""
    [stretch] = point.stretches(cuts)
    instants = [micros(cut) for cut in cuts]
    until = instants[-1] if stretch.until is None else micros(stretch.until)
    runs = calm_runs(stretch.counters[0], micros(stretch.since), until, instants, span(limit))
    return [(run.first, run.first + len(run.shown) - 1) for run in runs]


@pytest.mark.parametrize("sources", [MACHINE, MIXED], ids=["machine", "machine and people"])
@given(seed=st.integers(0, 2**32))
def test_both_ways_say_the_same_of_anything(sources: tuple[Source, ...], seed: int) -> None:
    rng = Random(seed)
    readings = messy(rng, rng.choice([10, 30, 60]), faults=rng.choice([0, 0, 0.02]), sources=sources)
    cuts = hours(*cuts_over(rng, readings, rng.choice([2, 3, 6, 20])))
    policy = Policy(gap_limit=timedelta(days=rng.choice([1, 2, 400])), distribute=rng.random() < 0.3)
    stretches = delivered(readings).stretches(cuts)
    assert engine.consumption(stretches, cuts, policy) == long_way(stretches, cuts, policy)


def polled(*values: float, late: int = 0, source: Source = Source.AUTOMATIC) -> list[Reading]:
    return [
        reading(START + n * HOUR + late * timedelta(seconds=1), value, source=source) for n, value in enumerate(values)
    ]


@pytest.mark.parametrize("late", [0, 47])
@pytest.mark.parametrize("ratio", [Decimal(1), Decimal("19.5")])
def test_a_sound_register_takes_the_short_way(late: int, ratio: Decimal) -> None:
    point = Point(Stay("m1", ratio=ratio))
    point.give(*polled(*[100 + n / 8 for n in range(50)], late=late))
    cuts = hours(*range(1, 48))
    assert taken(point, cuts) == [(0, 46)]
    assert point.amounts(cuts) == long_way(point.stretches(cuts), cuts)
    assert {amount.amount for amount in point.amounts(cuts)} == {ratio / 8}
    assert {bool(amount.reasons) for amount in point.amounts(cuts)} == {late > 0}


def test_whatever_is_remarkable_takes_the_long_way() -> None:
    cuts = hours(*range(1, 20))
    steady = [100 + n / 8 for n in range(30)]
    rolled = Point(registers=(spec(digits=3),))
    rolled.give(*polled(*[(995 + n) % 1000 for n in range(30)]))
    fallen = Point()
    fallen.give(*polled(*steady[:10], *steady[:20]))
    typed = Point()
    typed.give(*polled(*steady, source=Source.CONSUMER))
    beside = Point()
    beside.give(*polled(*steady))
    beside.give(reading(5.25, "100.7", source=Source.CONSUMER))
    for point in (rolled, fallen, typed, beside):
        assert not taken(point, cuts, timedelta(hours=3))
        assert point.amounts(cuts) == long_way(point.stretches(cuts), cuts)


def test_only_what_is_remarkable_takes_the_long_way() -> None:
    cuts = hours(*range(1, 20))
    steady = [100 + n / 8 for n in range(30)]
    silent = Point()
    silent.give(*polled(*steady[:7]), *[reading(hour, steady[hour]) for hour in range(12, 30)])
    ended = Point()
    ended.give(*polled(*steady[:9]))
    opened = Point(Stay("m1", since=START + HOUR, opening=Decimal(90)))
    opened.give(*polled(*steady))
    taken_down = Point(Stay("m1", until=START + 9 * HOUR, closing=Decimal(130)))
    taken_down.give(*polled(*steady))
    part = Point(Stay("m1", since=START + 5 * HOUR, until=START + 12 * HOUR))
    part.give(*polled(*steady))
    for point, runs in (
        (silent, [(0, 5), (11, 18)]),
        (ended, [(0, 7)]),
        (opened, [(1, 18)]),
        (taken_down, [(0, 7)]),
        (part, [(4, 11)]),
    ):
        assert taken(point, cuts, timedelta(hours=3)) == runs
        amounts = point.amounts(cuts, policy=Policy(gap_limit=timedelta(hours=3)))
        assert amounts == long_way(point.stretches(cuts), cuts, Policy(gap_limit=timedelta(hours=3)))
        assert [amounts[n] for n in range(-18, 18)] == 2 * list(amounts)
        assert amounts[3:15:2] == list(amounts)[3:15:2]


@given(seed=st.integers(0, 2**32))
def test_both_ways_say_the_same_of_a_meter_put_up_and_taken_down(seed: int) -> None:
    rng = Random(seed)
    readings = messy(rng, rng.choice([10, 30, 60]), faults=0)
    ends = sorted(rng.sample([one.taken_at for one in readings], 2))
    values = [one.value for one in readings]
    since, until = (end + rng.choice([-1, 0, 0, 1]) * timedelta(minutes=rng.randrange(50)) for end in ends)
    opening, closing = (rng.choice([None, rng.choice(values), value]) for value in (Decimal(1), Decimal(900_000)))
    stay = Stay("m1", since, rng.choice([None, max(until, since + HOUR)]), Decimal(rng.choice(["1", "12.5"])), opening)
    if stay.until is not None:
        stay = replace(stay, closing=closing)
    point = Point(stay)
    point.give(*readings)
    cuts = hours(*cuts_over(rng, readings, rng.choice([3, 6, 20, 50])))
    policy = Policy(gap_limit=timedelta(days=rng.choice([1, 2, 400])), distribute=rng.random() < 0.3)
    stretches = point.stretches(cuts)
    assert engine.consumption(stretches, cuts, policy) == long_way(stretches, cuts, policy)


def test_a_reading_the_breaks_do_not_tell_of_is_not_jumped_over() -> None:
    cuts = hours(*range(1, 20))
    point = Point()
    point.give(*polled(*[100 + n / 8 for n in range(30)]))
    [stretch] = point.stretches(cuts)
    [counter] = stretch.counters
    odd = [
        Boundary(micros(cuts[0]), (good(micros(START), 999_000_000, Source.AUTOMATIC),), counter.boundaries[0].after),
        Boundary(micros(cuts[-1]), (good(micros(cuts[-1]) - 1, 5_000_000, Source.AUTOMATIC),), ()),
    ]
    for boundary in odd:
        kept = [one for one in counter.boundaries if one.at != boundary.at]
        changed = [replace(stretch, counters=(replace(counter, boundaries=(*kept, boundary)),))]
        assert not calm_runs(changed[0].counters[0], 0, micros(cuts[-1]), [micros(cut) for cut in cuts], span(HOUR))
        assert engine.consumption(changed, cuts) == long_way(changed, cuts)


@given(seed=st.integers(0, 2**32))
def test_both_ways_say_the_same_of_a_total_with_its_zones(seed: int) -> None:
    rng = Random(seed)
    channels = ["1.8.0", "1.8.1", "1.8.2"]
    point = Point(registers=[spec(channel) for channel in channels])
    for channel in channels:
        found = messy(rng, rng.choice([5, 20, 40]), faults=rng.choice([0, 0, 0, 0.05]))
        point.give(*(replace(one, channel=channel) for one in found))
    cuts = hours(*cuts_over(rng, found, rng.choice([3, 10, 40])))
    total, *zones = (point.counter(channel, cuts) for channel in channels)
    stretches = [Stretch("m1", START, None, Decimal(1), (total,), tuple(zones))]
    policy = Policy(gap_limit=timedelta(hours=rng.choice([3, 24, 400])), distribute=rng.random() < 0.3)
    assert engine.consumption(stretches, cuts, policy) == long_way(stretches, cuts, policy)
