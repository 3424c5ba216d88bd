"""Series of readings with everything that goes wrong with them, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ingest.model import Reading, RegisterSpec, Source
from tests.ingest.memory_store import spec
from tests.ingest.point import HOUR, START, Point, reading

MACHINE = (Source.AUTOMATIC,)
MIXED = (Source.AUTOMATIC, Source.AUTOMATIC, Source.CONSUMER)


class _Faults:
    """One fault at a time, for one or more readings."""

    def __init__(self, rng: Random, share: float) -> None:
        self.rng = rng
        self.share = share
        self.kind = ""
        self.left = 0
        self.stuck_at = 0.0
        self.other = 0.0

    def apply(self, counted: float) -> tuple[float, float]:
        """(what the counter has from now on, what is shown of it)."""
        if self.left == 0 and self.rng.random() < self.share:
            self.kind = self.rng.choice(["spike", "zero", "stuck", "other meter", "restart", "jump"])
            self.left = self.rng.choice([1, 1, 1, 2, 3, 5, 9, 15])
            self.stuck_at, self.other = counted, self.rng.randrange(900_000)
            if self.kind in ("restart", "jump"):
                self.left = 0
                counted = self.rng.random() if self.kind == "restart" else counted + self.rng.choice([60, 400, 5000])
        if self.left == 0:
            return counted, counted
        self.left -= 1
        shown = {
            "spike": float(self.rng.randrange(999_999)),
            "zero": 0.0,
            "stuck": self.stuck_at,
            "other meter": self.other + counted % 1000,
        }
        return counted, shown[self.kind]


def messy(rng: Random, count: int, *, faults: float, sources: Sequence[Source] = MACHINE) -> list[Reading]:
    """Readings at growing instants, of a six-digit counter that moves at most 14 kWh an hour when nothing is wrong."""
    fault = _Faults(rng, faults)
    hour, counted = 0.0, rng.choice([100.0, 5000.0, 999_950.0])
    readings = []
    for _ in range(count):
        passed = rng.choice([0.25, 0.5, 1, 1, 1, 2, 5]) if rng.random() < 0.97 else rng.choice([30, 60, 100])
        hour += passed
        counted += rng.choice([0.0, 0.0, rng.random() * 3, rng.random() * 14]) * passed
        counted, shown = fault.apply(round(counted, 3))
        source = rng.choice(sources)
        value = round(shown, 3) % 10**6
        if source.by_person and rng.random() < 0.7:
            value = float(int(value))
        readings.append(reading(hour, round(value, 3), source=source))
    return readings


def delivered(
    readings: Sequence[Reading], rng: Random | None = None, registers: Sequence[RegisterSpec] = (spec(),)
) -> Point:
    """A point that got these readings: in order, seven at a time, or as the dice fall and some of them twice."""
    point = Point(registers=registers)
    given = list(readings)
    if rng is not None:
        rng.shuffle(given)
        given += rng.sample(given, len(given) // 3)
    while given:
        size = 7 if rng is None else rng.choice([1, 1, 3, 10])
        point.give(*given[:size])
        del given[:size]
    return point


def cuts_over(rng: Random, readings: Sequence[Reading], count: int) -> list[float]:
    """Hours after START to cut at, at and between the readings and a little beyond them."""
    end = (readings[-1].taken_at - START) / HOUR
    found = {rng.uniform(-5, end + 10) if rng.random() < 0.3 else rng.randrange(0, int(end) + 5) for _ in range(count)}
    return sorted(found)
