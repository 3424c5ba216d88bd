"""Two real households against a second, naive implementation; readings are lost, repeated, shuffled and damaged."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

import simulators.shapes
from ingest.calendar_cuts import Step, cuts
from ingest.consumption import Policy
from ingest.model import Quality, Reading
from tests.ingest import naive
from tests.ingest.memory_store import spec
from tests.ingest.point import Point, Stay

LIMIT = timedelta(days=2)


class Household(NamedTuple):
    """The energy of a real household: the register before each hour from `start`, in Wh."""

    start: datetime
    totals: list[int]

    def shown(self, at: datetime) -> int:
        """The display at an instant, whole Wh as millionths of kWh: inside an hour it counts evenly."""
        hour, inside = divmod(at - self.start, timedelta(hours=1))
        before, after = self.totals[hour], self.totals[hour + 1]
        return (before + (after - before) * (inside // timedelta(seconds=1)) // 3600) * 1000


@lru_cache
def household(name: str) -> Household:
    path = Path(simulators.shapes.__path__[0]) / f"household-{name}-hourly.csv.gz"
    with gzip.open(path, "rt", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    energies = [round(Decimal(row["value"]) * 1000) for row in rows]
    start = datetime.fromisoformat(rows[0]["start"]).astimezone(UTC)
    return Household(start, [12_345_678, *accumulate(energies, initial=12_345_678)][1:])


def readings_of(home: Household, minutes: int, count: int) -> list[naive.Event]:
    step = timedelta(minutes=minutes)
    return [(at, home.shown(at)) for at in (home.start + number * step for number in range(count))]


def as_reading(event: naive.Event) -> Reading:
    at, micro = event
    return Reading("m1", "1.8.0", at, Decimal(micro).scaleb(-6))


def damaged(rng: Random, value: int) -> int:
    """What a wire, a gateway or a meter makes of a value: far from anything it can be."""
    return rng.choice([0, value * 10, value + 10**11, value // 3, 4_294_967_295_000 % 10**12, rng.randrange(10**12)])


def spoiled(rng: Random, events: list[naive.Event]) -> tuple[list[naive.Event], list[naive.Event]]:
    """(what is delivered and in which order, what of it is true): 5 % lost, 5 % damaged, 5 % twice, all shuffled."""
    delivered, true = [], []
    for number, (at, value) in enumerate(events):
        dice = rng.random()
        inner = 3 < number < len(events) - 4
        if dice < 0.05 and inner:
            continue
        if dice < 0.10 and inner:
            delivered.append((at, damaged(rng, value)))
            continue
        delivered += [(at, value)] * (2 if dice < 0.15 else 1)
        true.append((at, value))
    rng.shuffle(delivered)
    return delivered, true


def point_with(events: list[naive.Event]) -> Point:
    point = Point(Stay("m1"), registers=[spec(rate="40")])
    for number in range(0, len(events), 2000):
        point.give(*(as_reading(event) for event in events[number : number + 2000]))
    return point


CASES = [(name, minutes, count) for name in "ab" for minutes, count in ((1, 5000), (15, 7000), (30, 7000), (60, 7000))]


@pytest.mark.parametrize(("name", "minutes", "count"), CASES)
def test_the_same_as_a_naive_implementation(name: str, minutes: int, count: int) -> None:
    home = household(name)
    zone = ZoneInfo({"a": "America/Chicago", "b": "Europe/Volgograd"}[name])
    delivered, true = spoiled(Random(f"{name}{minutes}"), readings_of(home, minutes, count))
    point = point_with(delivered)
    assert [row.at for row in point.history() if row.quality is Quality.GOOD] == [
        int(at.timestamp() * 10**6) for at, _ in true
    ]
    for unit in ("hour", "day", "month"):
        borders = naive.borders(true[0][0], true[-1][0], zone, unit)
        if len(borders) < 2:
            continue
        asked = cuts(borders[0], borders[-1], Step(unit), zone)
        assert asked == borders
        expected = naive.consumed(true, borders, max(LIMIT, 1.5 * timedelta(hours=1)))
        found = point.amounts(asked, policy=Policy(gap_limit=LIMIT))
        assert [amount.amount and int(amount.amount.scaleb(6)) for amount in found] == expected, unit
        assert min(amount.completeness for amount in found) == 1


@pytest.mark.parametrize("name", ["a", "b"])
def test_clean_readings_give_the_true_curve_itself(name: str) -> None:
    home = household(name)
    events = readings_of(home, 60, 24 * 400)
    point = point_with(events)
    days = [home.start + timedelta(days=number) for number in range(400)]
    found = point.amounts(days)
    truth = [home.shown(b) - home.shown(a) for a, b in pairwise(days)]
    assert [amount.amount and int(amount.amount.scaleb(6)) for amount in found] == truth
    assert {(amount.quality, amount.reasons) for amount in found} == {(Quality.GOOD, ())}
