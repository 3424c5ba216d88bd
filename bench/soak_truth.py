"""What is stored, beside what the meters held, the concentrators had to say and the person entered."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from bench.soak_deeds import Deed
from bench.soak_gateway import Concentrator, Person
from bench.soak_house import PERIOD, POINT, House
from ingest.channel import from_micro, unit_of
from simulators.meter import Meter
from simulators.street_fleet import HISTORY_METER
from storage.database import Database
from storage.missed import NOT_ASKED

_STORED = """
SELECT m.serial, r.channel, x.taken_at, x.value FROM reading x
JOIN register r ON r.id = x.register_id JOIN meter m ON m.id = r.meter_id
"""
_MISSED = "SELECT m.serial, k.failure, k.since, k.until FROM missed_poll k JOIN meter m ON m.id = k.meter_id"
_QUARANTINE = "SELECT reason, detail, times FROM quarantine"

DISPLAYS = {"kWh": "0.006", "kvarh": "0.006", "V": "0.06", "A": "0.006", "W": "0.6", "Hz": "0.006"}
"""Half of what the coarsest of the models shows of a quantity."""

CLOSE, LATE = 0.3, 2.0
"""Seconds between the beginning of a poll and its answer: usually at most, and at most under delay."""

HELD_IN_HAND = 6.0
"""Seconds after which an answer is durable: the door's patience with the database, and the spool's disk."""

Held = Sequence[tuple[float, float, str]]
"""Stretches of missed polls: since, until (seconds), cause."""


@dataclass
class Found:
    """Counts, and the first examples of what is not right."""

    checked: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    miscaused: list[str] = field(default_factory=list)
    empty: Counter[str] = field(default_factory=Counter)
    slots: int = 0
    in_hand: int = 0
    """Polls that were answered to a collector which was killed before they counted as done: listed, not lost."""
    waiting: int = 0
    """Readings that concentrators still hold: not lost, but of them the run has shown nothing."""
    unheard: int = 0
    """Answers that never reached the collector, listed as what it saw: a timeout, a lost line."""

    @property
    def failed(self) -> bool:
        return bool(self.lost or self.doubled or self.wrong or self.miscaused)


async def check(
    house: House,
    senders: Sequence[Concentrator],
    person: Person,
    deeds: Sequence[Deed],
    begun: datetime,
    until: datetime,
) -> Found:
    """Everything that is stored, and everything that should be."""
    found = Found()
    sent = {key: value for sender in senders for key, value in sender.sent.items()}
    typed = dict(person.stored)
    polled: dict[str, set[float]] = defaultdict(set)
    values = Values(house)
    async for serial, channel, taken_at, micro in _rows(house.database, _STORED):
        value = from_micro(micro)
        if serial in house.street.units:
            polled[serial].add(taken_at.timestamp())
            found.checked["polled"] += 1
            if not values.could_be(serial, channel, taken_at, value):
                found.wrong.append(f"{serial} {channel} {taken_at}: stored {value}, which the meter did not show")
        elif serial == HISTORY_METER:
            _take(found, "typed", typed, taken_at, value)
        else:
            _take(found, "pushed", sent, (serial, channel, taken_at), value)
    held = set().union(*(sender.keys_held() for sender in senders))
    found.waiting = len(held & sent.keys())
    found.lost += [f"pushed and confirmed, not stored: {key}" for key in sent.keys() - held]
    found.lost += [f"entered at {POINT} and answered, not stored: {at}" for at in typed]
    missed: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    async for serial, cause, since, last in _rows(house.database, _MISSED):
        missed[serial].append((since.timestamp(), last.timestamp(), cause))
    for serial, line in _lines(house).items():
        around = Around(deeds, line, house.parts["collector"].ends, house.watched.late)
        _polls(found, house, serial, sorted(polled[serial]), missed[serial], around, begun, until)
    return found


async def quarantined(database: Database) -> list[tuple[str, str, int]]:
    """Everything that could not become a reading: nothing should."""
    return [row async for row in _rows(database, _QUARANTINE)]


async def _rows(database: Database, query: str) -> Any:
    async with database.connection() as conn:
        await conn.execute("SET LOCAL statement_timeout = 0")
        async with conn.cursor(name="soak") as cursor:
            cursor.itersize = 20_000
            await cursor.execute(query.encode())
            async for row in cursor:
                yield row


def _take(found: Found, what: str, truth: dict[Any, Decimal], key: Any, value: Decimal) -> None:
    found.checked[what] += 1
    expected = truth.pop(key, None)
    if expected is None:
        found.doubled.append(f"{what} {key}: stored again, or never sent")
    elif expected != value:
        found.wrong.append(f"{what} {key}: stored {value}, sent {expected}")


def _lines(house: House) -> dict[str, str]:
    return {one.meter.serial: one.line for one in house.street.spec.meters if one.line is not None}


class Values:
    """What the meters showed at each second."""

    def __init__(self, house: House) -> None:
        self._meters: dict[str, Meter] = house.street.meters
        self._at = lru_cache(maxsize=4096)(self._shown)

    def _shown(self, serial: str, second: int) -> dict[str, Decimal]:
        return self._meters[serial].values(datetime.fromtimestamp(second, UTC))

    def could_be(self, serial: str, channel: str, taken_at: datetime, value: Decimal) -> bool:
        """Whether the meter showed it within what delays and a wrong clock may have been."""
        slack = Decimal(DISPLAYS.get(unit_of(channel), "0.0006")) + abs(value) / 1_000_000
        second = int(taken_at.timestamp())
        for off in (0, 1, -1, 2, -2, 3, -3, 4):
            if abs(self._at(serial, second + off).get(channel, Decimal(0)) - value) <= slack:
                return True
        return False


class Around:
    """What was done near an instant that explains why a poll of a line came to nothing."""

    def __init__(
        self, deeds: Sequence[Deed], line: str, ends: Sequence[datetime], late: Sequence[tuple[float, float]]
    ) -> None:
        self._ends = sorted(end.timestamp() for end in ends)
        self.spans = spans = [(deed.since.timestamp(), deed.until.timestamp(), deed.fault) for deed in deeds]
        self._stops = [(a, b) for a, b, fault in spans if fault.kind == "SIGSTOP" and fault.target == "collector"]
        self._ways = [(a, b) for a, b, fault in spans if fault.target == line or fault.kind == "meter"] + self._stops
        self._frozen = [(a, b) for a, b, fault in spans if fault.target == line and fault.kind == "network freeze"]
        self._late = late
        self._disk = [(a, b) for a, b, fault in spans if fault.kind == "disk full"]
        self._steps = [(a, b, fault.value) for a, b, fault in spans if fault.kind == "clock step"]

    def killed_after(self, at: float, within: float = HELD_IN_HAND) -> bool:
        """The collector ended with what it had heard then in hand."""
        stopped = sum(min(b, at + 20) - max(a, at) for a, b in self._stops if b > at and a < at + 20)
        first = bisect_left(self._ends, at - 0.5)
        return first < len(self._ends) and self._ends[first] <= at + within + stopped

    def disturbed(self, at: float, before: float = 5.0, after: float = 3.0) -> bool:
        """The way to the meter, the meter or the collector was; or nobody here got a turn just then."""
        return any(a - after <= at <= b + before for a, b in self._ways) or any(
            a - 1 <= at <= b + 1 for a, b in self._late
        )

    def asked_since(self, at: float) -> float:
        """When what was answered then may have been asked at the earliest: a thawed line brings old questions."""
        return min([at, *(a for a, b in self._frozen if a <= at <= b + 1)])

    def disk_full(self, at: float) -> bool:
        return any(a - 10 <= at <= b + 20 for a, b in self._disk)

    def steps(self, at: float) -> list[float]:
        """By how much the collector's clock may have been wrong then."""
        return [0.0, *(value for a, b, value in self._steps if a - 3 <= at <= b + 3)]


