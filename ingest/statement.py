"""A period's statement of readings: what each register showed at its ends, and what was consumed between them. Pure.

A line is one register of one meter at one point; a meter that was exchanged has a line of its own, from its opening to
its closing reading. What nobody read is absent, not zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from ingest.chain import Chain, Mark
from ingest.channel import from_micro, unit_of
from ingest.consumption import Counter, Policy, Stretch, chain_of, consumption
from ingest.instants import instant, micros, span
from ingest.model import Quality, Source, worst
from ingest.places import Place, places

_ONE = Decimal(1)
_ENERGIES = ("1", "2", "3", "4")
"""Quantities on a statement: A+, A-, R+, R- of all phases together."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a register showed at an instant, by a reading of `source` taken at `taken_at`: then, or next before it.

    A value between two readings is `interpolated`. `source` is None where a load profile tells, not a reading.
    """

    value: Decimal
    taken_at: datetime
    source: Source | None
    interpolated: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One register over [begin, end): shown at both ends, the difference, K, and the consumption, which is its K-fold.

    `summed` lines are totals without a register: nothing shows them, they are the sum of their zones. `previous` and
    `current` are None where no reading tells. `reasons` are those of the consumption engine.
    """

    meter: str
    channel: str
    begin: datetime
    end: datetime
    previous: Shown | None
    current: Shown | None
    difference: Decimal | None
    ratio: Decimal
    consumption: Decimal | None
    quality: Quality
    completeness: Decimal
    reasons: tuple[str, ...]
    summed: bool

    @property
    def unit(self) -> str:
        return unit_of(self.channel)


@dataclass(frozen=True, slots=True)
class Total:
    """Consumption of one channel over all lines that have an amount; `missing` have none."""

    channel: str
    amount: Decimal | None
    quality: Quality
    missing: int


def lines(
    found: Mapping[str, Sequence[Stretch]], begin: datetime, end: datetime, policy: Policy | None = None
) -> list[Line]:
    """The lines of one point, by channel and time, from its stretches over exactly these two cuts."""
    policy = policy or Policy()
    channels = sorted((one for one in found if one.split(".")[0] in _ENERGIES), key=_order)
    made = [_line(channel, stretch, begin, end, policy) for channel in channels for stretch in found[channel]]
    return [line for line in made if line is not None]


def totals(of: Iterable[Line]) -> list[Total]:
    """What the lines add up to, by channel. Zones and their total are not added to each other."""
    by_channel: dict[str, list[Line]] = {}
    for line in of:
        by_channel.setdefault(line.channel, []).append(line)
    return [_total(channel, by_channel[channel]) for channel in sorted(by_channel, key=_order)]


def _total(channel: str, of: Sequence[Line]) -> Total:
    amounts = [line.consumption for line in of if line.consumption is not None]
    quality = worst(line.quality for line in of if line.consumption is not None)
    return Total(channel, sum(amounts, Decimal(0)) if amounts else None, quality, len(of) - len(amounts))


def _line(channel: str, stretch: Stretch, begin: datetime, end: datetime, policy: Policy) -> Line | None:
    """None for a stretch without counters of the channel, or outside the period."""
    first, last = max(begin, stretch.since), end if stretch.until is None else min(end, stretch.until)
    if first >= last or not stretch.counters:
        return None
    [moved] = consumption([replace(stretch, ratio=_ONE)], [first, last], policy)
    summed = [counter.channel for counter in stretch.counters] != [channel]
    previous, current = (None, None) if summed else _both(stretch.counters[0], stretch, first, last, policy)
    amount = None if moved.amount is None else moved.amount * stretch.ratio
    return Line(
        stretch.meter,
        channel,
        first,
        last,
        previous,
        current,
        moved.amount,
        stretch.ratio,
        amount,
        moved.quality,
        moved.completeness,
        moved.reasons,
        summed,
    )


def _both(
    counter: Counter, stretch: Stretch, begin: datetime, end: datetime, policy: Policy
) -> tuple[Shown | None, Shown | None]:
    """What the register showed at both ends, by the same rules as the amount between them."""
    chain = chain_of(counter, stretch, policy)
    cuts = [micros(begin), micros(end)]
    limit = max(span(policy.gap_limit), (cuts[1] - cuts[0]) * 3 // 2)
    found = places(chain, cuts, limit, counter.limits.modulus, distribute=False)
    marks = [*_declared(counter, stretch), *(mark for one in counter.boundaries for side in one[1:] for mark in side)]
    previous, current = (
        _shown(chain, place, cut, marks, policy)
        for place, cut in zip((found.begins[0], found.ends[1]), cuts, strict=True)
    )
    return previous, current


def _declared(counter: Counter, stretch: Stretch) -> list[Mark]:
    ends = ((stretch.since, counter.opening), (stretch.until, counter.closing))
    return [
        Mark(micros(at), value, Quality.GOOD, Source.INSPECTION)
        for at, value in ends
        if at is not None and value is not None
    ]


def _shown(chain: Chain, place: Place | None, cut: int, marks: Sequence[Mark], policy: Policy) -> Shown | None:
    """None unless the place is at the cut itself: what was shown before or after it was not shown then."""
    if place is None or place.at != cut or place.shown is None:
        return None
    at = chain.ats[place.after]
    sources = [mark.source for mark in marks if mark.at == at]
    best = min(sources, key=policy.rank, default=None)
    return Shown(from_micro(place.shown), instant(at), best, place.interpolated)


def _order(channel: str) -> tuple[int, ...]:
    return tuple(int(part) for part in channel.split("."))
