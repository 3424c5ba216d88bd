"""Consumption over intervals, from the readings around their ends: exchanges, rollovers, ratios, zones and gaps. Pure.

Boundaries are shared: what ends one interval begins the next, so adjacent intervals add up to the whole. The ratio K
is applied here and nowhere else, once for each installation. Rounding is left to whoever prints.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from operator import sub
from typing import NamedTuple

from ingest.amounts import WHOLE, Amount, Joined, Steady
from ingest.calm import calm_runs, needed
from ingest.chain import Chain, link
from ingest.channel import from_micro, unit_of
from ingest.counting import Boundary, Policy, counting, good
from ingest.instants import micros, span
from ingest.judge import Limits
from ingest.load_profile import Slot, with_profile
from ingest.model import Quality, Source
from ingest.places import Part, Places, part, places

__all__ = ["Amount", "Boundary", "Counter", "Policy", "Slot", "Stretch", "chain_of", "consumption"]

_SHARE = Decimal("0.0001")
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Counter:
    """One register in one installation, as far as the cuts need it.

    `boundaries` are the good readings around every cut and break, taken while the meter stood here (also under
    another ratio); `breaks` the instants, by judged series and in order, at which the counting may be broken; `opening`
    and `closing` what was declared when the meter was put up and taken down; `slots` the load profile.
    """

    channel: str
    limits: Limits
    boundaries: Sequence[Boundary] = ()
    breaks: Mapping[Source, Sequence[int]] = field(default_factory=dict)
    opening: int | None = None
    closing: int | None = None
    slots: tuple[Slot, ...] = ()
    unsteady: bool = False
    """The counting breaks so often that not even the breaks were all looked up."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One installation as far as one channel matters: [since, until), K, and the counters that sum to the channel.

    A total without a register of its own has its zones in `counters`. A total with one has its zones in `zones`: they
    stand in where the register itself says nothing, or less than half of what they say.
    """

    meter: str
    since: datetime
    until: datetime | None
    ratio: Decimal
    counters: tuple[Counter, ...]
    zones: tuple[Counter, ...] = ()


def consumption(
    stretches: Sequence[Stretch], cuts: Sequence[datetime], policy: Policy | None = None
) -> Sequence[Amount]:
    """The amounts between adjacent cuts (ascending, aware); one less than there are cuts."""
    policy = policy or Policy()
    instants = [micros(cut) for cut in cuts]
    longest = max(map(sub, instants[1:], instants), default=0)
    limit = max(span(policy.gap_limit), longest * 3 // 2)
    unit = next((unit_of(counter.channel) for stretch in stretches for counter in stretch.counters), "")
    pieces: list[Sequence[Amount]] = []
    done = 0
    for first, calm in _calm(stretches, cuts, instants, limit, unit):
        if first > done:
            pieces.append(_linked(stretches, cuts, instants, (done, first), limit, policy, unit))
        pieces.append(calm)
        done = first + len(calm)
    if done < len(cuts) - 1:
        pieces.append(_linked(stretches, cuts, instants, (done, len(cuts) - 1), limit, policy, unit))
    return pieces[0] if len(pieces) == 1 else Joined(pieces)


def _calm(
    stretches: Sequence[Stretch], cuts: Sequence[datetime], instants: Sequence[int], limit: int, unit: str
) -> list[tuple[int, Steady]]:
    """Amounts that need no closer look, with the number of the first, where one register stood there all the time."""
    if len(stretches) != 1 or len(stretches[0].counters) != 1 or len(cuts) < 2:
        return []
    [stretch] = stretches
    until = instants[-1] + 1 if stretch.until is None else micros(stretch.until)
    return [
        (
            run.first,
            Steady(
                cuts if len(run.shown) == len(cuts) else cuts[run.first : run.first + len(run.shown)],
                run.shown,
                run.between,
                stretch.ratio,
                stretch.meter,
                unit,
            ),
        )
        for run in calm_runs(stretch.counters[0], micros(stretch.since), until, instants, limit)
    ]


def _linked(
    stretches: Sequence[Stretch],
    cuts: Sequence[datetime],
    instants: Sequence[int],
    numbers: tuple[int, int],
    limit: int,
    policy: Policy,
    unit: str,
) -> list[Amount]:
    """The amounts between the cuts of two numbers, from the linked readings around them."""
    first, last = numbers
    cuts, instants = cuts[first : last + 1], instants[first : last + 1]
    shares: list[list[_Share]] = [[] for _ in instants[1:]]
    for stretch in stretches:
        _Walk(_narrowed(stretch, instants), instants, limit, policy).fill(shares)
    return [
        _amount(cuts[n], cuts[n + 1], instants[n + 1] - instants[n], found, unit) for n, found in enumerate(shares)
    ]  # fmt: skip


def _narrowed(stretch: Stretch, instants: Sequence[int]) -> Stretch:
    """The same with the readings that say something of these instants."""
    since = micros(stretch.since)
    until = max(since, instants[-1]) if stretch.until is None else micros(stretch.until)
    counters, zones = (
        tuple(replace(counter, boundaries=needed(counter, since, until, instants)) for counter in group)
        for group in (stretch.counters, stretch.zones)
    )
    return replace(stretch, counters=counters, zones=zones)


class _Share(NamedTuple):
    """What one stretch says of one interval, of which it covers `covered` microseconds.

    `whole`: the part shows the one register of the stretch at both ends of its share. `silent`: no reading at all is
    known of one of the counters.
    """

    stretch: Stretch
    covered: int
    part: Part | None
    whole: bool
    silent: bool


class _Walk:
    """One stretch cut into the intervals it touches."""

    def __init__(self, stretch: Stretch, instants: Sequence[int], limit: int, policy: Policy) -> None:
        self.stretch = stretch
        since = micros(stretch.since)
        until = instants[-1] if stretch.until is None else micros(stretch.until)
        self.first = max(0, bisect_right(instants, since) - 1)
        inner = instants[self.first : bisect_left(instants, until) + 1]
        self.cuts = [min(max(cut, since), until) for cut in inner] if inner and since < until else []
        self.own = [_Counted(counter, stretch, self.cuts, limit, policy) for counter in stretch.counters]
        self.zones = [_Counted(counter, stretch, self.cuts, limit, policy) for counter in stretch.zones]

    def fill(self, shares: list[list[_Share]]) -> None:
        """Add what this stretch says to every interval it touches."""
        silent = not self.own or any(not counted.chain.ats for counted in self.own)
        only = self.own[0] if len(self.own) == 1 else None
        for n, (begin, end) in enumerate(pairwise(self.cuts)):
            if begin >= end:
                continue
            found = only.part(n, begin, end) if only else _together([one.part(n, begin, end) for one in self.own])
            if self.zones and (found is None or found.measured < end - begin):
                found = _better(found, _together([counted.part(n, begin, end) for counted in self.zones]))
            shares[self.first + n].append(_Share(self.stretch, end - begin, found, only is not None, silent))


class _Counted:
    """The chain of one counter, and the places of the cuts in it."""

    def __init__(self, counter: Counter, stretch: Stretch, cuts: Sequence[int], limit: int, policy: Policy) -> None:
        self.chain = chain_of(counter, stretch, policy)
        self.unsteady = counter.unsteady
        self.places: Places = places(
            self.chain, cuts, limit, counter.limits.modulus, distribute=policy.distribute
        )  # fmt: skip

    def part(self, n: int, begin: int, end: int) -> Part | None:
        found = part(self.chain, self.places.begins[n], self.places.ends[n + 1], begin, end)
        if found is None or not self.unsteady:
            return found
        return found._replace(quality=Quality.SUSPECT, reasons=(*found.reasons, "unsteady"))


def chain_of(counter: Counter, stretch: Stretch, policy: Policy) -> Chain:
    """The readings of one counter that count, linked, with what was declared and what its load profile recorded."""
    declared = []
    if counter.opening is not None:
        declared.append(good(micros(stretch.since), counter.opening, Source.INSPECTION))
    if counter.closing is not None and stretch.until is not None:
        declared.append(good(micros(stretch.until), counter.closing, Source.INSPECTION))
    marks, notes = counting(counter.boundaries, counter.breaks, declared, counter.limits, policy)
    chain = link(marks, counter.limits, counter.breaks, notes, [mark.at for mark in declared])
    return with_profile(chain, counter.slots, counter.limits) if counter.slots else chain


def _together(parts: Sequence[Part | None]) -> Part | None:
    """The sum of several counters; None unless each of them knows something."""
    if len(parts) == 1:
        return parts[0]
    known = [found for found in parts if found is not None]
    if not known or len(known) < len(parts):
        return None
    return Part(
        sum(found.moved for found in known),
        min(found.measured for found in known),
        max(found.quality for found in known),
        tuple({reason for found in known for reason in found.reasons}),
        None,
        None,
        all(found.grounds for found in known),
    )


def _better(own: Part | None, zones: Part | None) -> Part | None:
    """The register's own part, unless its zones say more than twice as much."""
    if zones is None or not zones.grounds or (own is not None and own.grounds and 2 * own.measured >= zones.measured):
        return own
    return zones._replace(reasons=(*zones.reasons, "sum_of_zones"), begin=None, end=None)


