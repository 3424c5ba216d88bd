"""What must hold for any readings in any order, whatever goes wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.consumption import Amount, Policy
from ingest.instants import micros
from ingest.model import Quality, Reading, Source
from tests.ingest.memory_store import spec
from tests.ingest.messy import MACHINE, MIXED, cuts_over, delivered, messy
from tests.ingest.point import HOUR, START, Point, Stay, hours, reading

SEEDS = st.integers(0, 2**32)
NO_LIMIT = Policy(gap_limit=timedelta(days=400))
"""Every cut between two readings is interpolated, so that no amount is left out for its gap."""

EVERYBODY = (*MIXED, Source.IMPORT, Source.OPERATOR)
sources = pytest.mark.parametrize("sources", [MACHINE, MIXED], ids=["machine", "machine and people"])


def some(seed: int, sources: tuple[Source, ...]) -> tuple[Random, list[Reading]]:
    rng = Random(seed)
    return rng, messy(rng, rng.choice([10, 30, 60]), faults=rng.choice([0, 0.03, 0.1]), sources=sources)


def total(amounts: Sequence[Amount]) -> Decimal:
    return sum((amount.amount for amount in amounts if amount.amount is not None), Decimal(0))


@sources
@given(seed=SEEDS)
def test_the_readings_around_the_cuts_say_the_same_as_all_readings(sources: tuple[Source, ...], seed: int) -> None:
    rng, readings = some(seed, sources)
    point = delivered(readings)
    cuts = hours(*cuts_over(rng, readings, rng.choice([2, 3, 6, 20])))
    policy = Policy(gap_limit=timedelta(days=rng.choice([1, 2, 400])), silence=timedelta(days=rng.choice([1, 2])))
    assert point.amounts(cuts, policy=policy) == point.amounts(cuts, policy=policy, dense=True)


@sources
@given(seed=SEEDS)
def test_adjacent_intervals_add_up_to_the_whole_also_across_requests(sources: tuple[Source, ...], seed: int) -> None:
    rng, readings = some(seed, sources)
    point = delivered(readings)
    cuts = cuts_over(rng, readings, 20)
    first = rng.randrange(len(cuts) - 1)
    last = rng.randrange(first + 1, len(cuts))
    parts = point.amounts(hours(*cuts), policy=NO_LIMIT)[first:last]
    [whole] = point.amounts(hours(cuts[first], cuts[last]), policy=NO_LIMIT)
    assert (whole.amount or 0) == total(parts)


@sources
@given(seed=SEEDS)
def test_neither_order_nor_batches_nor_repeats_matter(sources: tuple[Source, ...], seed: int) -> None:
    rng, readings = some(seed, sources)
    straight, shuffled = delivered(readings), delivered(readings, rng)
    assert straight.history() == shuffled.history()
    assert straight.store.tables.watched == shuffled.store.tables.watched
    cuts = hours(*cuts_over(rng, readings, 10))
    assert straight.amounts(cuts) == shuffled.amounts(cuts)


@given(seed=SEEDS)
def test_nor_do_they_where_people_stand_beside_two_machines(seed: int) -> None:
    rng, readings = some(seed, EVERYBODY)
    assert delivered(readings).history() == delivered(readings, rng).history()


@given(seed=SEEDS)
def test_nor_do_they_for_a_total_and_zones_of_other_decimals(seed: int) -> None:
    rng = Random(seed)
    decimals = {"1.8.0": rng.choice([0, 2, 3]), "1.8.1": rng.choice([0, 2, 3]), "1.8.2": rng.choice([0, 1, 3])}
    registers = [spec(channel, decimals=places) for channel, places in decimals.items()]
    readings = _of_zones(rng, decimals)
    straight, shuffled = delivered(readings, registers=registers), delivered(readings, rng, registers=registers)
    for channel in decimals:
        assert straight.history(channel=channel) == shuffled.history(channel=channel)


def _of_zones(rng: Random, decimals: Mapping[str, int]) -> list[Reading]:
    """A total and its two zones, by machine and people: some missing or wild, some totals not those of their zones."""
    counted = {"1.8.1": Decimal(rng.choice(["0", "500.123"])), "1.8.2": Decimal(rng.choice(["0", "70.987"]))}
    readings, hour = [], 0.0
    for _ in range(rng.choice([3, 8, 20])):
        hour += rng.choice([0.5, 1, 1, 5, 30])
        source = rng.choice([Source.AUTOMATIC, Source.AUTOMATIC, Source.CONSUMER])
        for channel in counted:
            counted[channel] += Decimal(rng.randrange(3000)) / 1000
        astray = rng.choice(["0.5", "3", "400"]) if rng.random() < 0.1 else "0"
        for channel, value in (*counted.items(), ("1.8.0", sum(counted.values()) + Decimal(astray))):
            shown = Decimal(rng.randrange(10**6)) if rng.random() < 0.05 else value
            if rng.random() < 0.9:
                cut = shown.quantize(Decimal(1).scaleb(-decimals[channel]), ROUND_DOWN)
                readings.append(reading(hour, cut, channel=channel, source=source))
    return readings


@sources
@given(seed=SEEDS)
def test_no_amount_is_more_than_the_register_can_take_or_less_than_nothing(
    sources: tuple[Source, ...], seed: int
) -> None:
    rng, readings = some(seed, sources)
    point = delivered(readings)
    slack = Decimal("0.002") if sources is MACHINE else Decimal(2)
    for amount in point.amounts(hours(*cuts_over(rng, readings, 8)), policy=NO_LIMIT):
        if amount.amount is not None:
            measured = Decimal((amount.end - amount.begin) / HOUR) * (amount.completeness + Decimal("0.0001"))
            assert 0 <= amount.amount <= 15 * measured + slack * (len(readings) + 1)


@given(seed=SEEDS)
def test_there_is_no_amount_without_two_believed_readings_around_it(seed: int) -> None:
    rng, readings = some(seed, MACHINE)
    point = delivered(readings)
    believed = [row.at for row in point.history() if row.quality is not Quality.SUSPECT]
    for amount in point.amounts(hours(*cuts_over(rng, readings, 12))):
        known = len(believed) > 1 and micros(amount.begin) < believed[-1] and micros(amount.end) > believed[0]
        assert known or (amount.amount is None and amount.quality is Quality.MISSING and amount.completeness == 0)
        assert (amount.amount is None) == (amount.quality is Quality.MISSING)


@given(seed=SEEDS)
def test_with_exchanges_ratios_and_rollovers_every_amount_is_the_truth_to_the_last_digit(seed: int) -> None:
    rng = Random(seed)
    point, readings, truth = _exchanged(rng)
    rng.shuffle(readings)
    while readings:
        size = rng.choice([1, 5, 50])
        point.give(*readings[:size])
        del readings[:size]
    cuts = sorted(truth)
    found = point.amounts(cuts)
    assert [amount.amount for amount in found] == [truth[b] - truth[a] for a, b in pairwise(cuts)]
    assert {amount.quality for amount in found} == {Quality.GOOD}
    [whole] = point.amounts([cuts[0], cuts[-1]])
    assert (whole.amount, whole.completeness) == (truth[cuts[-1]] - truth[cuts[0]], Decimal("1.0000"))


def _exchanged(rng: Random) -> tuple[Point, list[Reading], dict[datetime, Decimal]]:
    """A point with several meters one after the other, their readings, and what was consumed at every instant."""
    at, consumed = START, Decimal(0)
    stays: list[Stay] = []
    readings: list[Reading] = []
    truth: dict[datetime, Decimal] = {}
    truth[at] = consumed
    for number in range(rng.randrange(1, 4)):
        serial, ratio = f"m{number}", Decimal(rng.choice(["1", "20", "0.5", "1732.05"]))
        counted = opening = Decimal(rng.choice(["0", "17.25", "9990", "9999.9"]))
        since = at
        for _ in range(rng.randrange(1, 30)):
            at += rng.choice([0.5, 1, 7, 40]) * HOUR
            step = Decimal(rng.randrange(0, 4000)) / 1000 if rng.random() < 0.8 else Decimal(0)
            counted, consumed = counted + step, consumed + step * ratio
            readings.append(reading(at, counted % 10_000, serial=serial))
            truth[at] = consumed
        stays.append(Stay(serial, since, at, ratio, opening, counted % 10_000))
    point = Point(*stays, registers=[spec(digits=4)])
    return point, readings, truth


@given(seed=SEEDS)
def test_a_correction_changes_exactly_the_intervals_it_touches(seed: int) -> None:
    rng = Random(seed)
    values = [1000.0]
    for _ in range(12):
        values.append(values[-1] + rng.randrange(50, 300))
    point = Point()
    for number, value in enumerate(values):
        point.give(reading(number * 720, value, source=Source.CONSUMER))
    cuts = hours(*(number * 720 for number in range(13)))
    before = point.amounts(cuts)
    place, change = rng.randrange(1, 12), rng.choice([-20, -1, 1, 20])
    point.give(reading(place * 720, values[place] + change, source=Source.CONSUMER))
    after = point.amounts(cuts)
    moved = [(b.amount or 0) - (a.amount or 0) for a, b in zip(before, after, strict=True)]
    assert moved == [change if n == place - 1 else -change if n == place else 0 for n in range(12)]


FAULTS: dict[str, Callable[[Random, Decimal], list[Decimal]]] = {
    "a wild value": lambda rng, level: [Decimal(rng.choice([rng.randrange(999_999), 0]))],
    "a spike to zero": lambda rng, level: [Decimal(0)],
    "a block of zeros": lambda rng, level: [Decimal(0)] * rng.randrange(2, 40),
    "a stuck block": lambda rng, level: [level] * rng.randrange(2, 40),
    "the values of another meter": lambda rng, level: [Decimal(n + 70_000) for n in range(rng.randrange(1, 40))],
}


@pytest.mark.parametrize("kind", FAULTS)
@given(seed=SEEDS)
def test_after_two_good_readings_a_fault_is_forgotten(kind: str, seed: int) -> None:
    """The meter counts on behind the fault: what follows is believed, and the total is the truth."""
    rng = Random(seed)
    steps = [Decimal(rng.randrange(1, 3000)) / 1000 for _ in range(60)]
    level = Decimal(rng.choice([500, 20_000]))
    counted = [level + sum(steps[:n], Decimal(0)) for n in range(60)]
    fault = FAULTS[kind](rng, counted[4])
    shown = [*counted[:5], *fault, *counted[5 + len(fault) : 7 + len(fault)]]
    point = Point()
    for number, value in enumerate(shown):
        point.give(reading(number, value))
    rows = point.history()
    assert [row.quality for row in rows[-2:]] == [Quality.GOOD] * 2
    assert [row.quality for row in rows[:5]] == [Quality.GOOD] * 5
    [whole] = point.amounts(hours(0, len(shown) - 1))
    assert (whole.amount, whole.quality) == (counted[len(shown) - 1] - counted[0], Quality.GOOD)


@given(seed=SEEDS)
def test_after_two_readings_a_restart_from_zero_is_believed_and_only_its_step_is_not_known(seed: int) -> None:
    rng = Random(seed)
    steps = [Decimal(rng.randrange(1, 3000)) / 1000 for _ in range(20)]
    counted = [Decimal(20_000) + sum(steps[:n], Decimal(0)) for n in range(10)]
    again = [sum(steps[10:n], Decimal(0)) for n in range(11, 13)]
    point = Point()
    for number, value in enumerate([*counted, *again]):
        point.give(reading(number, value))
    assert {row.quality for row in point.history()} == {Quality.GOOD}
    [whole] = point.amounts(hours(0, 11))
    assert whole.amount == counted[-1] - counted[0] + again[-1] - again[0]
    assert (whole.quality, whole.reasons) == (Quality.SUSPECT, ("unexplained_fall",))
    [after] = point.amounts(hours(10, 11))
    assert (after.amount, after.quality) == (again[1] - again[0], Quality.GOOD)