def _polls(
    found: Found, house: House, serial: str, stored: list[float], missed: Held, around: Around,
    begun: datetime, until: datetime,
) -> None:  # fmt: skip
    """Each answered poll is stored once, or listed; each slot of the schedule is filled, or listed with its cause."""
    answered = [at for at in house.watched.polls(serial) if begun.timestamp() <= at < until.timestamp()]
    left = list(stored)
    alone = unmatched(left, answered, around.steps, CLOSE)
    for at in unmatched(left, alone, around.steps, LATE):
        steps = around.steps(at)  # what is listed has the same clock as what is stored
        since = around.asked_since(at) - 1.0
        cause = next(filter(None, (_cause(missed, since + step, at + step + 0.2) for step in steps)), None)
        if around.killed_after(at) or (around.disk_full(at) and around.killed_after(at, 60.0)):
            found.in_hand += 1  # of a poll that the full disk refused it could tell nobody any more
        elif cause is not None and cause.startswith("spool") and around.disk_full(at):
            found.empty["refused by a full disk"] += 1
        elif cause is not None and around.disturbed(at):
            found.unheard += 1
        else:
            found.lost.append(
                f"{serial} answered at {datetime.fromtimestamp(at, UTC)}: not stored, cause {cause}; "
                + _beside(at, stored, answered, missed, around)
            )
    for at in left:
        if begun.timestamp() + 5 < at < until.timestamp() - 5 and not house.watched.asked_between(
            serial, at - 3, at + 6
        ):
            found.doubled.append(f"{serial} {datetime.fromtimestamp(at, UTC)}: stored, though the meter was not asked")
    _slots(found, stored, missed, around, serial, begun, until)


