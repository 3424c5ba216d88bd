"""Points where meters come, go, come back and change their K, several times a day; the same for the same seed.

Some stays have what was written down at their ends, some have readings at the very instant, some have none at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random

from ingest.channel import to_micro
from ingest.consumption import Stretch
from ingest.instants import micros
from ingest.judge import limits_of
from ingest.model import Reading, Source
from tests.ingest import naive, selection
from tests.ingest.memory_store import spec
from tests.ingest.point import START, Point, Stay, reading

MINUTE = timedelta(minutes=1)
DIGITS = (4, 6)


@dataclass(slots=True)
class Stood:
    """One stay: `shown` what the counter had counted at each reading, wraps included; `opened` and `closed` alike."""

    serial: str
    since: datetime
    ratio: Decimal
    shown: dict[datetime, Decimal] = field(default_factory=dict)
    until: datetime | None = None
    opened: Decimal | None = None
    closed: Decimal | None = None


class _Counting:
    """One meter's counter, which goes on while it lies on a bench."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.value = Decimal(rng.choice(["0", "17.25", "990", "9999.5", "999_999.9"]))
        self.at = START

    def go_on(self, at: datetime, rates: Sequence[int]) -> Decimal:
        """What it has counted until an instant."""
        hours = Decimal((at - self.at) // MINUTE) / 60
        share = Decimal(self.rng.randrange(1000)) / 1000
        self.value += (self.rng.choice(rates) * share * hours).quantize(Decimal("0.001"))
        self.at = at
        return self.value


def stays_of(rng: Random) -> list[Stood]:
    """One to six stays of three meters, oldest first."""
    meters = {serial: _Counting(rng) for serial in "abc"}
    at, stays = START, list[Stood]()
    for _ in range(rng.randrange(1, 7)):
        serial = stays[-1].serial if stays and rng.random() < 0.35 else rng.choice("abc")
        at += rng.choice([0, 0, 0, 5, 60, 1440]) * MINUTE
        counter = meters[serial]
        one = Stood(serial, at, Decimal(rng.choice(["1", "20", "0.5", "1732.05"])))
        first = counter.go_on(at, [0, 0, 1])
        one.opened = first if rng.random() < 0.6 else None
        if rng.random() < 0.4:
            one.shown[at] = first
        for _ in range(rng.choice([0, 1, 1, 2, 5, 12])):
            at += rng.choice([1, 5, 30, 60, 60, 60, 360, 1440]) * MINUTE
            one.shown[at] = counter.go_on(at, [0, 0, 3, 14])
        if at == one.since or rng.random() < 0.6:
            at += rng.choice([1, 7, 59, 600]) * MINUTE
            counter.go_on(at, [0, 10])
        one.until = at
        one.closed = counter.value if rng.random() < 0.6 else None
        stays.append(one)
    if rng.random() < 0.4:
        stays[-1].until = stays[-1].closed = None
    for before, after in pairwise(stays):
        if _stays_on(before, after):
            before.closed = after.opened = after.opened if before.closed is None else before.closed
    return stays


def point_with(stays: Sequence[Stood], digits: int, rng: Random) -> Point:
    """The point of these stays, its readings given as the dice fall."""
    modulus = 10**digits
    wrapped = [
        Stay(one.serial, one.since, one.until, one.ratio, _shown(one.opened, modulus), _shown(one.closed, modulus))
        for one in stays
    ]
    point = Point(*wrapped, registers=[spec(digits=digits)])
    given: list[Reading] = [
        reading(at, value % modulus, serial=one.serial) for one in stays for at, value in one.shown.items()
    ]
    given = list({(one.meter, one.taken_at): one for one in given}.values())
    rng.shuffle(given)
    while given:
        size = rng.choice([1, 5, 50])
        point.give(*given[:size])
        del given[:size]
    return point


def _shown(value: Decimal | None, modulus: int) -> Decimal | None:
    return None if value is None else value % modulus


def _stays_on(before: Stood, after: Stood) -> bool:
    """Only the K changes between the two; what was written down counts on both sides then."""
    return before.serial == after.serial and before.until == after.since


def _reach(stays: Sequence[Stood], number: int) -> tuple[datetime, datetime | None]:
    """From when to when the readings of a stay's meter serve it: over changes of K where nobody wrote anything down."""
    joined = [_stays_on(a, b) and a.closed is None for a, b in pairwise(stays)]
    first = last = number
    while first and joined[first - 1]:
        first -= 1
    while last < len(joined) and joined[last]:
        last += 1
    return stays[first].since, stays[last].until


def stretches_of(point: Point, stays: Sequence[Stood], cuts: Sequence[datetime]) -> list[Stretch]:
    """What the cuts need of each stay that they touch, as `storage/stretches.py` selects it."""
    found = []
    for number, one in enumerate(stays):
        if one.since >= cuts[-1] or (one.until is not None and one.until <= cuts[0]):
            continue
        low, high = _reach(stays, number)
        ends = max(cuts[0], one.since), cuts[-1] if one.until is None else min(cuts[-1], one.until)
        counter = selection.counter(
            "1.8.0",
            limits_of(point.store.registers[one.serial, "1.8.0"]),
            selection.standing(point.history(one.serial), low, high),
            _breaks(point, one.serial, low, high),
            sorted({*(cut for cut in cuts if ends[0] <= cut <= ends[1]), *ends}),
            opening=_micro(one.opened, point, one.serial),
            closing=_micro(one.closed, point, one.serial),
        )
        found.append(Stretch(one.serial, one.since, one.until, one.ratio, (counter,)))
    return found


def _breaks(point: Point, serial: str, low: datetime, high: datetime | None) -> set[tuple[Source, int]]:
    number = point.store.registers[serial, "1.8.0"].id
    return {
        (source, at)
        for register, source, at in point.store.tables.watched
        if register == number and at > micros(low) and (high is None or at <= micros(high))
    }


def _micro(value: Decimal | None, point: Point, serial: str) -> int | None:
    digits = point.store.registers[serial, "1.8.0"].digits
    assert digits is not None
    return None if value is None else to_micro(value % 10**digits)


def known_of(stays: Sequence[Stood]) -> list[naive.Known]:
    """The same for the second implementation: what was shown when, without wraps."""
    known = []
    for number, one in enumerate(stays):
        low, high = _reach(stays, number)
        shown = {at: value for other in stays if other.serial == one.serial for at, value in other.shown.items()}
        events = {at: value for at, value in shown.items() if at >= low and (high is None or at <= high)}
        if one.opened is not None:
            events[one.since] = one.opened
        if one.closed is not None and one.until is not None:
            events[one.until] = one.closed
        ordered = sorted((at, to_micro(value)) for at, value in events.items())
        known.append(naive.Known(one.since, one.until, one.ratio, ordered))
    return known


def cuts_of(rng: Random, stays: Sequence[Stood]) -> list[datetime]:
    """Instants to cut at: ends of stays, readings, and any other minute."""
    marks = [at for one in stays for at in (*one.shown, one.since, one.until) if at is not None]
    begin, end = min(marks) - 60 * MINUTE, max(marks) + 4000 * MINUTE
    minutes = (end - begin) // MINUTE
    count = rng.choice([2, 3, 8, 30])
    return sorted(
        {rng.choice(marks) if rng.random() < 0.5 else begin + rng.randrange(minutes) * MINUTE for _ in range(count)}
    )