def _amount(begin: datetime, end: datetime, length: int, shares: Sequence[_Share], unit: str) -> Amount:
    if len(shares) == 1 and (found := shares[0].part) is not None and found.grounds and found.measured == length:
        return _measured(begin, end, shares[0].stretch, found, unit, whole=shares[0].whole)
    known: list[_Share] = []
    measured, total, quality = 0, Decimal(0), Quality.GOOD
    for share in shares:
        found = share.part
        if found is None:
            continue
        if found.quality > quality:
            quality = found.quality
        if found.grounds:
            known.append(share)
            ratio = share.stretch.ratio
            total += found.moved if ratio == _ONE else found.moved * ratio
            measured += found.measured
    complete = WHOLE if measured == length else (Decimal(measured) / length).quantize(_SHARE, rounding="ROUND_DOWN")
    reasons = _reasons(length, shares, known)
    if not known:
        return Amount(begin, end, None, Quality.MISSING, complete, reasons=reasons, unit=unit)
    opens, closes = known[0], known[-1]
    standing = [share.stretch for share in known]
    return Amount(
        begin,
        end,
        total.scaleb(-6),
        quality,
        complete,
        (standing[0].ratio,) if len(known) == 1 else tuple(dict.fromkeys(one.ratio for one in standing)),
        reasons,
        _shown(opens.part.begin) if opens is shares[0] and opens.whole and opens.part else None,
        _shown(closes.part.end) if closes is shares[-1] and closes.whole and closes.part else None,
        (standing[0].meter,) if len(known) == 1 else tuple(dict.fromkeys(one.meter for one in standing)),
        unit,
    )