def _beside(at: float, stored: Sequence[float], answered: Sequence[float], missed: Held, around: Around) -> str:
    """What else was there, in seconds from it: for whoever looks for the reason."""

    def near(instants: Sequence[float]) -> list[float]:
        return [round(one - at, 2) for one in instants if abs(one - at) < 7]

    listed = [(round(a - at, 1), round(b - at, 1), cause) for a, b, cause in missed if a - 7 < at < b + 7]
    done = [
        (fault.kind, fault.target, fault.value, round(a - at, 1), round(b - at, 1))
        for a, b, fault in around.spans
        if a - 20 < at < b + 20
    ]
    return f"stored {near(stored)}, answered {near(answered)}, listed {listed}, done {done}"


def unmatched(
    stored: list[float], answered: Sequence[float], steps: Callable[[float], Sequence[float]], late: float
) -> list[float]:
    """The answers that no stored instant is that of; the others' instants are taken out of `stored`.

    Each instant is one answer's, and as many answers as can be have one: where the clock was stepped, an answer and its
    neighbour may both have been stored where the other would be looked for, so whoever takes the nearest may be wrong.
    """
    taken: dict[int, float] = {}
    alone = [at for at in answered if not _take_one(stored, at, steps, late, taken, set())]
    for place in sorted(taken, reverse=True):
        del stored[place]
    return alone


def _take_one(
    stored: Sequence[float], at: float, steps: Callable[[float], Sequence[float]], late: float,
    taken: dict[int, float], tried: set[int],
) -> bool:  # fmt: skip
    """Find an instant for this answer; whoever has it may have to find another."""
    for place in _places(stored, at, steps(at), late):
        if place in tried:
            continue
        tried.add(place)
        if place not in taken or _take_one(stored, taken[place], steps, late, taken, tried):
            taken[place] = at
            return True
    return False


def _places(stored: Sequence[float], at: float, steps: Sequence[float], late: float) -> list[int]:
    """Where this answer's instant may stand, the nearest first: its poll began at most so many seconds before it."""
    off: dict[int, float] = {}
    for step in steps:
        for place in range(bisect_left(stored, at + step - late), bisect_right(stored, at + step + 0.2)):
            off[place] = min(off.get(place, late + 1), abs(stored[place] - at - step))
    return sorted(off, key=off.__getitem__)


def _cause(missed: Held, since: float, until: float) -> str | None:
    return next((cause for a, b, cause in missed if a <= until and b >= since), None)


def _slots(
    found: Found, stored: list[float], missed: Held, around: Around, serial: str, begun: datetime, until: datetime
) -> None:
    for a in _cuts(begun, until):
        b = a + PERIOD.total_seconds()
        found.slots += 1
        if bisect_left(stored, b) > bisect_left(stored, a):
            continue
        cause = _cause(missed, a, b) or NOT_ASKED
        found.empty[cause] += 1
        if cause.startswith("spool") and not around.disk_full(a):
            found.miscaused.append(
                f"{serial} {datetime.fromtimestamp(a, UTC)}: listed as {cause} with room on the disk"
            )
        elif cause != NOT_ASKED and not cause.startswith("spool") and not around.disturbed(a, before=60.0, after=5.0):
            found.miscaused.append(
                f"{serial} {datetime.fromtimestamp(a, UTC)}: listed as {cause}, nothing was disturbed"
            )


def _cuts(begun: datetime, until: datetime) -> Iterator[float]:
    at = begun
    while at + PERIOD <= until:
        yield at.timestamp()
        at += timedelta(seconds=PERIOD.total_seconds())
