"""The short way to an amount says exactly what the long one says, and is taken where nothing is remarkable."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import consumption as engine
from ingest.calm import shown_at
from ingest.consumption import Amount, Policy, Stretch
from ingest.instants import micros, span
from ingest.model import Reading, Source
from tests.ingest.memory_store import spec
from tests.ingest.messy import MACHINE, MIXED, cuts_over, delivered, messy
from tests.ingest.point import HOUR, START, Point, Stay, hours, reading


def long_way(stretches: list[Stretch], cuts: list[datetime], policy: Policy | None = None) -> list[Amount]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_calm", lambda *_: None)
        return engine.consumption(stretches, cuts, policy)


def taken(point: Point, cuts: list[datetime], limit: timedelta = timedelta(days=1)) -> bool:
    [stretch] = point.stretches(cuts)
    instants = [micros(cut) for cut in cuts]
    return shown_at(stretch.counters[0], instants, span(limit)) is not None


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
    assert taken(point, cuts)
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
    late = Point()
    late.give(*polled(*steady[:5]), reading(60, "120"))
    opened = Point(Stay("m1", since=START, opening=Decimal(90)))
    opened.give(*polled(*steady))
    for point in (rolled, fallen, typed, beside, late, opened):
        assert not taken(point, cuts, timedelta(hours=3))
    part = Point(Stay("m1", since=START + 5 * HOUR))
    part.give(*polled(*steady))
    for point in (rolled, fallen, typed, beside, late, opened, part):
        assert point.amounts(cuts) == long_way(point.stretches(cuts), cuts)