def _measured(begin: datetime, end: datetime, stretch: Stretch, part: Part, unit: str, *, whole: bool) -> Amount:
    """What nearly every amount is: one meter, measured from end to end."""
    ratio = stretch.ratio
    return Amount(
        begin,
        end,
        (Decimal(part.moved) if ratio == _ONE else part.moved * ratio).scaleb(-6),
        part.quality,
        WHOLE,
        (ratio,),
        tuple(sorted(part.reasons)) if len(part.reasons) > 1 else part.reasons,
        _shown(part.begin) if whole else None,
        _shown(part.end) if whole else None,
        (stretch.meter,),
        unit,
    )


@lru_cache(maxsize=1024)
def _shown(micro: int | None) -> Decimal | None:
    """What ends one interval begins the next: remembered for that long."""
    return None if micro is None else from_micro(micro)


def _reasons(length: int, shares: Sequence[_Share], known: Sequence[_Share]) -> tuple[str, ...]:
    """The codes of all parts, and why there is no more."""
    if len(shares) == 1 and shares[0].part is not None and shares[0].covered == length:
        return tuple(sorted(shares[0].part.reasons))
    reasons = {reason for share in shares if share.part is not None for reason in share.part.reasons}
    reasons |= {"no_readings" if share.silent else "gap" for share in shares if share.part is None}
    if sum(share.covered for share in shares) < length:
        reasons.add("no_meter")
    if len({share.stretch.meter for share in known}) > 1:
        reasons.add("exchange")
    elif len(known) > 1:
        reasons.add("ratio_change")
    return tuple(sorted(reasons))
